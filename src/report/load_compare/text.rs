//! A comparison as text.

use std::fmt::Write as _;

use anstyle::AnsiColor;
use comfy_table::{ContentArrangement, Table, presets};

use super::{Change, Comparison, find};
use crate::load::result::{Arrival, LoadTest, ServiceCount};
use crate::plain::line;
use crate::report::load_text;
use crate::report::text::Paint;

/// Changes below this are noise and not painted.
const NOTEWORTHY_PERCENT: f64 = 1.0;
/// What a terminal needs at least to show the figures before as well.
const BEFORE_FITS: u16 = 54;

/// A block for the run and for each task type; a narrow terminal goes without the figures before.
pub fn text(comparison: &Comparison, paint: Paint, width: Option<u16>) -> String {
    let Comparison {
        before,
        after,
        changes,
        ..
    } = comparison;
    let mut text = format!("Compared with the run of {}", line(&before.began_at));
    if !before.counts.is_empty() {
        let _ = write!(
            text,
            " ({} -> {})",
            line(&counts(before)),
            line(&counts(after))
        );
    }
    text.push('\n');
    if load(before) != load(after) {
        let _ = writeln!(
            text,
            "{}: not the same load: {} before, {} now",
            paint.with(AnsiColor::Yellow, "note"),
            load(before),
            load(after)
        );
    }
    text.push('\n');
    text.push_str(&table(comparison, changes, paint, width));
    text
}

fn counts(result: &LoadTest) -> String {
    let counts: Vec<String> = result
        .counts
        .iter()
        .map(|ServiceCount { service, replicas }| format!("{service} {replicas}"))
        .collect();
    counts.join(", ")
}

/// How much was sent, and how.
pub fn load(result: &LoadTest) -> String {
    let how = match (result.arrival, result.rate_per_second, result.concurrency) {
        (Arrival::Open, Some(rate), _) => format!("at {rate}/s of each type"),
        (_, _, Some(most)) => format!("{most} of each type in flight"),
        _ => "all at once".to_owned(),
    };
    format!("{} tasks {how}", result.sent)
}

