//! The example rabbitmq-workers, on a real engine.
