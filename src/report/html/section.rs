//! What stands around the charts: heading, tiles, notices, tables.

use std::fmt::Write as _;

use super::axis::{count, figure, seconds};
use super::{chart, escape};
use crate::load::distribution::Distribution;
use crate::load::result::{Arrival, LoadTest, Point, Sweep, TaskResult};
use crate::phrase::plural;
use crate::report::load_sweep::{configuration, workers};

/// When, how, by whom a run was done.
pub fn about(result: &LoadTest) -> String {
    let workers: Vec<String> = result
        .counts
        .iter()
        .map(|count| format!("{} {}", count.service, count.replicas))
        .collect();
    facts_list(result, ("Workers", workers.join(", ")))
}

/// The same of a sweep, as far as all of its points have it in common.
pub fn about_sweep(sweep: &Sweep) -> String {
    let Some(first) = sweep.points.first() else {
        return String::new();
    };
    let points = plural(sweep.points.len(), "configuration");
    let restored = if sweep.restored {
        ", then the counts from before"
    } else {
        ""
    };
    facts_list(&first.result, ("Measured", format!("{points}{restored}")))
}

fn facts_list(result: &LoadTest, of_its_own: (&str, String)) -> String {
    let arrival = match (result.arrival, result.rate_per_second, result.concurrency) {
        (Arrival::Open, Some(rate), _) => {
            format!(
                "open: {} of each type a second, times count from when a task was due",
                figure(rate)
            )
        }
        (_, _, Some(most)) => format!("closed: at most {most} of each type in flight"),
        _ => "closed: all at once".to_owned(),
    };
    let events = match result.events {
        Some(true) => "on: workers told execution times and who did what",
        Some(false) => "off: execution times and shares are not known",
        None => "",
    };
    let mut items = String::new();
    for (name, value) in [
        ("When", moment(&result.began_at)),
        ("Arrival", arrival),
        of_its_own,
        (
            "Warm-up",
            match result.warmup_tasks {
                0 => "none".to_owned(),
                1 => "1 task".to_owned(),
                tasks => format!("{} tasks", count(tasks)),
            },
        ),
        ("Events", events.to_owned()),
    ] {
        if !value.is_empty() {
            let _ = write!(
                items,
                "<div><dt>{name}</dt><dd>{}</dd></div>",
                escape(&value)
            );
        }
    }
    format!("<dl class=\"about\">{items}</dl>")
}

/// `2026-11-21T08:00:00.123Z` as `2026-11-21 08:00:00 UTC`; anything else as it is.
fn moment(text: &str) -> String {
    match (text.get(..10), text.get(10..11), text.get(11..19)) {
        (Some(date), Some("T"), Some(time)) if text.ends_with('Z') => format!("{date} {time} UTC"),
        _ => text.to_owned(),
    }
}

/// What went wrong, if anything did.
pub fn notices(result: &LoadTest) -> String {
    let mut text = String::new();
    if !result.missed_thresholds.is_empty() {
        let items = result.missed_thresholds.iter();
        let items: Vec<String> = items
            .map(|missed| format!("<li>{}</li>", escape(missed)))
            .collect();
        let items = items.concat();
        let number = plural(result.missed_thresholds.len(), "threshold");
        let _ = write!(
            text,
            "<div class=\"notice bad\"><strong>{number} missed</strong><ul>{items}</ul></div>"
        );
    }
    let mut warn = |strong: &str, rest: &str| {
        let _ = write!(
            text,
            "<div class=\"notice\"><strong>{strong}</strong> {}</div>",
            escape(rest)
        );
    };
    match &result.error {
        Some(error) => warn("It ended early:", error),
        None if result.interrupted => warn(
            "It was interrupted:",
            "the figures are of what was done until then",
        ),
        None => {}
    }
    if !result.died.is_empty() {
        warn(
            "Stopped or restarted during the run:",
            &result.died.join(", "),
        );
    }
    text
}

/// A figure that one sees first.
fn tile(name: &str, value: &str, aside: &str, bad: bool) -> String {
    let class = if bad { "tile bad" } else { "tile" };
    let aside = if aside.is_empty() {
        String::new()
    } else {
        format!("<dd class=\"aside\">{}</dd>", escape(aside))
    };
    format!("<dl class=\"{class}\"><dt>{name}</dt><dd>{value}</dd>{aside}</dl>")
}

fn with_unit(value: &str, unit: &str) -> String {
    // A thin space, not one of the large figure's size.
    format!("{value}<small>\u{2009}{unit}</small>")
}

