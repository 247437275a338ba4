"""What the Celery workers do."""

import hashlib
import time
from datetime import timedelta

from celery import shared_task
from django.db.models import F
from django.utils import timezone

from .models import Task


@shared_task(name="tasks.run")
def run(task_id, dispatcher):
    """The task itself: the digest of a text, after as many seconds as it asks for."""
    this = Task.objects.filter(pk=task_id)
    this.update(deliveries=F("deliveries") + 1, dispatcher=dispatcher)
    task = this.first()
    if task is None or task.finished:  # deleted meanwhile; delivered once more
        return
    time.sleep(task.seconds)
    digest = hashlib.sha256(task.text.encode()).hexdigest()
    this.update(digest=digest, finished=timezone.now())


@shared_task(name="tasks.cleanup")
def cleanup(older_than):
    """Deletes the tasks that were finished more than so many seconds ago."""
    Task.objects.filter(finished__lt=timezone.now() - timedelta(seconds=older_than)).delete()
