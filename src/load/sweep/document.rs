//! The document of a sweep: every point beside the first one, the fit, the count that is worth it.

use super::figures::{change, is_whole, listed, per_worker, ratio};
use super::{Counts, knee, workers};
use crate::load::result::{LoadTest, Point, SCHEMA, Sweep};
use crate::load::scalability::{self, Fitted};

/// The document of a sweep, of the points that were measured in this order. Whether the counts are restored
/// and why it ended early is the caller's to say.
pub fn document(project: &str, measured: Vec<(Counts, LoadTest)>) -> Sweep {
    let first = measured.first().map_or((0.0, 0.0), |(counts, result)| {
        let throughput = result.throughput_per_second;
        (throughput, per_worker(workers(counts), throughput))
    });
    let Fitted { fit, note } = fit(&measured);
    Sweep {
        schema: SCHEMA,
        project: project.to_owned(),
        fit,
        fit_note: note,
        recommended: knee::recommend(&measured),
        points: measured
            .into_iter()
            .map(|(counts, result)| Point {
                improvement_percent: tenths(change(first.0, result.throughput_per_second)),
                efficiency: thousandths(ratio(
                    per_worker(workers(&counts), result.throughput_per_second),
                    first.1,
                )),
                counts: listed(&counts),
                result,
            })
            .collect(),
        ..Sweep::default()
    }
}

/// The law, where the sweep is a curve: of one service, or of several whose counts keep their proportion.
fn fit(measured: &[(Counts, LoadTest)]) -> Fitted {
    let several = measured.first().is_some_and(|(counts, _)| counts.len() > 1);
    if several && !grow_together(measured) {
        return Fitted {
            fit: None,
            note: Some(
                "the services do not keep their proportion, so there is no curve of one count"
                    .into(),
            ),
        };
    }
    let fitted = scalability::fit(&usable(measured).collect::<Vec<_>>());
    let added = "the workers of several services are counted together";
    let note = match fitted.note {
        Some(note) if several && fitted.fit.is_some() => Some(format!("{added}; {note}")),
        None if several => Some(added.to_owned()),
        note => note,
    };
    Fitted { note, ..fitted }
}

/// Whether every point is a multiple of the first one.
fn grow_together(measured: &[(Counts, LoadTest)]) -> bool {
    let Some((first, _)) = measured.first() else {
        return true;
    };
    let all = u64::from(workers(first));
    measured.iter().all(|(counts, _)| {
        let total = u64::from(workers(counts));
        counts.iter().all(|(service, count)| {
            let share = first.get(service).copied().unwrap_or(0);
            u64::from(*count) * all == u64::from(share) * total
        })
    })
}

/// Workers and throughput of the points that were measured to their end.
fn usable(measured: &[(Counts, LoadTest)]) -> impl Iterator<Item = (u32, f64)> {
    measured
        .iter()
        .filter(|(_, result)| is_whole(result))
        .map(|(counts, result)| (workers(counts), result.throughput_per_second))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::super::knee::testing::{counts, of_one, recommends, swept};
    use super::document;
    use crate::load::result::LoadTest;

    #[test]
    fn a_point_is_compared_with_the_first() {
        let sweep = swept(&[
            ("a=1 b=1", 4.0),
            ("a=3 b=3", 10.8),
            ("a=3 b=1", 6.0),
            ("a=2 b=2", 3.0),
        ]);
        let figures: Vec<(f64, f64)> = sweep
            .points
            .iter()
            .map(|point| (point.improvement_percent, point.efficiency))
            .collect();
        assert_eq!(
            figures,
            [(0.0, 1.0), (170.0, 0.9), (50.0, 0.75), (-25.0, 0.375)]
        );
        assert_eq!(sweep.points[1].counts[1].service, "b");
        assert_eq!((sweep.schema, sweep.project.as_str()), (1, "shop"));
        assert!(sweep.fit.is_none());
        assert!(
            sweep
                .fit_note
                .unwrap()
                .starts_with("the services do not keep")
        );
        let together = swept(&[("a=1 b=2", 4.0), ("a=2 b=4", 7.0), ("a=4 b=8", 10.0)]);
        assert!(together.fit.is_some());
        assert!(
            together
                .fit_note
                .unwrap()
                .starts_with("the workers of several services")
        );
        // Nothing to compare with is no reason for an infinity.
        let sweep = of_one(&[0.0, 5.0]);
        assert_eq!(
            (
                sweep.points[1].improvement_percent,
                sweep.points[1].efficiency
            ),
            (0.0, 0.0)
        );
    }

    #[test]
    fn points_that_did_not_end_are_left_out() {
        let point = |throughput, interrupted| LoadTest {
            throughput_per_second: throughput,
            interrupted,
            ..LoadTest::default()
        };
        let measured = vec![
            (counts("a=1"), point(5.0, false)),
            (counts("a=2"), point(50.0, true)),
            (counts("a=3"), point(0.0, false)),
        ];
        let sweep = document("shop", measured);
        assert_eq!(sweep.points.len(), 3);
        recommends(
            &sweep,
            "a=1 is all that was measured: measure other counts too",
        );
        assert_eq!(
            sweep.fit_note.as_deref(),
            Some("the scalability fit needs at least 3 different worker counts, got 1")
        );
        assert_eq!(document("shop", Vec::new()).recommended, None);
    }

    proptest! {
        #[test]
        fn no_figures_make_nonsense(throughputs in prop::collection::vec(0.0..1e9_f64, 0..20)) {
            let sweep = of_one(&throughputs);
            for point in &sweep.points {
                assert!(point.improvement_percent.is_finite() && point.efficiency.is_finite());
            }
            let any = throughputs.iter().any(|throughput| *throughput > 0.0);
            assert_eq!(sweep.recommended.is_some(), any);
        }
    }
}
