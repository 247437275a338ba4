//! `--compare`: a load test beside one that was saved before, with the change in percent.

mod text;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
pub use text::text;

use super::json::SCHEMA;
use crate::error::{Error, Result};
use crate::load::distribution::Distribution;
use crate::load::result::{LoadTest, TaskResult};

/// `rscale load-test --compare FILE --format json`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// Version of this document's shape.
    pub schema: u32,
    pub before: LoadTest,
    pub after: LoadTest,
    /// Of the run, then of each task type.
    pub changes: Vec<Change>,
}

/// A metric before and after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// The task type; null for the whole run.
    pub name: Option<String>,
    /// As `--fail-if` spells it: `throughput_per_second`, `queue_wait.p95_seconds`.
    pub metric: String,
    /// Null where it was not measured, or the task type was not sent.
    pub before: Option<f64>,
    pub after: Option<f64>,
    /// Null where one of both is null, or before was 0.
    #[expect(clippy::struct_field_names, reason = "the unit is in the key")]
    pub change_percent: Option<f64>,
}

/// A metric and where it is read.
type Figure<T, V = f64> = (&'static str, fn(&T) -> V);

const PERCENTILES: [Figure<Distribution>; 3] = [
    ("p50_seconds", |times| times.p50),
    ("p95_seconds", |times| times.p95),
    ("p99_seconds", |times| times.p99),
];
const SPREADS: [Figure<TaskResult, Option<Distribution>>; 3] = [
    ("end_to_end", |task| task.end_to_end_seconds),
    ("execution", |task| task.execution_seconds),
    ("queue_wait", |task| task.queue_wait_seconds),
];
/// Reads what `--save` wrote; `name` is the file, for errors.
///
/// # Errors
/// Exit 2: it is no JSON, another document, or of another version.
pub fn read(text: &str, name: &str) -> Result<LoadTest> {
    let again = format!("save one first: rscale load-test --save {name}");
    let wrong = |why: String| Error::usage(format!("`{name}` {why}"));
    let document: Value = serde_json::from_str(text).map_err(|error| {
        wrong(format!("is no saved result, it is not JSON: {error}")).hint(&again)
    })?;
    if document.get("points").is_some() {
        return Err(
            wrong("is the result of a sweep; wanted that of a single run".into()).hint(again),
        );
    }
    let known = ["began_at", "tasks", "throughput_per_second"];
    if !known.iter().all(|key| document.get(key).is_some()) {
        return Err(wrong("is no result of rscale load-test".into()).hint(again));
    }
    if document.get("schema") != Some(&Value::from(SCHEMA)) {
        let schema = document.get("schema").unwrap_or(&Value::Null);
        return Err(wrong(format!(
            "has schema {schema}, and this rscale reads schema {SCHEMA}"
        ))
        .hint(again));
    }
    serde_json::from_value(document)
        .map_err(|error| wrong(format!("is no whole result: {error}")).hint(again))
}

/// Every metric of both.
pub fn compare(before: &LoadTest, after: &LoadTest) -> Comparison {
    let mut changes = of_run(before, after);
    let mut names: Vec<&str> = after.tasks.iter().map(|task| task.name.as_str()).collect();
    for task in &before.tasks {
        if !names.contains(&task.name.as_str()) {
            names.push(&task.name);
        }
    }
    for name in names {
        changes.extend(of_task(name, find(before, name), find(after, name)));
    }
    Comparison {
        schema: SCHEMA,
        before: before.clone(),
        after: after.clone(),
        changes,
    }
}

fn find<'a>(result: &'a LoadTest, name: &str) -> Option<&'a TaskResult> {
    result.tasks.iter().find(|task| task.name == name)
}

fn of_run(before: &LoadTest, after: &LoadTest) -> Vec<Change> {
    let figures: [Figure<LoadTest>; 4] = [
        ("throughput_per_second", |result| {
            result.throughput_per_second
        }),
        ("total_seconds", |result| result.total_seconds),
        ("failed", |result| count(result.failed)),
        ("lost", |result| count(result.lost)),
    ];
    let figures = figures.into_iter().map(|(metric, figure)| {
        change(
            None,
            metric.into(),
            Some(figure(before)),
            Some(figure(after)),
        )
    });
    let times = PERCENTILES.into_iter().map(|(metric, percentile)| {
        let time = |result: &LoadTest| result.end_to_end_seconds.as_ref().map(percentile);
        change(None, metric.into(), time(before), time(after))
    });
    figures.chain(times).collect()
}

