//! Thresholds of `--fail-if`: `throughput<5`, `task_a.p95_seconds > 0.5`, `failed>0`.

mod parse;

use std::fmt;

use super::distribution::Distribution;
use crate::error::{Error, Result};
use crate::load::result::{LoadTest, TaskResult};
use crate::suggest;

/// Metrics of the run and of a task type.
const METRICS: [&str; 15] = [
    "throughput",
    "throughput_per_second",
    "sent",
    "completed",
    "failed",
    "failed_percent",
    "lost",
    "retried",
    "total_seconds",
    "mean_seconds",
    "p50_seconds",
    "p90_seconds",
    "p95_seconds",
    "p99_seconds",
    "max_seconds",
];
/// What the `..._seconds` of a task type can be of; without one of them they are end to end.
const SPREADS: [&str; 3] = ["execution", "queue_wait", "end_to_end"];

/// A condition under which the run is a failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The slug of a task type; `None` for the whole run.
    kind: Option<String>,
    metric: Metric,
    comparison: Comparison,
    limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    /// One of [`METRICS`] that is a count or a rate.
    Figure(&'static str),
    /// One of [`METRICS`] that is of a distribution.
    Seconds(Spread, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    Execution,
    QueueWait,
    EndToEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        // Counts and limits are typed and compared as they are; a tolerance would surprise.
        #[allow(clippy::float_cmp)]
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::More => value > limit,
            Self::AtLeast => value >= limit,
            Self::Equal => value == limit,
            Self::Unequal => value != limit,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
            Self::Unequal => "!=",
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = &self.kind {
            write!(f, "{kind}.")?;
        }
        match self.metric {
            Metric::Figure(name) | Metric::Seconds(Spread::EndToEnd, name) => f.write_str(name)?,
            Metric::Seconds(Spread::Execution, name) => write!(f, "execution.{name}")?,
            Metric::Seconds(Spread::QueueWait, name) => write!(f, "queue_wait.{name}")?,
        }
        write!(f, " {} {}", self.comparison.as_str(), self.limit)
    }
}

impl Threshold {
    /// Whether its task type is one of these, by their names.
    ///
    /// # Errors
    /// A usage error that names those there are.
    pub fn check<S: AsRef<str>>(&self, names: &[S]) -> Result<()> {
        let slugs: Vec<String> = names.iter().map(|name| slug(name.as_ref())).collect();
        let known = || slugs.iter().map(String::as_str);
        let Some(kind) = &self.kind else {
            return Ok(());
        };
        if known().any(|slug| slug == kind) {
            return Ok(());
        }
        let error = Error::usage(format!(
            "`--fail-if '{self}'`: there is no task type `{kind}`"
        ));
        if SPREADS.contains(&kind.as_str()) {
            let first = known().next().unwrap_or("task_a");
            let metric = self.to_string();
            return Err(error.hint(format!(
                "type the task type before it: --fail-if '{first}.{metric}'"
            )));
        }
        let error = match suggest::nearest(kind, known()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        };
        Err(error.hint(format!(
            "task types: {}",
            known().collect::<Vec<_>>().join(", ")
        )))
    }

    /// What is to be said of it when the run missed it: `task_a.p95_seconds > 0.5: it is 0.734`. A metric
    /// without a value is missed too, for nothing was shown to be well.
    pub fn missed(&self, test: &LoadTest) -> Option<String> {
        let values: Vec<Option<f64>> = match &self.kind {
            None => vec![self.overall(test)],
            Some(kind) => test
                .tasks
                .iter()
                .filter(|task| slug(&task.name) == *kind)
                .map(|task| self.of(task))
                .collect(),
        };
        if values.is_empty() || values.contains(&None) {
            return Some(format!("{self}: it has no value, nothing was measured"));
        }
        let met = |value: &f64| self.comparison.holds(*value, self.limit);
        let value = values.into_iter().flatten().find(met)?;
        Some(format!("{self}: it is {}", self.show(value)))
    }

