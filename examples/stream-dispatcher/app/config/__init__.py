# `celery -A config` and Django's shared tasks find the Celery application here.
from .celery import app as celery_app

__all__ = ["celery_app"]
