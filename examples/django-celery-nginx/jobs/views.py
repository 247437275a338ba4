"""Pages that say which replica answered."""

import json
import socket
import time

from django.db import connection
from django.db.models import Count
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from .models import Run
from .tasks import nap

REPLICA = socket.gethostname()


@require_GET
def index(request):
    ended = Run.objects.count()
    return HttpResponse(f"{REPLICA}: {ended} tasks ended\n", content_type="text/plain")


@require_GET
def health(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


@require_GET
def slow(request):
    """A page that takes its time: /slow?seconds=2"""
    seconds = min(float(request.GET.get("seconds", 1)), 20)
    time.sleep(seconds)
    return HttpResponse(f"{REPLICA}: {seconds} seconds\n", content_type="text/plain")


@csrf_exempt
@require_POST
def naps(request):
    """Has a worker sleep: {"seconds": 20}"""
    task = nap.delay(min(float(json.loads(request.body)["seconds"]), 45))
    return JsonResponse({"task_id": task.id}, status=202)


@require_GET
def runs(request):
    """The tasks that have ended, per task and worker."""
    counts = Run.objects.values("task", "worker").annotate(ended=Count("id"))
    return JsonResponse({"runs": list(counts.order_by("task", "worker"))})
