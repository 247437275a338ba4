//! Thresholds of `--fail-if`: `throughput<5`, `task_a.p95_seconds > 0.5`, `failed>0`.

use std::fmt;

use super::distribution::Distribution;
use crate::error::{Error, Result};
use crate::report::load_test::{LoadTest, TaskResult};
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
    /// Reads `[TYPE.]METRIC OP NUMBER`. A type is its slug (see [`slug`]) or its name; whether there is one
    /// of that name is for [`Threshold::check`] to say.
    ///
    /// # Errors
    /// Usage errors, with what may be typed instead.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::usage(format!("`--fail-if '{}'`: {why}", text.trim()));
        let example =
            "type a condition: --fail-if 'throughput<5' --fail-if 'task_a.p95_seconds>0.5'";
        let Some((subject, comparison, limit)) = split(text) else {
            let why = "there is no <, <=, >, >=, == or != in it";
            return Err(wrong(why.into()).hint(example));
        };
        let (subject, limit) = (subject.trim(), limit.trim());
        if subject.is_empty() {
            return Err(wrong("there is no metric before the comparison".into()).hint(example));
        }
        let limit = number(limit).map_err(|why| wrong(why).hint(example))?;
        let (kind, spread, name) = parts(subject);
        let Some(name) = METRICS.into_iter().find(|known| *known == name) else {
            let error = wrong(format!("there is no metric `{name}`"));
            return Err(match suggest::nearest(&name, METRICS) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            }
            .hint(format!("metrics: {}", METRICS.join(", "))));
        };
        let seconds = name.ends_with("_seconds") && name != "total_seconds";
        let metric = match spread {
            spread if seconds => Metric::Seconds(spread.unwrap_or(Spread::EndToEnd), name),
            None => Metric::Figure(name),
            Some(_) => {
                let why = format!("`{name}` is no figure of a distribution");
                return Err(wrong(why).hint(format!("type it as it is: --fail-if '{name}<1'")));
            }
        };
        if name == "total_seconds" && kind.is_some() {
            let why = "`total_seconds` is of the whole run, not of a task type";
            return Err(wrong(why.into()).hint("type it as it is: --fail-if 'total_seconds>60'"));
        }
        Ok(Self {
            kind,
            metric: match metric {
                Metric::Figure("throughput_per_second") => Metric::Figure("throughput"),
                metric => metric,
            },
            comparison,
            limit,
        })
    }

    /// Whether its task type is one of these, by their slugs.
    ///
    /// # Errors
    /// A usage error that names those there are.
    pub fn check<S: AsRef<str>>(&self, slugs: &[S]) -> Result<()> {
        let known = || slugs.iter().map(AsRef::as_ref);
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

/// What every threshold that the run missed has to say.
pub fn missed(thresholds: &[Threshold], test: &LoadTest) -> Vec<String> {
    thresholds
        .iter()
        .filter_map(|threshold| threshold.missed(test))
        .collect()
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

fn split(text: &str) -> Option<(&str, Comparison, &str)> {
    let at = text.find(['<', '>', '=', '!'])?;
    let (subject, rest) = text.split_at(at);
    let two = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("==", Comparison::Equal),
        ("!=", Comparison::Unequal),
        ("<", Comparison::Less),
        (">", Comparison::More),
    ];
    let (sign, comparison) = two.into_iter().find(|(sign, _)| rest.starts_with(sign))?;
    Some((subject, comparison, &rest[sign.len()..]))
}

fn number(text: &str) -> std::result::Result<f64, String> {
    if text.is_empty() {
        return Err("there is no number after the comparison".into());
    }
    let digits = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    match text.parse::<f64>() {
        Ok(number) if digits && number.is_finite() => Ok(number),
        _ if digits && text.ends_with(|last: char| last.is_ascii_alphabetic() || last == '%') => {
            Err(format!(
                "`{text}` is not a plain number; the metric's name says the unit"
            ))
        }
        _ => Err(format!("`{text}` is not a number")),
    }
}

/// The task type, the distribution and the metric; a type's name may have dots in it.
fn parts(subject: &str) -> (Option<String>, Option<Spread>, String) {
    let (before, name) = match subject.rsplit_once('.') {
        None => ("", subject),
        Some((before, name)) => (before.trim_end(), name),
    };
    let name = name.trim().to_lowercase();
    let (kind, last) = match before.rsplit_once('.') {
        None => ("", before),
        Some((kind, last)) => (kind, last.trim()),
    };
    let spread = match last.to_lowercase().as_str() {
        "execution" => Some(Spread::Execution),
        "queue_wait" => Some(Spread::QueueWait),
        "end_to_end" => Some(Spread::EndToEnd),
        _ => None,
    };
    // `execution.p95_seconds` may also be of a task type that is called so: the type cannot be left out.
    match spread {
        Some(spread) if !kind.is_empty() => (Some(slug(kind)), Some(spread), name),
        _ => ((!before.is_empty()).then(|| slug(before)), None, name),
    }
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
    use proptest::prelude::{any, prop, proptest};

    use super::{METRICS, SPREADS, Threshold, missed, slug};
    use crate::error::Exit;
    use crate::load::distribution::Distribution;
    use crate::report::load_test::{LoadTest, TaskResult};

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
        Threshold::parse(text).unwrap().missed(&run())
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
        let thresholds = ["failed>0", "lost>1"].map(|text| Threshold::parse(text).unwrap());
        assert_eq!(missed(&thresholds, &run()), ["failed > 0: it is 1"]);
    }

    #[test]
    fn a_run_that_measured_nothing_misses_every_percentile() {
        for text in ["p95_seconds>100", "failed_percent>99", "task_a.failed>100"] {
            let threshold = Threshold::parse(text).unwrap();
            let said = threshold.missed(&LoadTest::default()).unwrap();
            assert!(
                said.ends_with("it has no value, nothing was measured"),
                "{said}"
            );
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for (text, why, hint) in [
            ("throughput", "there is no <, <=", "type a condition"),
            ("", "there is no <, <=", "type a condition"),
            ("failed=0", "there is no <, <=", "type a condition"),
            ("<5", "there is no metric", "type a condition"),
            ("failed>", "there is no number", "type a condition"),
            ("failed>few", "`few` is not a number", "type a condition"),
            ("failed>nan", "`nan` is not a number", "type a condition"),
            (
                "failed>1e999",
                "`1e999` is not a number",
                "type a condition",
            ),
            (
                "failed>-inf",
                "`-inf` is not a plain number",
                "type a condition",
            ),
            (
                "p95_seconds>500ms",
                "`500ms` is not a plain number",
                "type a condition",
            ),
            (
                "failed_percent>5%",
                "`5%` is not a plain number",
                "type a condition",
            ),
            ("failed>>0", "`>0` is not a number", "type a condition"),
            (
                "trhoughput<5",
                "no metric `trhoughput`",
                "did you mean `throughput`?",
            ),
            (
                "task_a.p95>0.5",
                "no metric `p95`",
                "did you mean `p95_seconds`?",
            ),
            ("bananas<5", "no metric `bananas`", "metrics: throughput,"),
            (
                "task_a.execution.failed>1",
                "no figure of a distribution",
                "type it as it is",
            ),
            (
                "task_a.total_seconds>1",
                "of the whole run",
                "'total_seconds>60'",
            ),
        ] {
            let error = Threshold::parse(text).unwrap_err();
            assert_eq!(error.exit, Exit::Usage);
            assert!(error.message.contains(why), "{text}: {}", error.message);
            assert!(error.hints[0].contains(hint), "{text}: {:?}", error.hints);
        }
    }

    #[test]
    fn an_unknown_task_type_is_found_before_the_run() {
        let slugs = ["task_a", "task_b"];
        let check = |text: &str| Threshold::parse(text).unwrap().check(&slugs);
        assert_eq!(check("task_a.failed>0"), Ok(()));
        assert_eq!(check("failed>0"), Ok(()));
        let error = check("task_c.failed>0").unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
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
            if let Ok(threshold) = Threshold::parse(&text) {
                let _ = threshold.missed(&run());
            }
        }

        #[test]
        fn what_it_prints_is_read_back(
            kind in prop::option::of("[a-z0-9_]{1,9}"),
            spread in 0..=SPREADS.len(),
            metric in 0..METRICS.len(),
            sign in prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]),
            limit in any::<i32>(),
        ) {
            let kind = kind.map_or(String::new(), |kind| {
                let spread = SPREADS.get(spread).map_or(String::new(), |spread| format!("{spread}."));
                format!("{kind}.{spread}")
            });
            let limit = f64::from(limit) / 1000.0;
            if let Ok(first) = Threshold::parse(&format!("{kind}{}{sign}{limit}", METRICS[metric])) {
                assert_eq!(Threshold::parse(&first.to_string()), Ok(first));
            }
        }
    }
}
