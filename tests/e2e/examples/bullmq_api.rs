//! The example bullmq-api, on a real engine.