fn of_task(name: &str, before: Option<&TaskResult>, after: Option<&TaskResult>) -> Vec<Change> {
    let figures: [Figure<TaskResult>; 3] = [
        ("throughput_per_second", |task| task.throughput_per_second),
        ("failed", |task| count(task.failed)),
        ("lost", |task| count(task.lost)),
    ];
    let mut changes: Vec<Change> = figures
        .into_iter()
        .map(|(metric, figure)| {
            change(
                Some(name),
                metric.into(),
                before.map(figure),
                after.map(figure),
            )
        })
        .collect();
    for (spread, times) in SPREADS {
        for (metric, percentile) in PERCENTILES {
            let time = |task: Option<&TaskResult>| times(task?).as_ref().map(percentile);
            let (before, after) = (time(before), time(after));
            if before.is_some() || after.is_some() {
                changes.push(change(
                    Some(name),
                    format!("{spread}.{metric}"),
                    before,
                    after,
                ));
            }
        }
    }
    changes
}

fn change(name: Option<&str>, metric: String, before: Option<f64>, after: Option<f64>) -> Change {
    let percent = before
        .zip(after)
        .filter(|(before, _)| *before > 0.0)
        .map(|(before, after)| (1000.0 * (after - before) / before).round() / 10.0)
        .filter(|percent| percent.is_finite());
    Change {
        name: name.map(str::to_owned),
        metric,
        before,
        after,
        change_percent: percent,
    }
}

#[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
fn count(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod testing {
    use crate::load::distribution::Distribution;
    use crate::load::result::{LoadTest, ServiceCount, TaskResult};

    pub fn times(p50: f64) -> Distribution {
        Distribution {
            p50,
            p95: p50 * 2.0,
            p99: p50 * 3.0,
            ..Distribution::default()
        }
    }

    pub fn result(replicas: u32, throughput: f64, p50: f64, names: &[&str]) -> LoadTest {
        LoadTest {
            schema: 1,
            project: "shop".into(),
            began_at: "2026-11-21T08:00:00.000Z".into(),
            sent: 40,
            total_seconds: 40.0 / throughput,
            throughput_per_second: throughput,
            end_to_end_seconds: Some(times(p50)),
            counts: vec![ServiceCount {
                service: "worker-a".into(),
                replicas,
            }],
            tasks: names
                .iter()
                .map(|name| TaskResult {
                    name: (*name).to_owned(),
                    throughput_per_second: throughput / 2.0,
                    end_to_end_seconds: Some(times(p50)),
                    execution_seconds: Some(times(0.01)),
                    ..TaskResult::default()
                })
                .collect(),
            ..LoadTest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::testing::result;
    use super::{compare, read};
    use crate::error::Exit;
    use crate::report::json;

    #[test]
    fn every_metric_has_its_change() {
        let before = result(1, 5.0, 4.0, &["Task A", "Task B"]);
        let mut after = result(3, 12.5, 1.0, &["Task A", "Task C"]);
        after.failed = 2;
        let comparison = compare(&before, &after);
        let throughput = &comparison.changes[0];
        assert_eq!(
            (
                throughput.before,
                throughput.after,
                throughput.change_percent
            ),
            (Some(5.0), Some(12.5), Some(150.0))
        );
        // Nothing is a percentage of nothing.
        let failed = comparison
            .changes
            .iter()
            .find(|change| change.metric == "failed");
        assert_eq!(failed.unwrap().change_percent, None);
    }

    #[test]
    fn a_saved_result_is_read_back_and_nothing_else_is() {
        let saved = json::render(&result(1, 5.0, 4.0, &["Task A"]));
        assert_eq!(
            read(&saved, "old.json").unwrap(),
            result(1, 5.0, 4.0, &["Task A"])
        );
        let other = saved.replace("\"schema\": 1", "\"schema\": 2");
        let cut = saved.replace("\"sent\": 40,", "");
        for (text, why) in [
            ("", "is no saved result, it is not JSON"),
            (
                &saved[..saved.len() / 2],
                "is no saved result, it is not JSON",
            ),
            ("[]", "is no result of rscale load-test"),
            (
                "{\"schema\": 1, \"services\": []}",
                "is no result of rscale load-test",
            ),
            (
                "{\"schema\": 1, \"points\": []}",
                "is the result of a sweep",
            ),
            (&other, "has schema 2, and this rscale reads schema 1"),
            (&cut, "is no whole result: missing field `sent`"),
        ] {
            let error = read(text, "old.json").unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(
                error.message.starts_with(&format!("`old.json` {why}")),
                "{}",
                error.message
            );
            assert_eq!(
                error.hints,
                ["save one first: rscale load-test --save old.json"]
            );
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in ".*") {
            let _ = read(&text, "x");
        }
    }
}