fn table(comparison: &Comparison, changes: &[Change], paint: Paint, width: Option<u16>) -> String {
    let with_before = width.is_none_or(|width| width >= BEFORE_FITS);
    let row = |cells: [String; 4]| -> Vec<String> {
        let [metric, before, after, change] = cells;
        if with_before {
            vec![metric, before, after, change]
        } else {
            vec![metric, after, change]
        }
    };
    let header = ["METRIC", "BEFORE", "NOW", "CHANGE"].map(str::to_owned);
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(row(header))
        .set_content_arrangement(ContentArrangement::Disabled);
    // One for each line below the header, so that painting comes after the layout.
    let mut colors = Vec::new();
    let mut group: Option<&Option<String>> = None;
    for change in changes {
        if group != Some(&change.name) {
            group = Some(&change.name);
            let title = title(comparison, change.name.as_deref());
            let title = line(&title).into_owned();
            table.add_row(row([title, String::new(), String::new(), String::new()]));
            colors.push(None);
        }
        let figure = |value: Option<f64>| shown(change, value);
        let percent = shown_percent(change);
        colors.push(color(change).map(|color| (color, percent.clone())));
        table.add_row(row([
            format!("  {}", line(&words(&change.metric))),
            figure(change.before),
            figure(change.after),
            percent,
        ]));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    let colors = std::iter::once(None).chain(colors);
    for (line, color) in table.lines().zip(colors) {
        let line = line.trim_end();
        match color
            .and_then(|(color, percent)| Some((color, line.strip_suffix(&percent)?, percent)))
        {
            Some((color, before, percent)) => {
                let _ = writeln!(text, "{before}{}", paint.with(color, &percent));
            }
            None => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

fn title(comparison: &Comparison, name: Option<&str>) -> String {
    let Some(name) = name else {
        return "All tasks".to_owned();
    };
    let (before, after) = (
        find(&comparison.before, name).is_some(),
        find(&comparison.after, name).is_some(),
    );
    match (before, after) {
        (true, false) => format!("{name} (only before)"),
        (false, true) => format!("{name} (only now)"),
        _ => name.to_owned(),
    }
}

/// `queue_wait.p95_seconds` as `queue wait p95`.
fn words(metric: &str) -> String {
    let short = metric.trim_end_matches("_per_second");
    let short = short.trim_end_matches("_seconds");
    match short {
        "total" => "total time".to_owned(),
        "p50" | "p95" | "p99" => format!("end to end {short}"),
        short => short.replace(['_', '.'], " "),
    }
}

fn shown(change: &Change, value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    if change.metric.ends_with("_per_second") {
        format!("{value:.2}/s")
    } else if change.metric.ends_with("_seconds") {
        // Both in one unit.
        let largest = change
            .before
            .unwrap_or(0.0)
            .max(change.after.unwrap_or(0.0));
        load_text::seconds(value, largest)
    } else {
        format!("{value}")
    }
}

fn shown_percent(change: &Change) -> String {
    match (change.change_percent, change.before, change.after) {
        (_, Some(before), Some(after)) if before.total_cmp(&after).is_eq() => "same".to_owned(),
        (Some(percent), ..) => format!("{percent:+.1} %"),
        // From nothing there is no percentage.
        (None, Some(_), Some(_)) => "new".to_owned(),
        _ => "-".to_owned(),
    }
}

/// Green for the better; only throughput is better when it is higher.
fn color(change: &Change) -> Option<AnsiColor> {
    let (before, after) = change.before.zip(change.after)?;
    if change
        .change_percent
        .is_some_and(|percent| percent.abs() < NOTEWORTHY_PERCENT)
    {
        return None;
    }
    let higher_is_better = change.metric == "throughput_per_second";
    match after.total_cmp(&before) {
        std::cmp::Ordering::Equal => None,
        order => {
            let better = order.is_gt() == higher_is_better;
            Some(if better {
                AnsiColor::Green
            } else {
                AnsiColor::Red
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare;
    use super::super::testing::result;
    use super::text;
    use crate::load::result::LoadTest;
    use crate::report::text::Paint;

    #[test]
    fn both_stand_side_by_side_with_the_change() {
        let before = result(1, 5.0, 4.0, &["Task A", "Task B"]);
        let mut after = result(3, 12.5, 1.0, &["Task A", "Task C"]);
        after.failed = 2;
        let comparison = compare(&before, &after);
        let lines = text(&comparison, Paint(false), None);
        let expected = "\
Compared with the run of 2026-11-21T08:00:00.000Z (worker-a 1 -> worker-a 3)

METRIC                BEFORE   NOW      CHANGE
All tasks
  throughput          5.00/s   12.50/s  +150.0 %
  total time          8.000s   3.200s   -60.0 %
  failed              0        2        new
  lost                0        0        same
  end to end p50      4.000s   1.000s   -75.0 %
  end to end p95      8.000s   2.000s   -75.0 %
  end to end p99      12.000s  3.000s   -75.0 %
Task A
  throughput          2.50/s   6.25/s   +150.0 %
  failed              0        0        same
  lost                0        0        same
  end to end p50      4.000s   1.000s   -75.0 %
  end to end p95      8.000s   2.000s   -75.0 %
  end to end p99      12.000s  3.000s   -75.0 %
  execution p50       10.00ms  10.00ms  same
  execution p95       20.00ms  20.00ms  same
  execution p99       30.00ms  30.00ms  same
Task C (only now)
  throughput          -        6.25/s   -
";
        assert!(lines.starts_with(expected), "{lines}");
        assert!(lines.contains("\nTask B (only before)\n"), "{lines}");
        let painted = text(&comparison, Paint(true), Some(40));
        for line in [
            "METRIC                NOW      CHANGE\n",
            "  throughput          12.50/s  \x1b[32m+150.0 %\x1b[0m\n",
            "  total time          3.200s   \x1b[32m-60.0 %\x1b[0m\n",
            "  failed              2        \x1b[31mnew\x1b[0m\n",
            "  lost                0        same\n",
        ] {
            assert!(painted.contains(line), "{painted}");
        }
    }

    #[test]
    fn another_load_is_said() {
        let before = result(1, 5.0, 4.0, &["Task A"]);
        let after = LoadTest {
            concurrency: Some(10),
            ..before.clone()
        };
        let text = text(&compare(&before, &after), Paint(false), None);
        assert!(
            text.contains(
                "note: not the same load: 40 tasks all at once before, 40 tasks 10 of each type in flight now"
            ),
            "{text}"
        );
    }
}
