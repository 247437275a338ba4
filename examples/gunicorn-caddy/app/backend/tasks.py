from datetime import timedelta

from celery import shared_task
from celery.utils.log import get_task_logger
from django.utils import timezone

from .models import Visit

log = get_task_logger(__name__)


@shared_task
def forget_old_visits():
    """Sent by beat every minute."""
    count, _ = Visit.objects.filter(at__lt=timezone.now() - timedelta(hours=1)).delete()
    log.info("forgot %d visits", count)
