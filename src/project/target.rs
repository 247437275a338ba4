//! Targets as they are typed: `web=3`, `web=+2`, `web=-1`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The highest count that is taken without `--force`: above it a typing error is likelier than a wish.
pub const COUNT_LIMIT: u32 = 1000;
/// The highest count of all: a plan names every replica. A cluster of Kubernetes is built for 150,000 pods at the most
/// (<https://kubernetes.io/docs/setup/best-practices/cluster-large/>), and no other engine for as many.
const COUNT_MOST: u32 = 100_000;

/// The wanted count of a service, absolute or relative to the replicas there are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Exactly(u32),
    More(u32),
    Fewer(u32),
}

impl Count {
    /// The count wished for, given the replicas there are now; it may be below 0, which the preflight
    /// refuses.
    pub fn resolve(self, now: u32) -> i64 {
        match self {
            Self::Exactly(count) => i64::from(count),
            Self::More(count) => i64::from(now) + i64::from(count),
            Self::Fewer(count) => i64::from(now) - i64::from(count),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::More(count) => write!(f, "+{count}"),
            Self::Fewer(count) => write!(f, "-{count}"),
        }
    }
}

impl FromStr for Count {
    type Err = String;

    /// # Errors
    /// What is wrong with it, as a fragment that follows "`web=x`: ".
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (make, digits): (fn(u32) -> Self, &str) = match text.as_bytes().first() {
            None => return Err("the count is missing".into()),
            Some(b'+') => (Self::More, &text[1..]),
            Some(b'-') => (Self::Fewer, &text[1..]),
            Some(_) => (Self::Exactly, text),
        };
        if digits.is_empty() {
            return Err(format!("a number is missing after `{text}`"));
        }
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{text}` is not a whole number"));
        }
        digits
            .parse()
            .map(make)
            .map_err(|_| format!("`{text}` is too large"))
    }
}

/// One service and the count wished for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub service: String,
    pub count: Count,
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let example = |service: &str| format!("type a count after the service: rscale {service}=3");
        let Some((service, count)) = text.split_once('=') else {
            return Err(Error::usage(format!("`{text}` has no count")).hint(example(text)));
        };
        if service.is_empty() {
            return Err(
                Error::usage(format!("`{text}` has no service")).hint(format!(
                    "type the service before the count: rscale web={count}"
                )),
            );
        }
        if service.chars().any(char::is_whitespace) {
            return Err(Error::usage(format!("`{service}` is not a service's name"))
                .hint("quote nothing and leave no spaces: rscale web=3"));
        }
        match count.parse() {
            Ok(count) => Ok(Self {
                service: service.to_owned(),
                count,
            }),
            Err(why) => Err(Error::usage(format!("`{text}`: {why}")).hint(format!(
                "a count is 3, +2 or -1 (relative to the replicas there are now): rscale {service}=3"
            ))),
        }
    }
}

/// The targets of one run: every service once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets(pub BTreeMap<String, Count>);

impl Targets {
    /// Reads the targets of a command line.
    ///
    /// # Errors
    /// Usage errors: a malformed target, one service with two counts, a count over [`COUNT_LIMIT`]
    /// without `force`.
    pub fn parse<S: AsRef<str>>(texts: &[S], force: bool) -> Result<Self> {
        let mut targets = BTreeMap::new();
        for text in texts {
            let Target { service, count } = text.as_ref().parse()?;
            check_limit(&service, count, force)?;
            if let Some(other) = targets.insert(service.clone(), count)
                && other != count
            {
                return Err(Error::usage(format!(
                    "`{service}` is given twice, as {other} and as {count}"
                ))
                .hint(format!("keep one of them: rscale {service}={count}")));
            }
        }
        Ok(Self(targets))
    }
}

/// Refuses a count over [`COUNT_LIMIT`] without `force`, and one that no engine can run.
pub fn check_limit(service: &str, count: Count, force: bool) -> Result<()> {
    let (Count::Exactly(number) | Count::More(number)) = count else {
        return Ok(());
    };
    if number > COUNT_MOST {
        return Err(Error::usage(format!(
            "`{service}={count}` asks for more than {COUNT_MOST} replicas, which no engine runs"
        ))
        .hint(format!("type the count that is meant: rscale {service}=3")));
    }
    if number > COUNT_LIMIT && !force {
        return Err(Error::usage(format!(
            "`{service}={count}` asks for more than {COUNT_LIMIT} replicas"
        ))
        .hint(format!(
            "if that is meant: rscale --force {service}={count}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Count, Target, Targets};
    use crate::error::Exit;

    #[test]
    fn reads_absolute_and_relative_counts() {
        for (text, count) in [
            ("web=3", Count::Exactly(3)),
            ("web=0", Count::Exactly(0)),
            ("web=03", Count::Exactly(3)),
            ("web=+2", Count::More(2)),
            ("web=-1", Count::Fewer(1)),
            ("web=1000", Count::Exactly(1000)),
        ] {
            let target: Target = text.parse().expect(text);
            assert_eq!(
                (target.service.as_str(), target.count),
                ("web", count),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_target_in_one_line() {
        for (text, message) in [
            ("web", "`web` has no count"),
            ("web=", "`web=`: the count is missing"),
            ("=3", "`=3` has no service"),
            ("web=1.5", "`web=1.5`: `1.5` is not a whole number"),
            ("web=-", "`web=-`: a number is missing after `-`"),
            ("web=+", "`web=+`: a number is missing after `+`"),
            (
                "web=99999999999",
                "`web=99999999999`: `99999999999` is too large",
            ),
            ("web=0x2", "`web=0x2`: `0x2` is not a whole number"),
            ("web= 2", "`web= 2`: ` 2` is not a whole number"),
            ("web=2x", "`web=2x`: `2x` is not a whole number"),
            ("web=3=4", "`web=3=4`: `3=4` is not a whole number"),
            ("web=--1", "`web=--1`: `--1` is not a whole number"),
            ("web=٣", "`web=٣`: `٣` is not a whole number"),
            ("a b=3", "`a b` is not a service's name"),
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert_eq!(error.message, message);
            assert_eq!(error.exit(), Exit::Usage);
            assert_eq!(error.hints.len(), 1, "{text} has a hint");
        }
    }

    #[test]
    fn the_same_service_twice_must_agree() {
        assert!(Targets::parse(&["web=3", "web=3"], false).is_ok());
        let error = Targets::parse(&["web=3", "db=1", "web=2"], false).unwrap_err();
        assert_eq!(error.message, "`web` is given twice, as 3 and as 2");
    }

    #[test]
    fn a_count_over_the_limit_wants_force() {
        let error = Targets::parse(&["web=1001"], false).unwrap_err();
        assert_eq!(error.message, "`web=1001` asks for more than 1000 replicas");
        assert!(Targets::parse(&["web=+1001"], false).is_err());
        assert!(Targets::parse(&["web=1001"], true).is_ok());
        assert!(Targets::parse(&["web=-1001"], false).is_ok());
    }

    #[test]
    fn a_count_that_no_engine_runs_is_refused_with_force_as_well() {
        assert!(Targets::parse(&["web=100000"], true).is_ok());
        for typed in ["web=100001", "web=+100001", "web=4294967295"] {
            let error = Targets::parse(&[typed], true).unwrap_err();
            let message =
                format!("`{typed}` asks for more than 100000 replicas, which no engine runs");
            assert_eq!((error.exit(), error.message), (Exit::Usage, message));
        }
        assert!(Targets::parse(&["web=-4294967295"], true).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(service in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", number in 0u32.., kind in 0..3) {
            let count = match kind { 0 => Count::Exactly(number), 1 => Count::More(number), _ => Count::Fewer(number) };
            let target: Target = format!("{service}={count}").parse().unwrap();
            prop_assert_eq!(target, Target { service, count });
        }

        #[test]
        fn nothing_typed_panics_and_every_refusal_has_a_hint(text in "\\PC{0,20}") {
            if let Err(error) = text.parse::<Target>() {
                prop_assert_eq!(error.exit(), Exit::Usage);
                prop_assert!(!error.hints.is_empty());
                prop_assert!(!error.message.contains('\n'));
            }
        }

        #[test]
        fn relative_counts_move_by_their_number(now in 0u32..10_000, by in 0u32..10_000) {
            prop_assert_eq!(Count::More(by).resolve(now), i64::from(now) + i64::from(by));
            prop_assert_eq!(Count::Fewer(by).resolve(now), i64::from(now) - i64::from(by));
            prop_assert_eq!(Count::Exactly(by).resolve(now), i64::from(by));
        }
    }
}
