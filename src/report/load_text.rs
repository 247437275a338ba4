//! A load test's result as text: the summary, then where the time went, then who did the work.

use std::fmt::Write as _;

use anstyle::AnsiColor;

use super::grid::grid;
use super::text::Paint;
use crate::load::distribution::Distribution;
use crate::load::result::{LoadTest, TaskResult};
use crate::phrase::{list, plural};
use crate::plain::line;

const RULE: &str = "--------------------------------------------------";
/// Below this many seconds a figure is printed in milliseconds.
const MILLISECONDS: f64 = 0.1;
/// Columns of the bar that shows a share.
const BAR: f64 = 20.0;

/// What is said before sending: `20 tasks of each type (Task A -> queue_a)`.
pub fn starting(amount: &str, tasks: &[(String, Option<String>)]) -> String {
    let names: Vec<String> = tasks
        .iter()
        .map(|(name, queue)| match queue {
            Some(queue) => format!("{name} -> {queue}"),
            None => name.clone(),
        })
        .collect();
    format!("Starting load test: {amount} ({})", names.join(", "))
}

/// `Workers: worker-a 3, worker-b 1`.
pub fn workers(result: &LoadTest) -> String {
    let counts: Vec<String> = result
        .counts
        .iter()
        .map(|count| format!("{} {}", count.service, count.replicas))
        .collect();
    format!("Workers: {}", counts.join(", "))
}

/// The whole result, as wide as `width` allows.
pub fn load_test(result: &LoadTest, paint: Paint, width: Option<u16>) -> String {
    let mut text = format!("{RULE}\nLoad Test Summary:\n");
    let _ = writeln!(text, "  Total tasks sent: {}", result.sent);
    let _ = writeln!(text, "  Total time: {:.3}s", result.total_seconds);
    let _ = writeln!(
        text,
        "  Overall throughput: {:.2} tasks/sec",
        result.throughput_per_second
    );
    for task in &result.tasks {
        let (what, distribution) = match (&task.execution_seconds, &task.end_to_end_seconds) {
            (Some(execution), _) => ("execution", Some(execution)),
            (None, end_to_end) => ("end to end", end_to_end.as_ref()),
        };
        if let Some(distribution) = distribution {
            let mean = seconds(distribution.mean, distribution.mean);
            let _ = writeln!(text, "  {} average {what}: {mean}", line(&task.name));
        }
    }
    text.push('\n');
    text.push_str(&tasks(result, width));
    text.push_str(&times(result, width));
    text.push_str(&replicas(result, width));
    text.push_str(&remarks(result, paint));
    text
}

fn tasks(result: &LoadTest, width: Option<u16>) -> String {
    let rows = result.tasks.iter().map(|task| {
        [
            task.name.clone(),
            task.sent.to_string(),
            task.completed.to_string(),
            task.failed.to_string(),
            task.lost.to_string(),
            task.retried.to_string(),
            format!("{:.2}/s", task.throughput_per_second),
        ]
    });
    let header = [
        "TASK",
        "SENT",
        "COMPLETED",
        "FAILED",
        "LOST",
        "RETRIED",
        "THROUGHPUT",
    ];
    let rows: Vec<[String; 7]> = rows.collect();
    grid(&header, &rows, &["RETRIED", "SENT"], width) + "\n"
}

fn times(result: &LoadTest, width: Option<u16>) -> String {
    let rows = result.tasks.iter().flat_map(|task| {
        let figures = [
            ("queue wait", task.queue_wait_seconds),
            ("execution", task.execution_seconds),
            ("end to end", task.end_to_end_seconds),
        ];
        figures.into_iter().filter_map(|(what, distribution)| {
            let Distribution {
                p50,
                p90,
                p95,
                p99,
                max,
                samples,
                ..
            } = distribution?;
            let cell = |figure: f64| seconds(figure, max);
            Some([
                task.name.clone(),
                what.to_owned(),
                cell(p50),
                cell(p90),
                cell(p95),
                cell(p99),
                cell(max),
                samples.to_string(),
            ])
        })
    });
    let rows: Vec<[String; 8]> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let header = ["TASK", "TIME", "P50", "P90", "P95", "P99", "MAX", "SAMPLES"];
    grid(&header, &rows, &["SAMPLES", "P90", "P99"], width) + "\n"
}

fn replicas(result: &LoadTest, width: Option<u16>) -> String {
    let rows: Vec<[String; 4]> = result
        .replicas
        .iter()
        .map(|replica| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to BAR.
            let length = (replica.share * BAR).round() as usize;
            [
                replica.name.clone(),
                replica.completed.to_string(),
                format!("{:.0} %", replica.share * 100.0),
                "━".repeat(length),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    grid(&["REPLICA", "COMPLETED", "SHARE", ""], &rows, &[""], width) + "\n"
}

fn remarks(result: &LoadTest, paint: Paint) -> String {
    let mut text = String::new();
    for task in &result.tasks {
        text.push_str(&of_task(task, paint));
    }
    if !result.died.is_empty() {
        let _ = writeln!(
            text,
            "{}: {} stopped or restarted during the run: {}",
            paint.with(AnsiColor::Red, "died"),
            plural(result.died.len(), "replica"),
            line(&list(&result.died))
        );
    }
    if result.warmup_tasks > 0 {
        let _ = writeln!(
            text,
            "warm-up: {} before the measured run",
            plural(
                usize::try_from(result.warmup_tasks).unwrap_or(usize::MAX),
                "task"
            )
        );
    }
    if let Some(rate) = result.rate_per_second {
        let _ = writeln!(
            text,
            "rate: {rate} tasks of each type a second; times count from when a task was due"
        );
    }
    match result.events {
        Some(true) => {
            text.push_str("events: on, so workers tell execution times and who did what\n");
        }
        Some(false) => text.push_str("events: off, so execution times and shares are not known\n"),
        None => {}
    }
    text
}

fn of_task(task: &TaskResult, paint: Paint) -> String {
    let mut text = String::new();
    if !task.errors.is_empty() {
        let errors: Vec<String> = task
            .errors
            .iter()
            .map(|error| format!("{} {}", error.count, error.class))
            .collect();
        let _ = writeln!(
            text,
            "{}: {}: {}",
            line(&task.name),
            paint.with(AnsiColor::Red, "failed"),
            line(&errors.join(", "))
        );
    }
    let queued = match task.queued {
        Some(0) => ", none of them still queued".to_owned(),
        Some(queued) => format!(", {queued} of them still queued"),
        None => String::new(),
    };
    if task.lost > 0 {
        let _ = writeln!(
            text,
            "{}: {}: {} without a result{queued}",
            line(&task.name),
            paint.with(AnsiColor::Red, "lost"),
            task.lost
        );
    }
    if task.purged > 0 {
        let _ = writeln!(
            text,
            "{}: {} purged from the queue",
            line(&task.name),
            task.purged
        );
    }
    text
}

/// A figure in the unit that suits the largest one beside it.
pub fn seconds(figure: f64, largest: f64) -> String {
    if largest < MILLISECONDS {
        format!("{:.2}ms", figure * 1000.0)
    } else {
        format!("{figure:.3}s")
    }
}
