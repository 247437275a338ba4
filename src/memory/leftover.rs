//! What is still to be seen of runs that were killed: from what the journal knows and what is there. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::past::{Past, Unended};
use super::record::Former;
use crate::lock::Holder;
use crate::project::Project;
use crate::project::observed::Replica;

/// A run that was killed, and what it left half-done.
#[derive(Debug, Clone, PartialEq)]
pub struct Leftover {
    pub by: Holder,
    pub at: Timestamp,
    pub services: Vec<HalfDone>,
}

/// A service of such a run. One of them at least is neither as it was nor as it was to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfDone {
    pub service: String,
    pub from: u32,
    /// `None` where it was to become more than one count.
    pub to: Option<u32>,
    pub now: u32,
    /// Replicas that have come since, by name: made by that run, or by somebody after it.
    pub new: Vec<String>,
    /// Replicas that ran before, are still there, and do not run.
    pub stopped: Vec<String>,
}

impl Leftover {
    /// What to type to get to where that run was going; `None` where that was more than one count.
    pub fn finish(&self) -> Option<String> {
        let services = self.services.iter();
        let targets: Option<Vec<String>> = services
            .map(|one| Some(target(&one.service, one.to?)))
            .collect();
        targets.map(|targets| format!("rscale {}", targets.join(" ")))
    }

    /// What to type to get to the counts before it.
    pub fn undo(&self) -> String {
        let services = self.services.iter();
        let targets: Vec<String> = services.map(|one| target(&one.service, one.from)).collect();
        format!("rscale {}", targets.join(" "))
    }

    /// Both, in a line.
    pub fn way_out(&self) -> String {
        let finish = self.finish();
        let finish = finish.map_or(String::new(), |line| format!("to finish it: {line}; "));
        format!("{finish}to undo it: {}", self.undo())
    }
}

/// `rscale web=3` (pid 4711, alice) began 2026-11-29 09:30:00 UTC and was killed before it ended: `web` 1 -> 3, now 2, new
/// since: shop-web-2.
impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let services: Vec<String> = self.services.iter().map(HalfDone::to_string).collect();
        write!(
            f,
            "{} began {} and was killed before it ended: {}",
            self.by,
            self.at.strftime("%F %T UTC"),
            services.join("; ")
        )
    }
}

impl std::fmt::Display for HalfDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            service, from, now, ..
        } = self;
        match self.to {
            Some(to) => write!(f, "`{service}` {from} -> {to}, now {now}")?,
            None => write!(f, "`{service}` had {from}, now {now}")?,
        }
        for (what, names) in [
            ("new since", &self.new),
            ("does not run any more", &self.stopped),
        ] {
            if !names.is_empty() {
                write!(f, ", {what}: {}", names.join(" "))?;
            }
        }
        Ok(())
    }
}

fn target(service: &str, count: u32) -> String {
    format!("{service}={count}")
}

/// What earlier runs left that is still there; nothing of a run whose services got to where they were going all the
/// same, or are as they were, or that ran on replicas of which none is left.
pub fn leftovers(past: &Past, now: &Project) -> Vec<Leftover> {
    let found = past.unended.iter().map(|run| Leftover {
        by: run.began.by.clone(),
        at: run.at,
        services: half_done(run, now),
    });
    found.filter(|one| !one.services.is_empty()).collect()
}

fn half_done(run: &Unended, now: &Project) -> Vec<HalfDone> {
    // A part of a sweep is told as the sweep, whose counts are the ones to go back to.
    if run.began.within.is_some() || is_of_another_life(run, now) {
        return Vec::new();
    }
    let services = run.began.services.iter();
    let is_open = |(service, former): (&String, &Former)| {
        let there = now.replicas(service);
        let arrived = former.to == Some(now.count(service)) && there.iter().all(Replica::is_good);
        !arrived && !is_as_before(former, now, service)
    };
    if !services.clone().any(is_open) {
        return Vec::new();
    }
    services
        .map(|(service, former)| {
            let there = now.replicas(service);
            let was = |replica: &&Replica| former.replicas.iter().any(|old| old.id == replica.id);
            let ran = |replica: &&Replica| {
                let mut old = former.replicas.iter();
                old.any(|old| old.id == replica.id && old.running)
            };
            let names = |all: Vec<&Replica>| all.iter().map(|one| one.name.clone()).collect();
            HalfDone {
                service: service.clone(),
                from: former.from,
                to: former.to,
                now: now.count(service),
                new: names(there.iter().filter(|one| !was(one)).collect()),
                stopped: names(
                    there
                        .iter()
                        .filter(|one| ran(one) && !one.is_running())
                        .collect(),
                ),
            }
        })
        .collect()
}

