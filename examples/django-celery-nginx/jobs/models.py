from django.db import models


class Run(models.Model):
    """One task that a worker has ended. A task that runs twice leaves two rows."""

    task = models.CharField(max_length=100)
    task_id = models.CharField(max_length=36)
    worker = models.CharField(max_length=100)
    ended = models.DateTimeField(auto_now_add=True)
