from pathlib import Path
from socket import gethostname

from django.http import HttpResponse, JsonResponse

from .models import Visit

DRAINING = Path("/tmp/draining")


def index(request):
    """Counts the visit, and says which replica did."""
    visit = Visit.objects.create(replica=gethostname())
    answer = JsonResponse({"replica": visit.replica, "visits": visit.pk})
    answer["X-Replica"] = visit.replica
    return answer


def health(request):
    """Whether this replica wants requests. It answers all that it gets nevertheless.

    Nothing about the database: when that is down, taking every replica out would help nobody.
    """
    if DRAINING.exists():
        return HttpResponse("draining\n", status=503)
    return HttpResponse("ok\n")
