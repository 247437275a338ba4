//! The charts of a run: throughput over time, histograms, shares.

use std::fmt::Write as _;

use super::axis::{Axis, count, figure, seconds};
use super::escape;
use super::plot::Plot;
use crate::load::distribution::{Bucket, Distribution};
use crate::load::result::{LoadTest, ReplicaShare, TaskResult, Timeline};

/// Lines that can be told apart; with more task types only their sum is drawn.
const LINES: usize = 6;
/// The most ticks of an axis.
const TICKS: f64 = 5.0;
/// Labels below a histogram.
const LABELS: usize = 7;

/// Completed tasks per second over the time of the run; nothing when nothing was timed.
pub fn throughput(result: &LoadTest) -> String {
    let interval = result
        .tasks
        .iter()
        .map(|task| task.timeline.interval_seconds)
        .fold(0.0, f64::max);
    let length = |timeline: &Timeline| timeline.completed.len().max(timeline.failed.len());
    let intervals = result.tasks.iter().map(|task| length(&task.timeline));
    let intervals = intervals.max().unwrap_or(0);
    if !interval.is_finite() || interval <= 0.0 || intervals == 0 {
        return String::new();
    }
    let rates = |series: fn(&Timeline) -> &[u64], tasks: &[TaskResult]| -> Vec<f64> {
        let at = |place: usize| {
            let counts = tasks
                .iter()
                .filter_map(|task| series(&task.timeline).get(place));
            float(counts.fold(0, |sum: u64, count| sum.saturating_add(*count))) / interval
        };
        (0..intervals).map(at).collect()
    };
    let completed: fn(&Timeline) -> &[u64] = |timeline| &timeline.completed;
    let mut lines: Vec<(String, Vec<f64>)> = Vec::new();
    if (2..=LINES).contains(&result.tasks.len()) {
        for task in &result.tasks {
            let one = std::slice::from_ref(task);
            lines.push((task.name.clone(), rates(completed, one)));
        }
    } else {
        lines.push(("all tasks".into(), rates(completed, &result.tasks)));
    }
    let failed = rates(|timeline| &timeline.failed, &result.tasks);
    let any_failed = failed.iter().any(|rate| *rate > 0.0);

    let all = lines.iter().flat_map(|(_, rates)| rates).chain(&failed);
    let highest = all.copied().fold(0.0, f64::max);
    #[allow(clippy::cast_precision_loss)] // At most some thousands.
    let time = intervals as f64 * interval;
    let label = format!(
        "Completed tasks per second over {}: {} on average, {} at most in one interval of {}.",
        seconds(time, time),
        figure(result.throughput_per_second),
        figure(highest),
        seconds(interval, interval),
    );
    let mut plot = Plot::new(
        Axis::of_seconds(time, 8.0),
        Axis::of_amounts(highest, TICKS, false),
        label,
    );
    let mut legend = Vec::new();
    let single = lines.len() == 1;
    for (place, (name, rates)) in lines.iter().enumerate() {
        let steps = steps(rates, interval);
        if single {
            plot.area(&steps, "f0");
        }
        plot.curve(&steps, &format!("c{place}"));
        if !single || any_failed {
            legend.push((format!("c{place}"), name.clone()));
        }
    }
    if any_failed {
        // Only where there are some: a line at 0 says nothing.
        let levels = steps(&failed, interval);
        for run in levels
            .split(|(_, rate)| *rate <= 0.0)
            .filter(|run| !run.is_empty())
        {
            plot.area(run, "fails");
            let (first, last) = (run[0].0, run[run.len() - 1].0);
            plot.curve(&[&[(first, 0.0)], run, &[(last, 0.0)]].concat(), "failed");
        }
        legend.push(("failed".to_owned(), "failed".to_owned()));
    }
    let caption = format!(
        "completed tasks{} per second, in intervals of {}",
        if result.tasks.len() > LINES {
            " of all types"
        } else {
            ""
        },
        seconds(interval, interval)
    );
    figure_of(
        "Throughput over time",
        &caption,
        &legend,
        &plot.render(),
        true,
    )
}

