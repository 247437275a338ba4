//! A sweep as text.

use super::load_test::Sweep;
use super::text::Paint;
use crate::load::sweep::Counts;

/// `worker-a=2 worker-b=4`.
pub fn counts(counts: &Counts) -> String {
    let words: Vec<String> = counts
        .iter()
        .map(|(service, count)| format!("{service}={count}"))
        .collect();
    words.join(" ")
}

pub fn text(_: &Sweep, _: Paint, _: Option<u16>) -> String {
    String::new()
}
