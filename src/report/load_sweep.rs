//! A sweep as text: a row for every configuration, the fitted law, which one is worth it.

use std::fmt::Write as _;

use anstyle::AnsiColor;

use super::grid::grid;
use super::text::Paint;
use crate::load::result::{Fit, Point, Sweep};
use crate::plain::line;

const HEADER: [&str; 5] = [
    "CONFIGURATION",
    "WORKERS",
    "THROUGHPUT",
    "IMPROVEMENT",
    "EFFICIENCY",
];
/// Columns that a narrow terminal goes without, first ones first.
const DISPENSABLE: [&str; 3] = ["WORKERS", "EFFICIENCY", "IMPROVEMENT"];

/// The whole sweep, as wide as `width` allows.
pub fn sweep(sweep: &Sweep, paint: Paint, width: Option<u16>) -> String {
    let mut text = String::new();
    if !sweep.points.is_empty() {
        text.push_str(&table(&sweep.points, width));
        text.push('\n');
    }
    if let Some(fit) = &sweep.fit {
        text.push_str(&law(fit));
    }
    if let Some(note) = &sweep.fit_note {
        let _ = writeln!(
            text,
            "{}: {}",
            paint.with(AnsiColor::Yellow, "note"),
            line(note)
        );
    }
    for point in &sweep.points {
        if let Some(error) = &point.result.error {
            let _ = writeln!(
                text,
                "{}: {} was not measured to its end: {}",
                paint.with(AnsiColor::Yellow, "note"),
                line(&configuration(point)),
                line(error)
            );
        }
    }
    if let Some(recommended) = &sweep.recommended {
        text.push_str(&line(&recommended.reason));
        text.push('\n');
    }
    text
}

/// `worker-a=2 worker-b=2`.
pub fn configuration(point: &Point) -> String {
    let words: Vec<String> = point
        .counts
        .iter()
        .map(|count| format!("{}={}", count.service, count.replicas))
        .collect();
    words.join(" ")
}

/// Workers of all services that are swept.
pub fn workers(point: &Point) -> u32 {
    let counts = point.counts.iter().map(|count| count.replicas);
    counts.fold(0, u32::saturating_add)
}

fn table(points: &[Point], width: Option<u16>) -> String {
    let rows: Vec<[String; 5]> = points
        .iter()
        .enumerate()
        .map(|(place, point)| {
            let improvement = match place {
                0 => "-".to_owned(),
                _ => format!("{:+.1} %", point.improvement_percent),
            };
            [
                configuration(point),
                workers(point).to_string(),
                format!("{:.2}/s", point.result.throughput_per_second),
                improvement,
                format!("{:.0} %", point.efficiency * 100.0),
            ]
        })
        .collect();
    grid(&HEADER, &rows, &DISPENSABLE, width)
}

fn law(fit: &Fit) -> String {
    let mut text = format!(
        "Universal Scalability Law: lambda {:.2}/s (one worker), sigma {:.4} (contention), kappa {:.6} \
         (coherency), r squared {:.3}\n",
        fit.lambda, fit.sigma, fit.kappa, fit.r_squared
    );
    if let Some(peak) = fit.peak_workers {
        let _ = writeln!(text, "  the fitted curve is highest at {peak:.1} workers");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::sweep;
    use crate::load::result::{LoadTest, Sweep};
    use crate::load::sweep::{Counts, document};
    use crate::report::text::Paint;

    fn measured(points: &[(&[(&str, u32)], f64)]) -> Sweep {
        let points = points.iter().map(|(counts, throughput)| {
            let counts: Counts = counts
                .iter()
                .map(|(service, count)| ((*service).to_owned(), *count))
                .collect();
            let result = LoadTest {
                throughput_per_second: *throughput,
                ..LoadTest::default()
            };
            (counts, result)
        });
        document("shop", points.collect())
    }

    #[test]
    fn a_sweep_is_a_table_a_law_and_a_sentence() {
        let measured = measured(&[
            (&[("worker-a", 1)], 5.0),
            (&[("worker-a", 2)], 9.5),
            (&[("worker-a", 4)], 17.0),
            (&[("worker-a", 8)], 18.0),
        ]);
        assert_eq!(
            sweep(&measured, Paint(false), None),
            "\
CONFIGURATION  WORKERS  THROUGHPUT  IMPROVEMENT  EFFICIENCY
worker-a=1     1        5.00/s      -            100 %
worker-a=2     2        9.50/s      +90.0 %      95 %
worker-a=4     4        17.00/s     +240.0 %     85 %
worker-a=8     8        18.00/s     +260.0 %     45 %

Universal Scalability Law: lambda 5.25/s (one worker), sigma 0.0000 (contention), kappa 0.023343 \
(coherency), r squared 0.994
  the fitted curve is highest at 6.5 workers
worker-a=4 gives 94 % of the peak; worker-a=8 adds 6 %
"
        );
    }

    #[test]
    fn a_narrow_terminal_keeps_the_configuration_and_the_throughput() {
        let mut measured = measured(&[
            (&[("worker-a", 1), ("worker-b", 1)], 5.0),
            (&[("worker-a", 3), ("worker-b", 1)], 4.0),
        ]);
        measured.points[1].result.error = Some("interrupted".into());
        assert_eq!(
            sweep(&measured, Paint(false), Some(48)),
            "\
CONFIGURATION          THROUGHPUT  IMPROVEMENT
worker-a=1 worker-b=1  5.00/s      -
worker-a=3 worker-b=1  4.00/s      -20.0 %

note: the services do not keep their proportion, so there is no curve of one count
note: worker-a=3 worker-b=1 was not measured to its end: interrupted
worker-a=1 worker-b=1 gives the highest throughput; worker-a=3 worker-b=1 takes 20 % away
"
        );
    }
}
