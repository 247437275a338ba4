//! `--sweep worker-a=1..6`: which counts are measured.

use super::{Counts, POINT_LIMIT, SweepMode};
use crate::error::{Error, Result};
use crate::project::target::COUNT_LIMIT;

/// The counts to measure, in the order in which they are typed; `crossed`, those of the last service change
/// fastest. `worker-a=1..6` is 1 to 6, `worker-a=1..9:2` every second one, `worker-a=1,2,4,8` these, and
/// `worker-a=1..4,8` both.
///
/// # Errors
/// Usage errors: a malformed sweep, a count of 0 or over [`COUNT_LIMIT`], one service twice, more than
/// [`POINT_LIMIT`] points, lists of several lengths in step.
pub fn parse<S: AsRef<str>>(texts: &[S], mode: SweepMode) -> Result<Vec<Counts>> {
    let mut lists: Vec<(String, Vec<u32>)> = Vec::new();
    for text in texts {
        let (service, counts) = list(text.as_ref())?;
        if lists.iter().any(|(other, _)| *other == service) {
            let counts = joined(&counts);
            return Err(
                Error::usage(format!("`{service}` is swept twice")).hint(format!(
                    "type its counts together: --sweep {service}=...,{counts}"
                )),
            );
        }
        lists.push((service, counts));
    }
    let points = match mode {
        SweepMode::Step => stepped(&lists)?,
        SweepMode::Crossed => crossed(&lists)?,
    };
    Ok(points)
}

fn joined(counts: &[u32]) -> String {
    let words: Vec<String> = counts.iter().map(ToString::to_string).collect();
    words.join(",")
}

fn too_many(points: usize) -> Error {
    Error::usage(format!(
        "a sweep of {points} points; at most {POINT_LIMIT} are measured"
    ))
    .hint("type every so many counts, for instance every third one: --sweep worker=1..64:3")
}

fn stepped(lists: &[(String, Vec<u32>)]) -> Result<Vec<Counts>> {
    let length = lists.first().map_or(0, |(_, counts)| counts.len());
    if let Some((service, counts)) = lists.iter().find(|(_, counts)| counts.len() != length) {
        let (first, _) = &lists[0];
        return Err(Error::usage(format!(
            "services are swept in step, but `{first}` has {length} counts and `{service}` {}",
            counts.len()
        ))
        .hint("give every service as many counts: --sweep worker-a=1..3 --sweep worker-b=1,1,2")
        .hint("or measure every count with every other: --sweep-mode crossed"));
    }
    Ok((0..length)
        .map(|step| {
            let counts = lists
                .iter()
                .map(|(service, counts)| (service.clone(), counts[step]));
            counts.collect()
        })
        .collect())
}

fn crossed(lists: &[(String, Vec<u32>)]) -> Result<Vec<Counts>> {
    let total = lists.iter().fold(1_usize, |total, (_, counts)| {
        total.saturating_mul(counts.len())
    });
    if total > POINT_LIMIT {
        return Err(too_many(total));
    }
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let mut points = vec![Counts::new()];
    for (service, counts) in lists {
        points = points
            .iter()
            .flat_map(|point| {
                counts.iter().map(|count| {
                    let mut point = point.clone();
                    point.insert(service.clone(), *count);
                    point
                })
            })
            .collect();
    }
    Ok(points)
}

fn list(text: &str) -> Result<(String, Vec<u32>)> {
    let text = text.trim();
    let Some((service, counts)) = text.split_once('=') else {
        let service = if text.is_empty() { "worker" } else { text };
        return Err(
            Error::usage(format!("`--sweep {text}` has no counts")).hint(format!(
                "type them after the service: --sweep {service}=1..4"
            )),
        );
    };
    let (service, counts) = (service.trim(), counts.trim());
    if service.is_empty() || service.chars().any(char::is_whitespace) {
        return Err(Error::usage(format!("`--sweep {text}` has no service"))
            .hint("type it before the counts: --sweep worker=1..4"));
    }
    let wrong = |why: String| {
        Error::usage(format!("`--sweep {text}`: {why}")).hint(format!(
            "type a range, a range with a stride or a list: --sweep {service}=1..6, \
             --sweep {service}=1..9:2, --sweep {service}=1,2,4,8"
        ))
    };
    let mut all = Vec::new();
    for part in counts.split(',') {
        let (first, last, stride) = range(part.trim()).map_err(wrong)?;
        let counts = (first..=last).step_by(stride);
        if all.len() + counts.clone().count() > POINT_LIMIT {
            return Err(too_many(all.len() + counts.count()));
        }
        all.extend(counts);
    }
    Ok((service.to_owned(), all))
}

