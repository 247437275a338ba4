"""The Celery application, for workers, beat and whoever sends a task."""

import os
from pathlib import Path

from celery import Celery
from celery.signals import heartbeat_sent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@heartbeat_sent.connect
def touch_heartbeat(**_):
    """For the healthcheck in compose.yaml: a worker sends no heartbeat while it has no broker."""
    Path("/tmp/worker-heartbeat").touch()
