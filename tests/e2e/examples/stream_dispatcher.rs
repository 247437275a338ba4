//! The example stream-dispatcher, on a real engine.
