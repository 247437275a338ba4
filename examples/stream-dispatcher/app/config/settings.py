"""Settings of the controller and of the Celery workers."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-the-example")
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["controller"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "config.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["DATABASE_HOST"],
        "PORT": os.environ["DATABASE_PORT"],
        "NAME": "controller",
        "USER": "controller",
        "PASSWORD": os.environ["DATABASE_PASSWORD"],
        # A connection to PgBouncer costs next to nothing while no transaction runs, so it is kept.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # The next statement may go to another server process, which does not know the cursor. For the same
        # reason there are no prepared statements: Django leaves them off unless `prepare_threshold` is set.
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}

QUEUE_URL = os.environ["QUEUE_URL"]
QUEUE_SOURCE = os.environ["QUEUE_SOURCE"]

CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ROUTES = {"tasks.run": {"queue": "dispatch"}, "tasks.cleanup": {"queue": "cleanup"}}
# What they come to is in PostgreSQL.
CELERY_TASK_IGNORE_RESULT = True
# A task belongs to the queue until it is done; a worker that stops hands back what it has not begun.
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# stop_grace_period of the workers in compose.yaml is longer than this.
CELERY_TASK_TIME_LIMIT = 60
# What a worker that was killed had, another one gets after these seconds (an hour, were they not set). Longer than
# a task may wait in a worker for another one, and then run itself.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 300}
