"""What the workers do."""

import socket
import time

from celery import shared_task

from .models import Run


def record(task):
    Run.objects.create(
        task=task.name.rpartition(".")[2],
        task_id=task.request.id,
        worker=socket.gethostname(),
    )


@shared_task(bind=True)
def tick(self):
    """Sent by celery_beat every few seconds."""
    record(self)


@shared_task(bind=True)
def nap(self, seconds):
    """A task that takes long; it is recorded when it has ended."""
    time.sleep(seconds)
    record(self)
