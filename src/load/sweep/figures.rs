//! The small sums of a sweep.

use super::Counts;
use crate::load::result::{LoadTest, ServiceCount};

pub fn is_whole(result: &LoadTest) -> bool {
    !result.interrupted && result.error.is_none() && result.throughput_per_second > 0.0
}

pub fn listed(counts: &Counts) -> Vec<ServiceCount> {
    counts
        .iter()
        .map(|(service, replicas)| ServiceCount {
            service: service.clone(),
            replicas: *replicas,
        })
        .collect()
}

pub fn per_worker(workers: u32, throughput: f64) -> f64 {
    ratio(throughput, f64::from(workers))
}

/// 0 where there is nothing to compare with: JSON has no infinity.
pub fn ratio(value: f64, of: f64) -> f64 {
    if of > 0.0 { value / of } else { 0.0 }
}

pub fn change(before: f64, after: f64) -> f64 {
    100.0 * ratio(after - before, before)
}
