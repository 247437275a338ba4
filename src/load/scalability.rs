//! The Universal Scalability Law, fitted to throughputs measured with several worker counts.
//!
//! Gunther, "Guerrilla Capacity Planning" (2007): `X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))`
//! with `sigma`, the contention, and `kappa`, the coherency, not below 0. His own regression is linear in
//! `N / X`, which weighs the small counts most and gives negative parameters for noisy points. Here the
//! squared errors of the throughput itself are minimized within the bounds: for given `sigma` and `kappa` the
//! best `lambda` is known exactly, so there are two parameters to search, one inside the other, each by a
//! grid and then by golden sections. That is slower than following the gradient, and cannot go astray.

use crate::load::result::Fit;

/// What came of fitting.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fitted {
    pub fit: Option<Fit>,
    /// Why there is no fit, or why it should not be trusted.
    pub note: Option<String>,
}

/// As many counts as there are parameters.
const PARAMETERS: usize = 3;
/// Below this, `kappa` is no more than rounding: the peak would lie beyond 30,000 workers.
const NO_COHERENCY: f64 = 1e-9;
/// Below this, the curve explains too little to rely on.
const POOR: f64 = 0.8;

/// Fits the law to points of workers and throughput per second; points that are not positive are left out.
/// Repeated counts are all used.
pub fn fit(points: &[(u32, f64)]) -> Fitted {
    let usable = |(workers, throughput): &&(u32, f64)| {
        *workers > 0 && throughput.is_finite() && *throughput > 0.0
    };
    let points: Vec<(f64, f64)> = points
        .iter()
        .filter(usable)
        .map(|(workers, throughput)| (f64::from(*workers), *throughput))
        .collect();
    let mut counts: Vec<f64> = points.iter().map(|point| point.0).collect();
    counts.sort_unstable_by(f64::total_cmp);
    counts.dedup();
    if counts.len() < PARAMETERS {
        return Fitted {
            fit: None,
            note: Some(format!(
                "the scalability fit needs at least {PARAMETERS} different worker counts, got {}",
                counts.len()
            )),
        };
    }
    // In parts of the highest throughput, whose squares are in nobody's way.
    let scale = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let scaled: Vec<(f64, f64)> = points.iter().map(|(n, x)| (*n, x / scale)).collect();
    let best = search(&scaled);
    let fit = Fit {
        sigma: significant(best.sigma),
        kappa: significant(best.kappa),
        lambda: significant(best.lambda * scale),
        r_squared: significant(r_squared(&scaled, best.error)),
        peak_workers: (best.kappa > NO_COHERENCY)
            .then(|| significant(((1.0 - best.sigma) / best.kappa).sqrt().max(1.0))),
    };
    if !fit.lambda.is_finite() || !fit.r_squared.is_finite() {
        let note = "the throughputs are too far apart for a scalability fit";
        return Fitted {
            fit: None,
            note: Some(note.into()),
        };
    }
    Fitted {
        fit: Some(fit),
        note: note(&fit, counts.len()),
    }
}

/// The fitted throughput with so many workers, per second.
pub fn throughput(fit: &Fit, workers: f64) -> f64 {
    fit.lambda * capacity(workers, fit.sigma, fit.kappa)
}

fn note(fit: &Fit, counts: usize) -> Option<String> {
    if fit.sigma < 1e-6 && fit.kappa < NO_COHERENCY && fit.r_squared < 0.99 {
        let text = "throughput grows faster than the workers do, which the law has no room for: \
                    look at the first points";
        return Some(text.into());
    }
    if counts == PARAMETERS {
        return Some(format!(
            "{PARAMETERS} worker counts are as many as the curve has parameters: r squared says nothing"
        ));
    }
    (fit.r_squared < POOR).then(|| {
        format!(
            "the curve describes the points badly (r squared {:.2}): measure more tasks at each count",
            fit.r_squared
        )
    })
}

/// Throughput in parts of `lambda`.
fn capacity(n: f64, sigma: f64, kappa: f64) -> f64 {
    n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    sigma: f64,
    kappa: f64,
    lambda: f64,
    /// Sum of squared errors.
    error: f64,
}

/// The best `lambda` for these parameters: linear least squares without an intercept.
fn candidate(points: &[(f64, f64)], sigma: f64, kappa: f64) -> Candidate {
    let (mut product, mut square) = (0.0, 0.0);
    for (n, x) in points {
        let c = capacity(*n, sigma, kappa);
        product += c * x;
        square += c * c;
    }
    let lambda = product / square;
    let error = points
        .iter()
        .map(|(n, x)| (x - lambda * capacity(*n, sigma, kappa)).powi(2))
        .sum();
    Candidate {
        sigma,
        kappa,
        lambda,
        error,
    }
}