/// The figures of the whole run.
pub fn tiles(result: &LoadTest) -> String {
    let all = result
        .completed
        .saturating_add(result.failed)
        .saturating_add(result.lost);
    let of_all = |part: u64| {
        #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
        let percent = 100.0 * part as f64 / all.max(1) as f64;
        match part {
            0 => String::new(),
            _ => format!("{percent:.1} % of {}", count(all)),
        }
    };
    let times = result
        .end_to_end_seconds
        .as_ref()
        .map_or(String::new(), |times| {
            format!("p95 end to end {}", seconds(times.p95, times.p95))
        });
    format!(
        "<div class=\"tiles\">{}{}{}{}{}</div>",
        tile(
            "Throughput",
            &with_unit(&figure(result.throughput_per_second), "tasks/s"),
            &times,
            false
        ),
        tile(
            "Completed",
            &count(result.completed),
            &format!("of {} sent", count(result.sent)),
            false
        ),
        tile(
            "Failed",
            &count(result.failed),
            &of_all(result.failed),
            result.failed > 0
        ),
        tile(
            "Lost",
            &count(result.lost),
            &of_all(result.lost),
            result.lost > 0
        ),
        tile(
            "Total time",
            &seconds(result.total_seconds, result.total_seconds),
            "first send to last result",
            false
        ),
    )
}

/// The histograms, and a table of times for every task type.
pub fn tasks(result: &LoadTest) -> String {
    if result.tasks.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<section><h2>Where the time went</h2>\
         <p class=\"sub\">latency of each task type, from the send to the result</p>",
    );
    let charts: String = result.tasks.iter().map(chart::histogram).collect();
    if !charts.is_empty() {
        let _ = write!(text, "<div class=\"charts\">{charts}</div>");
    }
    text.push_str("<div class=\"stack\">");
    for task in &result.tasks {
        let _ = write!(text, "<div class=\"card\">{}</div>", times(task));
    }
    text + "</div></section>"
}

/// A task type's counts and distributions.
fn times(task: &TaskResult) -> String {
    let mut rows = String::new();
    for (name, times) in [
        ("Queue wait", task.queue_wait_seconds),
        ("Execution", task.execution_seconds),
        ("End to end", task.end_to_end_seconds),
    ] {
        if let Some(times) = times {
            rows.push_str(&row(name, &times));
        }
    }
    let table = if rows.is_empty() {
        "<p class=\"none\">No times are known of these tasks.</p>".to_owned()
    } else {
        let columns: String = ["Mean", "p50", "p90", "p95", "p99", "Max", "Samples"]
            .map(|name| format!("<th role=\"columnheader\" scope=\"col\">{name}</th>"))
            .concat();
        format!(
            "<div class=\"scroll\"><table class=\"fold\" role=\"table\" aria-label=\"Times of {}\"><thead role=\"rowgroup\">\
             <tr role=\"row\"><th role=\"columnheader\" scope=\"col\">Time</th>{columns}</tr></thead>\
             <tbody role=\"rowgroup\">{rows}</tbody></table></div>",
            escape(&task.name)
        )
    };
    format!(
        "<div class=\"title\"><h3>{}</h3><p class=\"facts\">{}</p></div>{table}",
        escape(&task.name),
        facts(task)
    )
}

fn row(name: &str, times: &Distribution) -> String {
    let mut cells = String::new();
    for (label, time) in [
        ("Mean", times.mean),
        ("p50", times.p50),
        ("p90", times.p90),
        ("p95", times.p95),
        ("p99", times.p99),
        ("Max", times.max),
    ] {
        let _ = write!(
            cells,
            "<td role=\"cell\" data-label=\"{label}\">{}</td>",
            seconds(time, times.max)
        );
    }
    format!(
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{name}</th>{cells}\
         <td role=\"cell\" data-label=\"Samples\">{}</td></tr>",
        count(times.samples)
    )
}

/// `18.1 tasks/s · 20 sent · 1 failed: 1 ValueError`.
fn facts(task: &TaskResult) -> String {
    let mut parts = vec![
        format!("<b>{} tasks/s</b>", figure(task.throughput_per_second)),
        format!(
            "{} completed of {} sent",
            count(task.completed),
            count(task.sent)
        ),
    ];
    if task.failed > 0 {
        let errors: Vec<String> = task
            .errors
            .iter()
            .map(|error| format!("{} {}", count(error.count), escape(&error.class)))
            .collect();
        let errors = if errors.is_empty() {
            String::new()
        } else {
            format!(": {}", errors.join(", "))
        };
        parts.push(format!("<b>{} failed</b>{errors}", count(task.failed)));
    }
    if task.lost > 0 {
        let queued = match task.queued {
            Some(0) | None => String::new(),
            Some(queued) => format!(", {} of them still queued", count(queued)),
        };
        parts.push(format!("<b>{} lost</b>{queued}", count(task.lost)));
    }
    if task.retried > 0 {
        parts.push(format!("{} retried", count(task.retried)));
    }
    if task.purged > 0 {
        parts.push(format!("{} purged", count(task.purged)));
    }
    let queue = task
        .queue
        .as_ref()
        .map(|queue| format!(" {}", escape(queue)));
    let service = task
        .service
        .as_ref()
        .map(|service| format!(", done by {}", escape(service)));
    parts.push(format!(
        "{}{}{}",
        task.driver,
        queue.unwrap_or_default(),
        service.unwrap_or_default()
    ));
    parts.join(" · ")
}

