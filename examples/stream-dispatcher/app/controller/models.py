from django.db import models


class Task(models.Model):
    text = models.TextField()
    # How long the dispatcher has to prepare for it, and how long it takes a worker.
    pull_seconds = models.FloatField(default=0)
    seconds = models.FloatField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    # The dispatcher it came through, and how often it was delivered to a worker: 1, unless a dispatcher or a
    # worker was killed at a bad moment.
    dispatcher = models.CharField(max_length=100, blank=True)
    deliveries = models.PositiveIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True)
    finished = models.DateTimeField(null=True, db_index=True)
