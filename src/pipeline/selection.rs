//! Which services a scale is about: the named ones, or for `scale-all` every one that can be scaled.

use std::collections::BTreeMap;
use std::fmt;

use wildmatch::WildMatch;

use crate::error::{Error, Kind, Result};
use crate::preflight::{self, Bare, Finding, Rule, Severity};
use crate::project::Project;
use crate::project::declared::Declared;
use crate::project::target::{Count, Targets};
use crate::suggest;

/// Which services.
#[derive(Debug)]
pub enum Asked {
    Named(Targets),
    All {
        count: Count,
        only: Vec<String>,
        except: Vec<String>,
    },
}

/// Subcommand and targets, as they can be typed.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(targets) => {
                f.write_str("rscale")?;
                let mut targets = targets.0.iter();
                targets.try_for_each(|(service, count)| write!(f, " {service}={count}"))
            }
            Self::All {
                count,
                only,
                except,
            } => {
                write!(f, "rscale scale-all {count}")?;
                for (option, services) in [("--only", only), ("--except", except)] {
                    for service in services {
                        // It may be a pattern, which a shell would try on files.
                        let quoted = shlex::try_quote(service).unwrap_or(service.into());
                        write!(f, " {option} {quoted}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// A service that `scale-all` does not scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAlone {
    pub service: String,
    pub reason: String,
}

/// Refuses names that are not in the file.
///
/// # Errors
/// Names the nearest right one and lists the others.
pub fn known_services<'a>(
    declared: &Declared,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<()> {
    for name in names {
        if declared.services.contains_key(name) {
            continue;
        }
        let services: Vec<&str> = declared.services.keys().map(String::as_str).collect();
        let mut error = Error::usage(format!(
            "project `{}` has no service `{name}`",
            declared.name
        ));
        if let Some(nearest) = suggest::nearest(name, services.iter().copied()) {
            error = error.hint(format!("did you mean `{nearest}`?"));
        }
        return Err(error.hint(format!("its services: {}", services.join(", "))));
    }
    Ok(())
}

/// The counts wished for; a relative one may have come out below 0.
pub type Wish = BTreeMap<String, i64>;

/// The counts wished for, and what `scale-all` leaves alone.
pub fn wish(project: &Project, asked: &Asked) -> Result<(Wish, Vec<LeftAlone>)> {
    match asked {
        Asked::Named(targets) => {
            let resolve = |(service, count): (&String, &Count)| {
                (service.clone(), count.resolve(project.count(service)))
            };
            Ok((targets.0.iter().map(resolve).collect(), Vec::new()))
        }
        Asked::All {
            count,
            only,
            except,
        } => everything(project, *count, only, except),
    }
}

fn everything(
    project: &Project,
    wanted: Count,
    only: &[String],
    except: &[String],
) -> Result<(Wish, Vec<LeftAlone>)> {
    let active = || {
        project
            .declared
            .services
            .values()
            .filter(|service| project.is_active(service))
    };
    for pattern in only.iter().chain(except) {
        let matcher = WildMatch::new(pattern);
        if !active().any(|service| matcher.matches(&service.name)) {
            let names: Vec<&str> = active().map(|service| service.name.as_str()).collect();
            return Err(Error::usage(format!("no service matches `{pattern}`"))
                .hint(format!("the services: {}", names.join(", "))));
        }
    }
    let matches = |patterns: &[String], name: &str| {
        patterns
            .iter()
            .any(|pattern| WildMatch::new(pattern).matches(name))
    };
    let bare = Bare::new(project);
    let (mut wish, mut left_alone) = (Wish::new(), Vec::new());
    for service in active() {
        let name = &service.name;
        if (!only.is_empty() && !matches(only, name)) || matches(except, name) {
            continue;
        }
        let resolved = wanted.resolve(project.count(name));
        match reason_to_leave_alone(project, &bare, name, resolved) {
            Some(reason) => left_alone.push(LeftAlone {
                service: name.clone(),
                reason,
            }),
            None => {
                wish.insert(name.clone(), resolved);
            }
        }
    }
    if wish.is_empty() {
        let reasons = left_alone.iter().map(|item| item.reason.clone());
        return Err(
            Error::new(Kind::Refused, "no service of this project can be scaled").hints(reasons),
        );
    }
    Ok((wish, left_alone))
}

fn reason_to_leave_alone(project: &Project, bare: &Bare, name: &str, count: i64) -> Option<String> {
    let service = project.service(name)?;
    let as_second = preflight::obstacles(bare, name, 2);
    let asked = u32::try_from(count).unwrap_or(0);
    let as_asked = preflight::obstacles(bare, name, asked);
    let counts = |finding: &&Finding| {
        finding.severity == Severity::Error
            // A store without a volume could be multiplied, and each would hold other data.
            || (finding.rule == Rule::Stateful && service.policy.scalable != Some(true))
    };
    let finding = as_second
        .iter()
        .find(|finding| counts(finding) && finding.rule != Rule::Limits);
    let finding = finding.or_else(|| as_asked.iter().find(counts));
    finding.map(|finding| finding.message.clone())
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use crate::project::target::{Count, Targets};

    #[test]
    fn what_was_asked_is_shown_as_it_can_be_typed() {
        let targets = Targets::parse(&["web=3", "db=+1"], false).unwrap();
        assert_eq!(Asked::Named(targets).to_string(), "rscale db=+1 web=3");
        let all = Asked::All {
            count: Count::Exactly(2),
            only: Vec::new(),
            except: vec!["db*".into(), "web".into()],
        };
        let typed = all.to_string();
        let words = shlex::split(&typed).unwrap();
        assert_eq!(
            words,
            [
                "rscale",
                "scale-all",
                "2",
                "--except",
                "db*",
                "--except",
                "web"
            ]
        );
        assert_ne!(typed, words.join(" "));
    }
}
