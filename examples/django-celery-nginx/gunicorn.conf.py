"""Gunicorn's settings, and how a replica leaves without losing a request.

nginx knows the addresses of all replicas and learns that one is gone when it is reloaded, which is after the
replica was removed. Until then a request may still be sent there. Where the connection is refused, nginx takes
the next replica at once, and leaves this one alone for 10 seconds (`max_fails=1 fail_timeout=10s`, its
defaults). Where nobody answers any more, because the container and its address are gone, the request waits for
seconds. So a replica that is told to stop refuses for a while before it goes, long enough for nginx to have
tried it.
"""

import time

from gunicorn.workers.gthread import ThreadWorker

bind = "0.0.0.0:8000"
# Each of the 2 x 2 threads keeps a connection to PostgreSQL: `connections` in compose.yaml.
workers = 2
threads = 2
preload_app = True
worker_tmp_dir = "/dev/shm"

# Both together are shorter than `stop-timeout` in compose.yaml.
graceful_timeout = 25
LINGER = 2


class Worker(ThreadWorker):
    """Closes its listeners when it stops to accept.

    Gunicorn's own keeps them open until the last of its requests has ended. The kernel goes on taking connections
    for them meanwhile, which nobody reads, and which are reset in the end.
    """

    def set_accept_enabled(self, enabled):
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()


worker_class = Worker


def on_exit(server):
    """Called when all requests have ended; the listeners are closed by then."""
    time.sleep(LINGER)