/// A level for each interval.
fn steps(rates: &[f64], interval: f64) -> Vec<(f64, f64)> {
    let mut points = Vec::with_capacity(2 * rates.len());
    let mut time = 0.0;
    for rate in rates {
        points.push((time, *rate));
        time += interval;
        points.push((time, *rate));
    }
    points
}

/// How the end-to-end times of a task type are spread; nothing without any.
pub fn histogram(task: &TaskResult) -> String {
    let buckets = &task.histogram;
    let Some(highest) = buckets.iter().map(|bucket| bucket.count).max() else {
        return String::new();
    };
    let all: u64 = buckets
        .iter()
        .fold(0, |sum, bucket| sum.saturating_add(bucket.count));
    let number = float(buckets.len() as u64);
    let mut x = Axis {
        max: number,
        ticks: Vec::new(),
    };
    let every = buckets.len().div_ceil(LABELS);
    for (place, bucket) in buckets.iter().enumerate().skip(every - 1).step_by(every) {
        x.ticks.push(super::axis::Tick {
            at: 100.0 * float(place as u64 + 1) / number,
            label: bound(bucket.up_to_seconds),
        });
    }
    let label = match &task.end_to_end_seconds {
        Some(times) => format!(
            "End-to-end times of {} tasks: {}.",
            count(all),
            spread(times)
        ),
        None => format!("End-to-end times of {} tasks.", count(all)),
    };
    let mut plot = Plot::new(x, Axis::of_amounts(float(highest), TICKS, true), label);
    for (place, bucket) in buckets.iter().enumerate() {
        let width = 100.0 / number;
        let left = width * float(place as u64);
        let top = plot.top(float(bucket.count));
        let title = format!(
            "{}: {} of {} tasks",
            match place.checked_sub(1).map(|before| &buckets[before]) {
                Some(Bucket { up_to_seconds, .. }) => format!(
                    "{} to {}",
                    bound(*up_to_seconds),
                    bound(bucket.up_to_seconds)
                ),
                None => format!("up to {}", bound(bucket.up_to_seconds)),
            },
            count(bucket.count),
            count(all)
        );
        let _ = write!(
            plot.below,
            "<rect class=\"bar\" x=\"{:.2}%\" y=\"{top:.2}%\" width=\"{:.2}%\" height=\"{:.2}%\"><title>{title}</title></rect>",
            left + width * 0.05,
            width * 0.9,
            100.0 - top
        );
    }
    if let Some(times) = &task.end_to_end_seconds {
        // To the left and to the right of their lines, so that the labels never meet.
        for (name, time, anchor, shift) in [
            ("p50", times.p50, "end", -4),
            ("p95", times.p95, "start", 4),
        ] {
            let at = place_of(buckets, time);
            let _ = write!(
                plot.above,
                "<line class=\"mark\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"-20\" y2=\"100%\"/>\
                 <text class=\"strong\" x=\"{at:.2}%\" y=\"0\" dx=\"{shift}\" dy=\"-11\" text-anchor=\"{anchor}\">{name}</text>"
            );
        }
    }
    let caption = match &task.end_to_end_seconds {
        Some(times) => format!("tasks by end-to-end time; {}", spread(times)),
        None => "tasks by end-to-end time".to_owned(),
    };
    figure_of(&task.name, &caption, &[], &plot.render(), false)
}

fn spread(times: &Distribution) -> String {
    format!(
        "half within {}, 95 % within {}",
        seconds(times.p50, times.p50),
        seconds(times.p95, times.p95)
    )
}

/// Where a time lies among the bars, in percent.
fn place_of(buckets: &[Bucket], time: f64) -> f64 {
    let number = float(buckets.len() as u64);
    let place = buckets.partition_point(|bucket| bucket.up_to_seconds < time);
    let Some(bucket) = buckets.get(place) else {
        return 100.0;
    };
    let within = match place
        .checked_sub(1)
        .map(|before| buckets[before].up_to_seconds)
    {
        Some(lower) if bucket.up_to_seconds > lower => {
            (time - lower) / (bucket.up_to_seconds - lower)
        }
        // Where the first bar begins is not known.
        _ => 0.5,
    };
    100.0 * (float(place as u64) + within.clamp(0.0, 1.0)) / number
}