fn search(points: &[(f64, f64)]) -> Candidate {
    let sigmas = [
        0.0, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.96, 1.0,
    ];
    let kappas: Vec<f64> = [0.0]
        .into_iter()
        .chain((-20..=2).map(|power| 10_f64.powf(f64::from(power) / 2.0)))
        .collect();
    minimize(&sigmas, |sigma| {
        minimize(&kappas, |kappa| candidate(points, sigma, kappa))
    })
}

/// The least error between the ends of a grid: the best of its nodes, then golden sections between the two
/// beside it. The nodes themselves stay candidates, so that a bound is met exactly.
fn minimize(grid: &[f64], at: impl Fn(f64) -> Candidate) -> Candidate {
    let better = |a: Candidate, b: Candidate| if b.error < a.error { b } else { a };
    let nodes: Vec<Candidate> = grid.iter().map(|x| at(*x)).collect();
    let place = (1..nodes.len()).fold(0, |best, next| {
        if nodes[next].error < nodes[best].error {
            next
        } else {
            best
        }
    });
    let (mut low, mut high) = (
        grid[place.saturating_sub(1)],
        grid[(place + 1).min(grid.len() - 1)],
    );
    let golden = (5_f64.sqrt() - 1.0) / 2.0;
    let inner = |low: f64, high: f64| (high - golden * (high - low), low + golden * (high - low));
    let (left, right) = inner(low, high);
    let (mut left, mut right) = ((left, at(left)), (right, at(right)));
    // Each step leaves 62 %: 45 steps leave less than a billionth.
    for _ in 0..45 {
        if left.1.error <= right.1.error {
            high = right.0;
            right = left;
            let x = inner(low, high).0;
            left = (x, at(x));
        } else {
            low = left.0;
            left = right;
            let x = inner(low, high).1;
            right = (x, at(x));
        }
    }
    better(nodes[place], better(left.1, right.1))
}

/// Of the throughput: 1 when the curve goes through every point; below 0 when the mean were better.
fn r_squared(points: &[(f64, f64)], error: f64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // A sweep has few points.
    let count = points.len() as f64;
    let mean = points.iter().map(|point| point.1).sum::<f64>() / count;
    let total: f64 = points.iter().map(|point| (point.1 - mean).powi(2)).sum();
    // All the same: nothing is left to explain.
    let nothing = 1e-18 * count;
    if total <= nothing {
        return if error <= nothing { 1.0 } else { 0.0 };
    }
    1.0 - error / total
}

