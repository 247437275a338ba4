"""The controller's pages: JSON in, JSON out."""

import json

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max, Q
from django.forms.models import model_to_dict
from django.http import HttpResponseBadRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from queue_source import open_queue

from . import jobs
from .models import Task

# Neither the dispatcher nor a worker may be held up for longer: their grace periods rely on it.
LONGEST = 10
QUEUE = open_queue(settings.QUEUE_SOURCE, settings.QUEUE_URL)


@require_GET
def health(request):
    """Good only with a database behind it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


@require_POST
def create(request):
    """Takes `text`, and perhaps `number` of tasks with it, `pull_seconds` and `seconds`."""
    try:
        wish = json.loads(request.body)
        number, text = int(wish.get("number", 1)), str(wish["text"])
        pull_seconds, seconds = float(wish.get("pull_seconds", 0)), float(wish.get("seconds", 0))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return HttpResponseBadRequest(f"wanted text, number, pull_seconds, seconds: {error!r}\n")
    if not (1 <= number <= 1000 and 0 <= pull_seconds <= LONGEST and 0 <= seconds <= LONGEST):
        return HttpResponseBadRequest(f"number is 1 to 1000, pull_seconds and seconds 0 to {LONGEST}\n")

    # Queued after the commit, or a worker might look for a row that is not there yet. (Where no task may be left out
    # when Redis fails in between, something has to look for rows that wait too long, and queue them again.)
    with transaction.atomic():
        tasks = Task.objects.bulk_create(
            [Task(text=text, pull_seconds=pull_seconds, seconds=seconds) for _ in range(number)]
        )
    QUEUE.put([json.dumps({"id": task.pk, "pull_seconds": pull_seconds}) for task in tasks])
    return JsonResponse({"ids": [task.pk for task in tasks]}, status=202)


@require_GET
def show(request, task_id):
    return JsonResponse(model_to_dict(get_object_or_404(Task, pk=task_id)))


@require_GET
def stats(request):
    """How far it is, and through which dispatchers it went."""
    tasks = Task.objects.aggregate(
        all=Count("pk"),
        done=Count("pk", filter=Q(finished__isnull=False)),
        most_deliveries=Max("deliveries", default=0),
    )
    shares = Task.objects.exclude(dispatcher="").values_list("dispatcher").annotate(Count("pk"))
    return JsonResponse(
        {
            "queue_source": settings.QUEUE_SOURCE,
            "queue_length": QUEUE.length(),
            "tasks": tasks,
            "dispatchers": dict(shares.order_by("dispatcher")),
        }
    )


@require_POST
def cleanup(request):
    """Lets the cleanup worker delete what was finished more than `older_than` seconds ago."""
    jobs.cleanup.delay(float(json.loads(request.body or "{}").get("older_than", 3600)))
    return JsonResponse({}, status=202)
