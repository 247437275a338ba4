//! The example gunicorn-caddy, on a real engine.
