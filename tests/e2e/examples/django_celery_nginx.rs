//! The example django-celery-nginx, on a real engine.
