"""The Celery application of the workers."""

import os
from pathlib import Path

from celery import Celery
from celery.signals import heartbeat_sent, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")


@worker_ready.connect
@heartbeat_sent.connect
def touch(**_):
    """For the healthcheck: a file costs nothing to look at, `celery inspect ping` half a second."""
    Path("/tmp/alive").touch()
