//! End to end: rscale, Compose and a real engine. One file per command, one for the promises, one for
//! the scenarios of Compose's own tests, and a smaller set over other versions of Compose.
//!
//! Every test has a project of its own, so they can run side by side.

mod check;
mod drain;
mod engines;
pub mod examples;
mod export;
mod killed;
mod kubernetes;
mod load_celery;
mod load_http;
mod load_redis;
mod load_test;
mod matrix;
mod ported;
mod promises;
mod refresh;
mod report;
mod scale;
mod scale_all;
mod status;
#[cfg(target_os = "linux")]
mod swarm;
