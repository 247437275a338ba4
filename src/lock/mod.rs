//! The lock of a project: two runs of rscale on it, from whatever directory or user, go one after the other.

mod file;
mod holder;
mod place;

pub use file::{Attempt, ProjectLock, attempt};
pub use holder::Holder;
pub use place::{folder, path_of};