/// A bucket's bound, which is a round number: `150 ms`, `2 s`.
fn bound(seconds: f64) -> String {
    let (value, unit) = match seconds {
        ..0.001 => (seconds * 1e6, "µs"),
        ..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    format!("{} {unit}", (value * 10.0).round() / 10.0)
}

/// What each replica did, and how far that is from an even share.
pub fn shares(result: &LoadTest) -> String {
    if result.replicas.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for replica in &result.replicas {
        let same = |other: &&ReplicaShare| other.service == replica.service;
        let number = result.replicas.iter().filter(same).count();
        let even = 100.0 / float(number as u64);
        let percent = (replica.share * 100.0).clamp(0.0, 100.0);
        let mark = if number > 1 {
            format!(
                "<line class=\"even\" x1=\"{even:.2}%\" x2=\"{even:.2}%\" y1=\"-3\" y2=\"15\"/>"
            )
        } else {
            String::new()
        };
        let service = match &replica.service {
            Some(service) => escape(service),
            None => "no replica of the project".to_owned(),
        };
        let _ = write!(
            rows,
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th>\
             <td role=\"cell\" class=\"text\" data-label=\"Service\">{service}</td>\
             <td role=\"cell\" data-label=\"Completed\">{}</td>\
             <td role=\"cell\" data-label=\"Share\">{percent:.1} %</td>\
             <td role=\"cell\" class=\"wide\"><svg role=\"img\" aria-label=\"{percent:.1} % of its service, {even:.1} % would be even\">\
             <rect class=\"track\" width=\"100%\" height=\"12\" rx=\"3\"/>\
             <rect class=\"bar\" width=\"{percent:.2}%\" height=\"12\" rx=\"3\"/>{mark}</svg></td></tr>",
            escape(&replica.name),
            count(replica.completed),
        );
    }
    format!(
        "<section><h2>Who did the work</h2>\
         <p class=\"sub\">tasks completed by each replica; the line in a bar marks an even share of its service</p>\
         <div class=\"card stack\"><table class=\"fold three\" role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">\
         <th role=\"columnheader\" scope=\"col\">Replica</th><th role=\"columnheader\" scope=\"col\">Service</th>\
         <th role=\"columnheader\" scope=\"col\">Completed</th><th role=\"columnheader\" scope=\"col\">Share</th>\
         <th role=\"columnheader\" scope=\"col\"><span class=\"hidden\">Bar</span></th></tr></thead>\
         <tbody role=\"rowgroup\">{rows}</tbody></table></div></section>"
    )
}

/// A titled card around a chart.
pub fn figure_of(
    title: &str,
    caption: &str,
    legend: &[(String, String)],
    plot: &str,
    whole: bool,
) -> String {
    let mut keys = String::new();
    for (class, name) in legend {
        let key = if class.starts_with("point") {
            format!("<circle class=\"{class}\" cx=\"14\" cy=\"6\" r=\"4.5\"/>")
        } else {
            format!("<line class=\"curve {class}\" x1=\"0\" x2=\"28\" y1=\"6\" y2=\"6\"/>")
        };
        let _ = write!(
            keys,
            "<li><svg aria-hidden=\"true\">{key}</svg>{}</li>",
            escape(name)
        );
    }
    if !keys.is_empty() {
        keys = format!("<ul class=\"legend\">{keys}</ul>");
    }
    let class = if whole { "card whole" } else { "card" };
    format!(
        "<figure class=\"{class}\"><figcaption><h3>{}</h3><p>{}</p>{keys}</figcaption>{plot}</figure>",
        escape(title),
        escape(caption)
    )
}

#[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
fn float(count: u64) -> f64 {
    count as f64
}