    fn overall(&self, test: &LoadTest) -> Option<f64> {
        match self.metric {
            Metric::Figure("throughput") => Some(test.throughput_per_second),
            Metric::Figure("total_seconds") => Some(test.total_seconds),
            Metric::Figure("retried") => {
                Some(count(test.tasks.iter().map(|task| task.retried).sum()))
            }
            Metric::Figure(name) => {
                figure(name, [test.sent, test.completed, test.failed, test.lost])
            }
            Metric::Seconds(_, name) => seconds(name, test.end_to_end_seconds),
        }
    }

    fn of(&self, task: &TaskResult) -> Option<f64> {
        match self.metric {
            Metric::Figure("throughput") => Some(task.throughput_per_second),
            Metric::Figure("retried") => Some(count(task.retried)),
            Metric::Figure(name) => {
                figure(name, [task.sent, task.completed, task.failed, task.lost])
            }
            Metric::Seconds(spread, name) => {
                let of = match spread {
                    Spread::Execution => task.execution_seconds,
                    Spread::QueueWait => task.queue_wait_seconds,
                    Spread::EndToEnd => task.end_to_end_seconds,
                };
                seconds(name, of)
            }
        }
    }

    /// Shortened, unless it would then seem to be on the other side of the limit.
    fn show(&self, value: f64) -> String {
        let short = (value * 1e3).round() / 1e3;
        if self.comparison.holds(short, self.limit) {
            short.to_string()
        } else {
            value.to_string()
        }
    }
}

/// A task type's name in thresholds: lower case, everything but `a-z` and `0-9` an underscore.
pub fn slug(name: &str) -> String {
    name.trim()
        .chars()
        .map(|letter| match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => letter,
            _ => '_',
        })
        .collect()
}

fn figure(name: &str, [sent, completed, failed, lost]: [u64; 4]) -> Option<f64> {
    match name {
        "sent" => Some(count(sent)),
        "completed" => Some(count(completed)),
        "failed" => Some(count(failed)),
        "lost" => Some(count(lost)),
        // Of all that came to an end or should have; what could not even be sent failed as well.
        _ => {
            let all = completed + failed + lost;
            (all > 0).then(|| 100.0 * count(failed) / count(all))
        }
    }
}

fn seconds(name: &str, of: Option<Distribution>) -> Option<f64> {
    let of = of.filter(|of| of.samples > 0)?;
    Some(match name {
        "mean_seconds" => of.mean,
        "p50_seconds" => of.p50,
        "p90_seconds" => of.p90,
        "p95_seconds" => of.p95,
        "p99_seconds" => of.p99,
        _ => of.max,
    })
}

