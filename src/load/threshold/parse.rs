//! Reads `[TYPE.]METRIC OP NUMBER`.

use std::str::FromStr;

use super::{Comparison, METRICS, Metric, Spread, Threshold, slug};
use crate::error::{Error, Result};
use crate::suggest;

impl FromStr for Threshold {
    type Err = Error;

    /// Reads `[TYPE.]METRIC OP NUMBER`. A type is its slug (see [`slug`]) or its name; whether there is one
    /// of that name is for [`Threshold::check`] to say.
    ///
    /// # Errors
    /// Usage errors, with what may be typed instead.
    fn from_str(text: &str) -> Result<Self> {
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

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use proptest::prelude::{any, prop, proptest};

    use super::super::{METRICS, SPREADS, Threshold};
    use crate::error::Exit;

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
            let error = Threshold::from_str(text).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.message.contains(why), "{text}: {}", error.message);
            assert!(error.hints[0].contains(hint), "{text}: {:?}", error.hints);
        }
    }

    proptest! {
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
            if let Ok(first) = Threshold::from_str(&format!("{kind}{}{sign}{limit}", METRICS[metric])) {
                assert_eq!(Threshold::from_str(&first.to_string()).unwrap(), first);
            }
        }
    }
}
