from django.urls import path

from jobs import views

urlpatterns = [
    path("", views.index),
    path("health", views.health),
    path("slow", views.slow),
    path("naps", views.naps),
    path("runs", views.runs),
]