#[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
fn count(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use proptest::prelude::proptest;

    use super::{Threshold, slug};
    use crate::error::Exit;
    use crate::load::distribution::Distribution;
    use crate::load::result::{LoadTest, TaskResult};

    fn run() -> LoadTest {
        let spread = |p95| {
            Some(Distribution {
                mean: 0.3,
                p50: 0.25,
                p90: 0.6,
                p95,
                p99: 0.8,
                max: 0.9,
                samples: 20,
            })
        };
        LoadTest {
            sent: 40,
            completed: 38,
            failed: 1,
            lost: 1,
            total_seconds: 8.444,
            throughput_per_second: 4.999_999_9,
            end_to_end_seconds: spread(0.7),
            tasks: vec![
                TaskResult {
                    name: "Task A".into(),
                    sent: 20,
                    completed: 19,
                    failed: 1,
                    retried: 3,
                    throughput_per_second: 2.5,
                    execution_seconds: spread(0.1),
                    queue_wait_seconds: spread(0.634),
                    end_to_end_seconds: spread(0.734_041),
                    ..TaskResult::default()
                },
                TaskResult {
                    name: "tasks.b".into(),
                    sent: 20,
                    completed: 19,
                    lost: 1,
                    retried: 1,
                    ..TaskResult::default()
                },
            ],
            ..LoadTest::default()
        }
    }

    fn said(text: &str) -> Option<String> {
        Threshold::from_str(text).unwrap().missed(&run())
    }

    #[test]
    fn says_what_was_missed() {
        for (text, expected) in [
            (
                "task_a.p95_seconds>0.5",
                "task_a.p95_seconds > 0.5: it is 0.734",
            ),
            (
                " Task A . end_to_end . p95_seconds >= 0.5 ",
                "task_a.p95_seconds >= 0.5: it is 0.734",
            ),
            (
                "task_a.queue_wait.p95_seconds>0.5",
                "task_a.queue_wait.p95_seconds > 0.5: it is 0.634",
            ),
            (
                "task_a.execution.p95_seconds<1",
                "task_a.execution.p95_seconds < 1: it is 0.1",
            ),
            ("failed>0", "failed > 0: it is 1"),
            ("FAILED_percent >= 2.5", "failed_percent >= 2.5: it is 2.5"),
            (
                "task_a.failed_percent==5",
                "task_a.failed_percent == 5: it is 5",
            ),
            ("tasks.b.lost!=0", "tasks_b.lost != 0: it is 1"),
            ("retried>3", "retried > 3: it is 4"),
            ("task_a.retried<=3", "task_a.retried <= 3: it is 3"),
            ("total_seconds>8", "total_seconds > 8: it is 8.444"),
            ("p99_seconds>0.5", "p99_seconds > 0.5: it is 0.8"),
            ("mean_seconds>0.2", "mean_seconds > 0.2: it is 0.3"),
            ("sent!=41", "sent != 41: it is 40"),
            ("completed<40", "completed < 40: it is 38"),
            // Not "it is 5".
            ("throughput<5", "throughput < 5: it is 4.9999999"),
            ("throughput_per_second<6", "throughput < 6: it is 5"),
            ("task_a.throughput<5", "task_a.throughput < 5: it is 2.5"),
            (
                "tasks_b.p95_seconds>9",
                "tasks_b.p95_seconds > 9: it has no value, nothing was measured",
            ),
        ] {
            assert_eq!(said(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn says_nothing_of_what_is_well() {
        for text in [
            "throughput<4",
            "failed>1",
            "lost>=2",
            "task_a.p95_seconds>0.75",
            "sent==41",
            "sent!=40",
            "max_seconds<=0.8",
            "tasks_b.failed_percent>0",
        ] {
            assert_eq!(said(text), None, "{text}");
        }
    }

    #[test]
    fn a_run_that_measured_nothing_misses_every_percentile() {
        for text in ["p95_seconds>100", "failed_percent>99", "task_a.failed>100"] {
            let threshold = Threshold::from_str(text).unwrap();
            let said = threshold.missed(&LoadTest::default()).unwrap();
            assert!(
                said.ends_with("it has no value, nothing was measured"),
                "{said}"
            );
        }
    }

    #[test]
    fn an_unknown_task_type_is_found_before_the_run() {
        let slugs = ["Task A", "task_b"];
        let check = |text: &str| Threshold::from_str(text).unwrap().check(&slugs);
        assert!(check("task_a.failed>0").is_ok());
        assert!(check("failed>0").is_ok());
        let error = check("task_c.failed>0").unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert_eq!(
            error.message,
            "`--fail-if 'task_c.failed > 0'`: there is no task type `task_c`"
        );
        assert_eq!(error.hints[1], "task types: task_a, task_b");
        let error = check("execution.p95_seconds>0.5").unwrap_err();
        assert_eq!(
            error.hints,
            ["type the task type before it: --fail-if 'task_a.execution.p95_seconds > 0.5'"]
        );
        assert_eq!(slug(" Tâche 1-b "), "t_che_1_b");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            if let Ok(threshold) = Threshold::from_str(&text) {
                let _ = threshold.missed(&run());
            }
        }
    }
}
