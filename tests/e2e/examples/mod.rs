//! The examples, as their READMEs tell them: real software on a real engine.

mod bullmq_api;
mod ci;
mod django_celery_nginx;
mod gunicorn_caddy;
mod quickstart;
pub mod rabbitmq_workers;
mod stream_dispatcher;
