//! A sweep: which counts are measured, and what the measurements say of them. Pure.

mod document;
mod figures;
mod knee;
mod parse;

use std::collections::BTreeMap;

pub use document::document;
pub use parse::parse;

/// Counts by service.
pub type Counts = BTreeMap<String, u32>;

/// Most points of a sweep.
pub const POINT_LIMIT: usize = 64;

/// How several `--sweep` go together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SweepMode {
    /// The first counts of all services, then the second ones: lists of one length.
    #[default]
    Step,
    /// Every count of a service with every count of the others.
    Crossed,
}

/// Workers of a point, those of all services that are swept.
pub fn workers(counts: &Counts) -> u32 {
    counts.values().sum()
}

/// As one types counts: `worker-a=2 worker-b=2`.
pub fn typed(counts: &Counts) -> String {
    let words: Vec<String> = counts
        .iter()
        .map(|(service, count)| format!("{service}={count}"))
        .collect();
    words.join(" ")
}
