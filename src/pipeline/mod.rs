//! The stages of a scale as values: read under the lock, judge, decide, act. Prints nothing and makes no
//! documents, so that the whole pipeline runs in tests on a recording executor.

pub mod claiming;
pub mod identity;
pub mod keeping;
pub mod locking;
pub mod queues;
pub mod remembering;
pub mod scaling;
pub mod selection;
pub mod surroundings;
#[cfg(test)]
mod tests;
