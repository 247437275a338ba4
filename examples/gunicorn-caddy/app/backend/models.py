from django.db import models


class Visit(models.Model):
    replica = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
