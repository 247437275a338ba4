//! Docker Swarm, on a real one: `tests/support/swarm.rs` says how it comes to be.

mod failure;
mod load;
mod nodes;
mod refusal;
mod scale;
mod status;