/// The sentence, then the figures of the sweep.
pub fn sweep_tiles(sweep: &Sweep) -> String {
    let mut text = String::new();
    if let Some(error) = &sweep.error {
        let _ = write!(
            text,
            "<div class=\"notice\"><strong>It ended early:</strong> {}</div>",
            escape(error)
        );
    }
    if !sweep.restored {
        text.push_str(
            "<div class=\"notice bad\"><strong>Not restored:</strong> the services do not have the counts from before the sweep</div>",
        );
    }
    if let Some(recommended) = &sweep.recommended {
        let _ = write!(
            text,
            "<div class=\"verdict\"><p class=\"eyebrow\">Recommended</p><p>{}</p></div>",
            escape(&recommended.reason)
        );
    }
    let mut tiles = Vec::new();
    let by_throughput = |a: &&Point, b: &&Point| {
        a.result
            .throughput_per_second
            .total_cmp(&b.result.throughput_per_second)
    };
    if let Some(best) = sweep.points.iter().max_by(by_throughput) {
        tiles.push(tile(
            "Highest throughput",
            &with_unit(&figure(best.result.throughput_per_second), "tasks/s"),
            &format!("with {}", configuration(best)),
            false,
        ));
    }
    if let Some(fit) = &sweep.fit {
        let peak = fit
            .peak_workers
            .map_or("none".to_owned(), |peak| format!("{peak:.1}"));
        let short = |value: f64| {
            if value == 0.0 {
                "0".to_owned()
            } else {
                format!("{value:.4}")
            }
        };
        tiles.push(tile(
            "One worker",
            &with_unit(&figure(fit.lambda), "tasks/s"),
            "lambda, fitted",
            false,
        ));
        tiles.push(tile(
            "Contention",
            &short(fit.sigma),
            "sigma: what waits in turn",
            false,
        ));
        tiles.push(tile(
            "Coherency",
            &short(fit.kappa),
            "kappa: what workers cost each other",
            false,
        ));
        tiles.push(tile(
            "Fitted peak",
            &peak,
            &format!("workers; r squared {:.3}", fit.r_squared),
            false,
        ));
    }
    if !tiles.is_empty() {
        let _ = write!(text, "<div class=\"tiles\">{}</div>", tiles.concat());
    }
    text
}

/// What is to be known of the fit.
pub fn sweep_facts(sweep: &Sweep) -> String {
    match &sweep.fit_note {
        Some(note) => format!("<p class=\"sub\">Note: {}</p>", escape(note)),
        None => String::new(),
    }
}

/// A row for every configuration, and behind each its own times.
pub fn sweep_points(sweep: &Sweep) -> String {
    if sweep.points.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for (place, point) in sweep.points.iter().enumerate() {
        let chosen = sweep
            .recommended
            .as_ref()
            .is_some_and(|knee| knee.counts == point.counts);
        let improvement = match place {
            0 => "–".to_owned(),
            _ => format!("{:+.1} %", point.improvement_percent),
        };
        let result = &point.result;
        let p95 = result
            .end_to_end_seconds
            .map_or("–".to_owned(), |times| seconds(times.p95, times.p95));
        let mut cells = String::new();
        for (label, value) in [
            ("Workers", workers(point).to_string()),
            (
                "Throughput",
                format!("{}/s", figure(result.throughput_per_second)),
            ),
            ("Improvement", improvement),
            ("Efficiency", format!("{:.0} %", point.efficiency * 100.0)),
            ("p95", p95),
            (
                "Failed, lost",
                format!("{}, {}", count(result.failed), count(result.lost)),
            ),
        ] {
            let _ = write!(
                cells,
                "<td role=\"cell\" data-label=\"{label}\">{value}</td>"
            );
        }
        let _ = write!(
            rows,
            "<tr role=\"row\"{}><th role=\"rowheader\" scope=\"row\">{}{}</th>{cells}</tr>",
            if chosen { " class=\"chosen\"" } else { "" },
            escape(&configuration(point)),
            if chosen {
                "<span class=\"tag\">recommended</span>"
            } else {
                ""
            },
        );
    }
    let columns: String = [
        "Configuration",
        "Workers",
        "Throughput",
        "Improvement",
        "Efficiency",
        "p95",
        "Failed, lost",
    ]
    .map(|name| format!("<th role=\"columnheader\" scope=\"col\">{name}</th>"))
    .concat();
    let details: String = sweep.points.iter().map(detail).collect();
    format!(
        "<section><h2>What was measured</h2>\
         <p class=\"sub\">improvement over the first; efficiency is throughput per worker over that of the first; p95 is end to end</p>\
         <div class=\"card stack\"><table class=\"fold three\" role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">{columns}</tr></thead>\
         <tbody role=\"rowgroup\">{rows}</tbody></table></div></section>\
         <section><h2>Times at each count</h2><div class=\"card stack\">{details}</div></section>"
    )
}

fn detail(point: &Point) -> String {
    let tables: String = point.result.tasks.iter().map(times).collect();
    format!(
        "<details><summary>{}</summary>{}{tables}</details>",
        escape(&configuration(point)),
        notices(&point.result)
    )
}