fn is_as_before(former: &Former, now: &Project, service: &str) -> bool {
    let staying = now.replicas(service).iter();
    let mut staying = staying.filter(|replica| !replica.leaving);
    // An engine that keeps counts replaces what fails: there, the count is what was.
    if !now.deployed.is_empty() {
        return now.count(service) == former.from && staying.all(Replica::is_good);
    }
    let was: BTreeSet<(&String, bool)> = former
        .replicas
        .iter()
        .map(|one| (&one.id, one.running))
        .collect();
    let is: BTreeSet<(&String, bool)> = staying.map(|one| (&one.id, one.is_running())).collect();
    was == is
}

/// Whether nothing of what the run saw or made is there any more: the project was taken down since.
fn is_of_another_life(run: &Unended, now: &Project) -> bool {
    let there: BTreeSet<&str> = now
        .replicas
        .values()
        .flatten()
        .map(|replica| replica.id.as_str())
        .collect();
    let before = run
        .began
        .services
        .values()
        .flat_map(|former| &former.replicas);
    let mut before = before.map(|one| one.id.as_str()).peekable();
    let started_from_nothing = before.peek().is_none();
    let mut made = run.done.made.keys().map(String::as_str);
    !started_from_nothing && !before.chain(&mut made).any(|id| there.contains(id))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::leftovers;
    use crate::lock::Holder;
    use crate::memory::past::{Past, Unended};
    use crate::memory::record::{Began, Former, RunId};
    use crate::plan::done::Done;
    use crate::project::Project;
    use crate::project::declared::Declared;
    use crate::project::observed::{Replica, State};

    /// Replicas of `web` by their numbers: those that run, and those that exited.
    fn project(running: &[u32], exited: &[u32]) -> Project {
        let declared = Declared::parse("services: {web: {image: a}, db: {image: b}}", "shop");
        let replica = |number: &u32, state| Replica {
            id: format!("id-{number}"),
            name: format!("shop-web-{number}"),
            service: "web".into(),
            number: *number,
            state,
            ..Replica::default()
        };
        let running = running.iter().map(|number| replica(number, State::Running));
        let exited = exited.iter().map(|number| replica(number, State::Exited));
        Project::new(declared.unwrap(), running.chain(exited).collect::<Vec<_>>())
    }

    fn past(before: &Project, to: Option<u32>) -> Past {
        let began = Began {
            by: Holder {
                pid: 4711,
                user: "alice".into(),
                command: "rscale web=3".into(),
                ..Holder::default()
            },
            within: None,
            services: [("web".into(), Former::new(before, "web", to))].into(),
        };
        Past {
            unended: vec![Unended {
                run: RunId::default(),
                at: Timestamp::UNIX_EPOCH,
                began,
                done: Done::default(),
                last: None,
            }],
            ..Past::default()
        }
    }

    #[test]
    fn what_is_half_done_is_told_with_the_way_on_and_the_way_back() {
        let found = leftovers(&past(&project(&[1], &[]), Some(3)), &project(&[1, 2], &[]));
        assert_eq!(
            found[0].to_string(),
            "`rscale web=3` (pid 4711, alice) began 1970-01-01 00:00:00 UTC and was killed before it ended: `web` 1 -> 3, \
             now 2, new since: shop-web-2"
        );
        assert_eq!(
            found[0].way_out(),
            "to finish it: rscale web=3; to undo it: rscale web=1"
        );
    }

    #[test]
    fn a_run_to_more_than_one_count_can_be_undone_alone() {
        let found = leftovers(&past(&project(&[1], &[]), None), &project(&[1, 2], &[]));
        assert_eq!(found[0].way_out(), "to undo it: rscale web=1");
    }

    #[test]
    fn nothing_is_told_of_what_is_as_it_was_or_was_to_become_or_of_another_life() {
        let one = project(&[1], &[]);
        let two = past(&project(&[1, 2], &[]), Some(1));
        for (past, now, told) in [
            (past(&one, Some(3)), project(&[1], &[]), false),
            (past(&one, Some(3)), project(&[1, 2, 3], &[]), false),
            (past(&one, Some(3)), project(&[1, 2], &[3]), true),
            // What ran and does not: the count is the same, the service is not.
            (two.clone(), project(&[1], &[2]), true),
            (two.clone(), project(&[1], &[]), false),
            (two.clone(), project(&[2], &[1]), true),
            (two, project(&[], &[]), false),
            (past(&one, Some(3)), project(&[7, 8], &[]), false),
            // From nothing there is no other life to be told from.
            (past(&project(&[], &[]), Some(3)), project(&[1], &[]), true),
        ] {
            let found = leftovers(&past, &now);
            assert_eq!(!found.is_empty(), told, "{found:?}");
        }
    }
}