/// First, last and stride of `3`, `1..6` or `1..9:2`.
fn range(text: &str) -> std::result::Result<(u32, u32, usize), String> {
    let Some((first, rest)) = text.split_once("..") else {
        let count = count(text)?;
        return Ok((count, count, 1));
    };
    let (last, stride) = match rest.split_once(':') {
        None => (rest, 1),
        Some((last, stride)) => match stride.trim().parse() {
            Ok(0) | Err(_) => return Err(format!("`{stride}` is not a stride")),
            Ok(stride) => (last, stride),
        },
    };
    let (first, last) = (
        count(first)?,
        count(last.strip_prefix('=').unwrap_or(last))?,
    );
    if first > last {
        return Err(format!("`{text}` runs backwards"));
    }
    Ok((first, last, stride))
}

fn count(text: &str) -> std::result::Result<u32, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a count is missing".into());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a count"));
    }
    match text.parse() {
        Ok(0) => Err("with 0 workers there is nothing to measure".into()),
        Ok(count) if count <= COUNT_LIMIT => Ok(count),
        _ => Err(format!("`{text}` is over the limit of {COUNT_LIMIT}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::super::typed;
    use super::{SweepMode, parse};
    use crate::error::Exit;

    fn points(texts: &[&str], mode: SweepMode) -> Vec<String> {
        let points = parse(texts, mode).unwrap();
        points.iter().map(typed).collect()
    }

    #[test]
    fn reads_ranges_and_lists() {
        for (text, expected) in [
            ("a=1..4", "a=1 a=2 a=3 a=4"),
            ("a=1..=3", "a=1 a=2 a=3"),
            ("a=1,2,4,8", "a=1 a=2 a=4 a=8"),
            ("a=1..9:3", "a=1 a=4 a=7"),
            ("a=1..3,8", "a=1 a=2 a=3 a=8"),
            (" a = 3 , 1 , 3 ", "a=3 a=1 a=3"),
            ("a=7..7", "a=7"),
        ] {
            assert_eq!(
                points(&[text], SweepMode::Step).join(" "),
                expected,
                "{text}"
            );
        }
        assert_eq!(points(&["a=1..64"], SweepMode::Step).len(), 64);
        assert!(points(&[], SweepMode::Crossed).is_empty());
    }

    #[test]
    fn several_services_go_in_step_or_crossed() {
        let both = ["b=1,3", "a=1..2"];
        assert_eq!(points(&both, SweepMode::Step), ["a=1 b=1", "a=2 b=3"]);
        assert_eq!(
            points(&both, SweepMode::Crossed),
            ["a=1 b=1", "a=2 b=1", "a=1 b=3", "a=2 b=3"]
        );
        let error = parse(&["a=1..3", "b=2"], SweepMode::Step).unwrap_err();
        assert_eq!(
            error.message,
            "services are swept in step, but `a` has 3 counts and `b` 1"
        );
        assert!(
            error.hints[0].contains("as many") && error.hints[1].contains("--sweep-mode crossed")
        );
    }

    #[test]
    fn refuses_what_is_no_sweep() {
        for (texts, why) in [
            (vec!["worker"], "has no counts"),
            (vec![""], "has no counts"),
            (vec!["=1..3"], "has no service"),
            (vec!["a b=1..3"], "has no service"),
            (vec!["a="], "a count is missing"),
            (vec!["a=1,"], "a count is missing"),
            (vec!["a=1.."], "a count is missing"),
            (vec!["a=1-6"], "`1-6` is not a count"),
            (vec!["a=+2"], "`+2` is not a count"),
            (vec!["a=0..3"], "with 0 workers"),
            (vec!["a=6..1"], "`6..1` runs backwards"),
            (vec!["a=1..6:0"], "`0` is not a stride"),
            (vec!["a=1..6:x"], "`x` is not a stride"),
            (vec!["a=1001"], "over the limit of 1000"),
            (vec!["a=99999999999"], "over the limit of 1000"),
            (vec!["a=1..65"], "65 points; at most 64"),
            (vec!["a=1..1000"], "1000 points; at most 64"),
            (vec!["a=1..40,1..40"], "80 points; at most 64"),
            (vec!["a=1..2", "a=3"], "`a` is swept twice"),
        ] {
            let error = parse(&texts, SweepMode::Step).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.message.contains(why), "{texts:?}: {}", error.message);
            assert!(error.hints[0].contains("--sweep "), "{texts:?}");
        }
        let error = parse(&["a=1..9", "b=1..8"], SweepMode::Crossed).unwrap_err();
        assert!(error.message.contains("72 points"), "{}", error.message);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = parse(&[text], SweepMode::Crossed);
        }
    }
}
