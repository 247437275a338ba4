import os

SECRET_KEY = os.environ["SECRET_KEY"]
# Requests come from Caddy, or from a healthcheck by address.
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "backend.urls"
INSTALLED_APPS = ["backend"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["DATABASE_HOST"],
        "NAME": os.environ["DATABASE_NAME"],
        "USER": os.environ["DATABASE_USER"],
        "PASSWORD": os.environ["DATABASE_PASSWORD"],
        # Each Gunicorn and Celery process keeps its one connection.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}

CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
# A process fetches a task when it has time for it, so that long tasks do not hold up short ones.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A task gets SoftTimeLimitExceeded after 25 minutes, and its process is killed after 30. The stop-timeout
# of the worker in compose.yaml is longer than that.
CELERY_TASK_SOFT_TIME_LIMIT = 25 * 60
CELERY_TASK_TIME_LIMIT = 30 * 60
CELERY_BEAT_SCHEDULE = {
    "forget-old-visits": {"task": "backend.tasks.forget_old_visits", "schedule": 60},
}
