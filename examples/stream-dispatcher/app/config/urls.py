from django.urls import path

from controller import views

urlpatterns = [
    path("health", views.health),
    path("tasks", views.create),
    path("tasks/<int:task_id>", views.show),
    path("stats", views.stats),
    path("cleanup", views.cleanup),
]