/// Six digits, which is more than any measurement has.
fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::{Fitted, capacity, fit, throughput};
    use crate::load::result::Fit;

    fn curve(lambda: f64, sigma: f64, kappa: f64, counts: &[u32]) -> Vec<(u32, f64)> {
        counts
            .iter()
            .map(|n| (*n, lambda * capacity(f64::from(*n), sigma, kappa)))
            .collect()
    }

    #[track_caller]
    fn fitted(points: &[(u32, f64)]) -> (Fit, Option<String>) {
        let Fitted { fit, note } = fit(points);
        (fit.unwrap(), note)
    }

    #[track_caller]
    fn close(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance, "{value} {expected}");
    }

    #[test]
    fn known_curves_are_recovered() {
        let counts = [1, 2, 3, 4, 6, 8, 12, 16];
        for (lambda, sigma, kappa) in [
            (5.0, 0.0, 0.0),        // linear
            (5.0, 0.1, 0.0),        // Amdahl
            (995.6, 0.026, 0.0007), // retrograde
            (0.02, 0.3, 0.05),
            (1e6, 0.0, 0.01),
            (7.0, 1.0, 0.0), // flat
        ] {
            let (fit, note) = fitted(&curve(lambda, sigma, kappa, &counts));
            close(fit.lambda / lambda, 1.0, 1e-4);
            close(fit.sigma, sigma, 1e-4);
            close(fit.kappa, kappa, 1e-5);
            close(fit.r_squared, 1.0, 1e-6);
            assert_eq!(note, None);
            if kappa > 0.0 {
                let peak: f64 = ((1.0 - sigma) / kappa).sqrt();
                close(fit.peak_workers.unwrap() / peak, 1.0, 1e-2);
            } else {
                assert_eq!(fit.peak_workers, None);
            }
            close(
                throughput(&fit, 5.0) / lambda,
                capacity(5.0, sigma, kappa),
                1e-3,
            );
        }
    }

    /// SPEC's SDM 91 on a SPARCcenter 2000, with the coefficients that R's `usl` publishes for it.
    #[test]
    fn another_implementation_finds_the_same() {
        let (fit, note) = fitted(&[
            (1, 64.9),
            (18, 995.9),
            (36, 1652.4),
            (72, 1853.2),
            (108, 1828.9),
            (144, 1775.0),
            (216, 1702.2),
        ]);
        close(fit.sigma, 0.027_728_5, 2e-6);
        close(fit.kappa, 0.000_104_4, 1e-7);
        close(fit.lambda, 89.995_233, 1e-3);
        assert!(note.is_none() && fit.r_squared > 0.98, "{fit:?}");
    }

    #[test]
    fn noise_moves_the_parameters_only_a_little() {
        let mut seed = 7_u64;
        let mut noise = move || {
            // Knuth's MMIX generator; the upper bits.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(seed >> 33).unwrap()) / f64::from(1_u32 << 30) - 1.0
        };
        let counts: Vec<u32> = (1..=16).chain(1..=16).chain(1..=16).collect();
        for _ in 0..20 {
            let points: Vec<(u32, f64)> = curve(50.0, 0.05, 0.002, &counts)
                .into_iter()
                .map(|(n, x)| (n, x * (1.0 + 0.03 * noise())))
                .collect();
            let (fit, note) = fitted(&points);
            close(fit.lambda, 50.0, 3.0);
            close(fit.sigma, 0.05, 0.025);
            close(fit.kappa, 0.002, 0.001);
            close(fit.peak_workers.unwrap(), 21.8, 4.0);
            assert!(fit.r_squared > 0.97, "{fit:?}");
            assert_eq!(note, None);
        }
    }

    #[test]
    fn too_few_counts_are_said_plainly() {
        for (points, got) in [
            (vec![], 0),
            (vec![(1, 2.0), (2, 4.0)], 2),
            (vec![(1, 2.0), (1, 2.1), (2, 4.0), (2, 3.9)], 2),
            (
                vec![(1, 2.0), (2, 4.0), (3, 0.0), (0, 3.0), (4, f64::NAN)],
                2,
            ),
        ] {
            let Fitted { fit, note } = fit(&points);
            assert_eq!(fit, None);
            let expected =
                format!("the scalability fit needs at least 3 different worker counts, got {got}");
            assert_eq!(note, Some(expected));
        }
        let (_, note) = fitted(&curve(5.0, 0.1, 0.01, &[1, 2, 4]));
        assert!(note.unwrap().contains("r squared says nothing"));
    }

    #[test]
    fn superlinear_points_and_nonsense_are_noted() {
        let (fit, note) = fitted(&[(1, 1.0), (2, 4.0), (3, 9.0), (4, 16.0)]);
        assert_eq!((fit.sigma, fit.kappa, fit.peak_workers), (0.0, 0.0, None));
        assert!(note.unwrap().contains("grows faster"));
        let (_, note) = fitted(&[(1, 10.0), (2, 2.0), (3, 11.0), (4, 1.0), (5, 12.0)]);
        assert!(note.unwrap().contains("badly"));
        // Falling from the first worker on.
        let (fit, _) = fitted(&[(1, 10.0), (2, 8.0), (3, 6.0), (4, 5.0)]);
        assert_eq!(fit.peak_workers, Some(1.0));
    }

    proptest! {
        #[test]
        fn positive_points_never_give_nonsense(
            points in prop::collection::vec((1_u32.., prop::num::f64::POSITIVE), 0..40)
        ) {
            let Fitted { fit, note } = fit(&points);
            match fit {
                None => assert!(note.is_some()),
                Some(fit) => {
                    assert!(fit.sigma >= 0.0 && fit.kappa >= 0.0 && fit.lambda >= 0.0);
                    for value in [fit.sigma, fit.kappa, fit.lambda, fit.r_squared] {
                        assert!(value.is_finite(), "{fit:?}");
                    }
                    assert!(fit.peak_workers.is_none_or(|peak| peak.is_finite() && peak >= 1.0));
                }
            }
        }

        #[test]
        fn curves_within_the_bounds_are_found(
            lambda in 0.01..1e5_f64, sigma in 0.0..0.9_f64, kappa in 0.0..0.1_f64
        ) {
            let points = curve(lambda, sigma, kappa, &[1, 2, 4, 8, 16, 32]);
            let (fit, _) = fitted(&points);
            for (n, x) in points {
                close(throughput(&fit, f64::from(n)) / x, 1.0, 1e-3);
            }
        }
    }
}
