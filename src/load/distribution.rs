//! Distributions: exact percentiles of samples, a histogram and a timeline for charts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How samples in seconds are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
    /// How many there are.
    pub samples: u64,
}

/// Samples up to an upper bound, from the bound before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Upper bound, in seconds.
    pub up_to_seconds: f64,
    pub count: u64,
}

impl Distribution {
    /// Sorts the samples; `None` when there are none. A percentile is the smallest sample that so many of
    /// all do not exceed (nearest rank), so it is always one that was measured.
    pub fn of(samples: &mut [f64]) -> Option<Self> {
        samples.sort_unstable_by(f64::total_cmp);
        let max = *samples.last()?;
        #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
        let count = samples.len() as f64;
        Some(Self {
            mean: micros(samples.iter().sum::<f64>() / count),
            p50: micros(nearest_rank(samples, 50)),
            p90: micros(nearest_rank(samples, 90)),
            p95: micros(nearest_rank(samples, 95)),
            p99: micros(nearest_rank(samples, 99)),
            max: micros(max),
            samples: samples.len() as u64,
        })
    }
}

/// Of sorted samples, the smallest one that `percent` of them do not exceed.
fn nearest_rank(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// Seconds, to the microsecond.
pub fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// Buckets of sorted samples: bounds 1, 1.5, 2, 3, 5, 7 times the powers of ten, the empty ones at both ends left out.
pub fn histogram(sorted: &[f64]) -> Vec<Bucket> {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return Vec::new();
    };
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut taken = 0;
    for bound in bounds() {
        if bound < *first {
            continue;
        }
        let below = sorted.partition_point(|sample| *sample <= bound);
        buckets.push(Bucket {
            up_to_seconds: bound,
            count: (below - taken) as u64,
        });
        taken = below;
        if bound >= *last {
            break;
        }
    }
    buckets
}

fn bounds() -> impl Iterator<Item = f64> {
    let steps = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0];
    (-5..7).flat_map(move |power| steps.map(|step| micros(step * 10_f64.powi(power))))
}

#[cfg(test)]
mod tests {
    use super::{Distribution, histogram};

    #[test]
    fn percentiles_are_samples_of_nearest_rank() {
        let mut samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let all = Distribution::of(&mut samples).unwrap();
        assert_eq!(
            (all.p50, all.p90, all.p95, all.p99, all.max),
            (50.0, 90.0, 95.0, 99.0, 100.0)
        );
        assert_eq!((all.mean, all.samples), (50.5, 100));
        let one = Distribution::of(&mut [0.25]).unwrap();
        assert_eq!(
            (one.p50, one.p99, one.max, one.samples),
            (0.25, 0.25, 0.25, 1)
        );
        assert_eq!(Distribution::of(&mut []), None);
    }

    #[test]
    fn a_histogram_counts_every_sample_once() {
        let samples = [0.1, 0.1, 0.11, 0.29, 4.0];
        let buckets = histogram(&samples);
        assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 5);
        assert_eq!((buckets[0].up_to_seconds, buckets[0].count), (0.1, 2));
        let last = buckets.last().map(|bucket| bucket.up_to_seconds);
        assert_eq!(last, Some(5.0));
        assert!(histogram(&[]).is_empty());
    }
}
