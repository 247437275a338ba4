"""What every response says besides its page."""

import socket

REPLICA = socket.gethostname()


def replica_header(get_response):
    """X-Replica: which replica answered, for load tests and for whoever looks for one that is slow."""

    def respond(request):
        response = get_response(request)
        response["X-Replica"] = REPLICA
        return response

    return respond
