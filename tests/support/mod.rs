//! What the tests are built with.

#[cfg(unix)]
pub mod background;
#[cfg(unix)]
pub mod certificates;
#[cfg(unix)]
mod container;
#[cfg(unix)]
pub mod engine;
#[cfg(unix)]
pub mod fake;
#[cfg(unix)]
pub mod http;
#[cfg(unix)]
pub mod kubernetes;
#[cfg(target_os = "linux")]
pub mod swarm;
#[cfg(unix)]
pub mod turn;
