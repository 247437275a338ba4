//! What the entries of a journal come to: runs that never ended, and replicas that are not as they were. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::record::{Ahead, Began, Entry, RunId, What};
use crate::plan::done::{Deed, Done, Touched};
use crate::plan::outcome::Outcome;

/// What earlier runs left behind, as far as the journal knows; what of it is still there, the engine knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// Runs that began and never ended, the oldest first, without the services that later runs brought to an end.
    pub unended: Vec<Unended>,
    /// Replicas that were told to take no more work, by id.
    pub drained: BTreeMap<String, Touched>,
    /// Ids of replicas that were marked as the first to go.
    pub preferred: BTreeSet<String>,
}

/// A run that began and never ended: it was killed, or it is still on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Unended {
    pub run: RunId,
    pub at: Timestamp,
    pub began: Began,
    pub done: Done,
    /// What it was about to do last.
    pub last: Option<Ahead>,
}

impl Past {
    /// Reads entries in the order in which they were written.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut past = Self::default();
        for entry in entries {
            past.add(entry);
        }
        past
    }

    fn add(&mut self, entry: &Entry) {
        match &entry.what {
            What::Began(began) => self.unended.push(Unended {
                run: entry.run.clone(),
                at: entry.at,
                began: began.clone(),
                done: Done::default(),
                last: None,
            }),
            What::Step(ahead) => {
                if let Some(run) = self.run(&entry.run) {
                    run.last = Some(ahead.clone());
                }
            }
            What::Did { deed } => {
                if let Some(run) = self.run(&entry.run) {
                    run.done.add(deed);
                }
                self.mark(deed);
            }
            What::Ended { outcome, .. } => self.end(&entry.run, *outcome),
            What::Unknown => {}
        }
    }

    fn run(&mut self, id: &RunId) -> Option<&mut Unended> {
        self.unended.iter_mut().find(|one| one.run == *id)
    }

    fn mark(&mut self, deed: &Deed) {
        match deed {
            Deed::Draining(all) | Deed::Drained(all) => {
                let by_id = all.iter().map(|one| (one.id.clone(), one.clone()));
                self.drained.extend(by_id);
            }
            Deed::Undrained(ids) => self.drained.retain(|id, _| !ids.contains(id)),
            Deed::Preferred(ids) => self.preferred.extend(ids.iter().cloned()),
            Deed::Released(ids) => self.preferred.retain(|id| !ids.contains(id)),
            _ => {}
        }
    }

    /// A run ended, and with it what it was made of. Where it got to its counts, earlier runs have no more say in
    /// its services; but a part of a run is no end of it.
    fn end(&mut self, id: &RunId, outcome: Outcome) {
        let Some(place) = self.unended.iter().position(|one| one.run == *id) else {
            return;
        };
        let ended = self.unended.remove(place);
        self.unended
            .retain(|one| one.began.within.as_ref() != Some(id));
        if !matches!(outcome, Outcome::Scaled | Outcome::Unchanged) {
            return;
        }
        for earlier in &mut self.unended[..place] {
            if ended.began.within.as_ref() != Some(&earlier.run) {
                let services = &mut earlier.began.services;
                services.retain(|name, _| !ended.began.services.contains_key(name));
            }
        }
        self.unended.retain(|one| !one.began.services.is_empty());
    }

    /// Without a run that is on its way, and what it is made of.
    #[must_use]
    pub fn before(mut self, current: Option<&RunId>) -> Self {
        self.unended.retain(|one| {
            let part = one.began.within.as_ref();
            current.is_none_or(|current| one.run != *current && part != Some(current))
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Past;
    use crate::memory::record::{Began, Entry, Former, RunId, What};
    use crate::plan::Counts;
    use crate::plan::done::{Deed, Touched};
    use crate::plan::outcome::Outcome;

    fn entry(run: &str, what: What) -> Entry {
        Entry {
            run: RunId(run.into()),
            at: Timestamp::UNIX_EPOCH,
            what,
        }
    }

    fn began(run: &str, services: &[&str]) -> Entry {
        let services = services.iter();
        let services = services.map(|name| ((*name).to_owned(), Former::default()));
        let began = Began {
            services: services.collect(),
            ..Began::default()
        };
        entry(run, What::Began(began))
    }

    fn part(run: &str, within: &str, services: &[&str]) -> Entry {
        let mut entry = began(run, services);
        if let What::Began(began) = &mut entry.what {
            began.within = Some(RunId(within.into()));
        }
        entry
    }

    fn ended(run: &str, outcome: Outcome) -> Entry {
        let counts = Counts::new();
        entry(run, What::Ended { outcome, counts })
    }

    fn did(run: &str, deed: Deed) -> Entry {
        entry(run, What::Did { deed })
    }

    fn touched(id: &str) -> Touched {
        Touched {
            id: id.into(),
            ..Touched::default()
        }
    }

    /// Runs that never ended, each with its services: `a: web worker`.
    fn unended(entries: &[Entry]) -> Vec<String> {
        let shown = |run: &super::Unended| {
            let services: Vec<&str> = run.began.services.keys().map(String::as_str).collect();
            format!("{}: {}", run.run.0, services.join(" "))
        };
        Past::of(entries).unended.iter().map(shown).collect()
    }

    #[test]
    fn a_run_that_ended_is_over_however_it_ended() {
        for outcome in [Outcome::Scaled, Outcome::RolledBack, Outcome::Failed] {
            assert!(unended(&[began("a", &["web"]), ended("a", outcome)]).is_empty());
        }
        assert_eq!(unended(&[began("a", &["web"])]), ["a: web"]);
    }

    #[test]
    fn a_later_run_has_the_say_only_in_services_that_it_got_to_their_counts() {
        let killed = || began("a", &["web", "worker"]);
        let later = |services: &[&str], outcome| {
            unended(&[killed(), began("b", services), ended("b", outcome)])
        };
        assert_eq!(later(&["web"], Outcome::Scaled), ["a: worker"]);
        assert_eq!(later(&["web", "worker"], Outcome::Unchanged), [""; 0]);
        assert_eq!(later(&["web"], Outcome::RolledBack), ["a: web worker"]);
        assert_eq!(later(&["other"], Outcome::Scaled), ["a: web worker"]);
        // One that began before it has none.
        let earlier = [began("b", &["web"]), killed(), ended("b", Outcome::Scaled)];
        assert_eq!(unended(&earlier), ["a: web worker"]);
    }

    #[test]
    fn a_part_of_a_run_is_no_end_of_it_and_ends_with_it() {
        let sweep = began("sweep", &["web"]);
        let done = [
            sweep.clone(),
            part("a", "sweep", &["web"]),
            ended("a", Outcome::Scaled),
        ];
        assert_eq!(unended(&done), ["sweep: web"]);
        let killed = [sweep, part("a", "sweep", &["web"])];
        assert_eq!(unended(&killed), ["sweep: web", "a: web"]);
        let ended = [&killed[..], &[ended("sweep", Outcome::Scaled)]].concat();
        assert!(unended(&ended).is_empty());
    }

    #[test]
    fn a_run_on_its_way_is_not_told_of_with_all_its_parts() {
        let entries = [
            began("old", &["web"]),
            began("sweep", &["web"]),
            part("a", "sweep", &["web"]),
        ];
        let past = Past::of(&entries).before(Some(&RunId("sweep".into())));
        let left: Vec<&str> = past.unended.iter().map(|run| run.run.0.as_str()).collect();
        assert_eq!(left, ["old"]);
    }

    #[test]
    fn what_was_drained_is_known_until_it_takes_work_again() {
        let drained = |entries: &[Entry]| -> Vec<String> {
            Past::of(entries).drained.keys().cloned().collect()
        };
        // A run that was killed in the middle of a drain may have drained it.
        let mut entries = vec![
            began("a", &["web"]),
            did("a", Deed::Draining(vec![touched("1"), touched("2")])),
        ];
        assert_eq!(drained(&entries), ["1", "2"]);
        entries.push(did("a", Deed::Drained(vec![touched("1")])));
        entries.push(did("a", Deed::Undrained(vec!["2".into()])));
        // How it ended does not matter to it.
        entries.push(ended("a", Outcome::Failed));
        assert_eq!(drained(&entries), ["1"]);
        entries.push(did("b", Deed::Undrained(vec!["1".into()])));
        assert!(drained(&entries).is_empty());
    }

    #[test]
    fn what_a_later_version_says_is_passed_over() {
        let line = r#"{"run":"a","at":"2026-11-29T00:00:00Z","what":"paused","for":"ever"}"#;
        let entry: Entry = serde_json::from_str(line).unwrap();
        assert_eq!(entry.what, What::Unknown);
        assert_eq!(unended(&[began("a", &["web"]), entry]), ["a: web"]);
    }
}
