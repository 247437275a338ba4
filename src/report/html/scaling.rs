//! The scaling curve of a sweep: what was measured, the fitted law, ideal scaling, the knee.

use std::fmt::Write as _;

use super::axis::{Axis, figure};
use super::chart::figure_of;
use super::escape;
use super::plot::Plot;
use crate::load::result::{Point, Sweep};
use crate::load::scalability;
use crate::report::load_sweep::{configuration, workers};

/// Points of a drawn curve.
const SAMPLES: u32 = 120;

/// The chart; nothing without points.
pub fn curve(sweep: &Sweep) -> String {
    let Some(most) = sweep.points.iter().map(workers).max() else {
        return String::new();
    };
    let most = most.max(1);
    let throughput = |point: &Point| point.result.throughput_per_second;
    let highest = sweep.points.iter().map(throughput).fold(0.0, f64::max);
    let recommended = sweep.recommended.as_ref();
    let knee = sweep
        .points
        .iter()
        .find(|point| recommended.is_some_and(|knee| knee.counts == point.counts));

    let mut label = format!(
        "Throughput by number of workers: {} points, {} tasks per second at most.",
        sweep.points.len(),
        figure(highest)
    );
    if let Some(knee) = recommended {
        let _ = write!(label, " {}.", knee.reason);
    }
    let mut plot = Plot::new(
        Axis::of_workers(most, 8.0),
        Axis::of_amounts(highest * 1.08, 5.0, false),
        label,
    );
    let end = plot.x.max;
    let mut legend = vec![("point".to_owned(), "measured".to_owned())];
    // Every worker brings as much as one of the first point does, or one of the fitted law.
    let first = sweep.points.first().filter(|point| workers(point) > 0);
    let each = sweep
        .fit
        .map(|fit| fit.lambda)
        .or_else(|| first.map(|point| throughput(point) / f64::from(workers(point))));
    if let Some(each) = each.filter(|each| *each > 0.0) {
        plot.curve(&[(0.0, 0.0), (end, each * end)], "ideal");
        legend.push((
            "ideal".to_owned(),
            "ideal: every worker counts in full".to_owned(),
        ));
    }
    if let Some(fit) = &sweep.fit {
        let points: Vec<(f64, f64)> = (0..=SAMPLES)
            .map(|sample| {
                let workers = end * f64::from(sample) / f64::from(SAMPLES);
                (workers, scalability::throughput(fit, workers))
            })
            .filter(|(_, throughput)| throughput.is_finite())
            .collect();
        plot.curve(&points, "c0");
        legend.push((
            "c0".to_owned(),
            "Universal Scalability Law, fitted".to_owned(),
        ));
    }
    if let Some(knee) = knee {
        mark(&mut plot, knee);
        legend.push(("point knee".to_owned(), "recommended".to_owned()));
    }
    for point in &sweep.points {
        let chosen = knee.is_some_and(|knee| std::ptr::eq(knee, point));
        let _ = write!(
            plot.above,
            "<circle class=\"point{}\" cx=\"{:.2}%\" cy=\"{:.2}%\" r=\"5\"><title>{}: {} per second</title></circle>",
            if chosen { " knee" } else { "" },
            plot.left(f64::from(workers(point))),
            plot.top(throughput(point)),
            escape(&configuration(point)),
            figure(throughput(point))
        );
    }
    let services: Vec<&str> = sweep
        .points
        .first()
        .map(|point| {
            point
                .counts
                .iter()
                .map(|count| count.service.as_str())
                .collect()
        })
        .unwrap_or_default();
    let caption = format!(
        "completed tasks per second, by number of workers of {}",
        services.join(" and ")
    );
    figure_of("Scaling curve", &caption, &legend, &plot.render(), true)
}

/// A line from the knee to the axis, with its count at the foot, where no curve is.
fn mark(plot: &mut Plot, knee: &Point) {
    let number = f64::from(workers(knee));
    let (left, top) = (
        plot.left(number),
        plot.top(knee.result.throughput_per_second),
    );
    let (anchor, shift) = if left < 55.0 {
        ("start", 8)
    } else {
        ("end", -8)
    };
    let words = match workers(knee) {
        1 => "1 worker".to_owned(),
        number => format!("{number} workers"),
    };
    let _ = write!(
        plot.above,
        "<line class=\"mark\" x1=\"{left:.2}%\" x2=\"{left:.2}%\" y1=\"{top:.2}%\" y2=\"100%\"/>\
         <circle class=\"ring\" cx=\"{left:.2}%\" cy=\"{top:.2}%\" r=\"10\"/>\
         <text class=\"strong\" x=\"{left:.2}%\" y=\"100%\" dx=\"{shift}\" dy=\"-10\" text-anchor=\"{anchor}\">{words}</text>"
    );
}
