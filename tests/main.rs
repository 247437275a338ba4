//! The one integration binary: the command line against a fake docker, and end to end on a real engine.

// In tests a panic is the failure report.
#![allow(clippy::unwrap_used)]

// Its fake docker is a shell script.
#[cfg(unix)]
mod cli;
// They send signals and mount folders of this machine.
#[cfg(unix)]
mod e2e;
mod house;
mod support;
