//! The journal of a project: what runs begin, do and end, in a file of the state store.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jiff::{SignedDuration, Timestamp};

use super::past::Past;
use super::record::{Entry, RunId, What};
use super::store::Folder;

const FILE: &str = "journal.jsonl";
/// The journal is thinned when it is larger than this, to half of it.
const SIZE_LIMIT: u64 = 5 << 20;
/// Runs that began longer ago are forgotten.
const AGE_LIMIT: SignedDuration = SignedDuration::from_hours(24 * 90);

/// The journal of one project on one engine.
#[derive(Debug)]
pub struct Journal {
    folder: Folder,
}

impl Journal {
    pub fn new(folder: Folder) -> Self {
        Self { folder }
    }

    /// What it says. A line that cannot be read is passed over: a run may have been killed in the middle of one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let text = self.folder.read(FILE, 2 * SIZE_LIMIT)?.unwrap_or_default();
        let lines = text.lines();
        Ok(lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// # Errors
    /// The file cannot be read.
    pub fn past(&self) -> io::Result<Past> {
        Ok(Past::of(&self.entries()?))
    }

    /// Says something of a run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn say(&self, run: &RunId, what: What) -> io::Result<()> {
        let entry = Entry {
            run: run.clone(),
            at: Timestamp::now(),
            what,
        };
        let line = serde_json::to_string(&entry)?;
        self.folder.append(FILE, &line)
    }

    /// Forgets what is old, where there is enough of it. To be called under the project's lock.
    ///
    /// # Errors
    /// The file can be neither read nor written.
    pub fn thin(&self) -> io::Result<()> {
        let entries = self.entries()?;
        let Some(kept) = thinned(&entries, Timestamp::now(), SIZE_LIMIT) else {
            return Ok(());
        };
        self.folder.write(FILE, &kept)
    }
}

/// The lines that stay, `None` when all do: first what is too old goes, then whole runs, the oldest first, until half
/// the limit in bytes is free. A run that did not end stays as long as it is not too old.
fn thinned(entries: &[Entry], now: Timestamp, limit: u64) -> Option<String> {
    let mut runs: BTreeMap<&RunId, (Timestamp, u64, bool)> = BTreeMap::new();
    let mut lines = Vec::new();
    for entry in entries {
        let line = serde_json::to_string(entry).unwrap_or_default() + "\n";
        let (_, size, ended) = runs.entry(&entry.run).or_insert((entry.at, 0, false));
        *size += line.len() as u64;
        *ended |= matches!(entry.what, What::Ended { .. });
        lines.push((&entry.run, line));
    }
    let too_old = |at: Timestamp| now.duration_since(at) > AGE_LIMIT;
    let mut gone: BTreeSet<&RunId> = runs
        .iter()
        .filter(|(_, (at, ..))| too_old(*at))
        .map(|(run, _)| *run)
        .collect();
    runs.retain(|run, _| !gone.contains(run));
    let mut size: u64 = runs.values().map(|(_, size, _)| size).sum();
    if size > limit {
        let mut oldest: Vec<_> = runs.iter().filter(|(_, (.., ended))| *ended).collect();
        oldest.sort_by_key(|(_, (at, ..))| *at);
        for (run, (_, of_run, _)) in oldest {
            if size <= limit / 2 {
                break;
            }
            size -= of_run;
            gone.insert(run);
        }
    }
    if gone.is_empty() {
        return None;
    }
    let kept = lines.into_iter().filter(|(run, _)| !gone.contains(run));
    Some(kept.map(|(_, line)| line).collect())
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Journal, thinned};
    use crate::memory::record::{Began, Entry, RunId, What};
    use crate::memory::store::Store;
    use crate::plan::Counts;
    use crate::plan::outcome::Outcome;

    fn began() -> What {
        What::Began(Began::default())
    }

    fn ended() -> What {
        What::Ended {
            outcome: Outcome::Scaled,
            counts: Counts::new(),
        }
    }

    #[test]
    fn what_is_said_is_read_again_and_half_a_line_hurts_nobody() {
        let root = tempfile::tempdir().unwrap();
        let folder = || Store::at(root.path()).project("engine", "shop");
        let journal = Journal::new(folder());
        let run = RunId::new(Timestamp::UNIX_EPOCH, 7);
        journal.say(&run, began()).unwrap();
        folder()
            .append("journal.jsonl", r#"{"run":"7","at":"20"#)
            .unwrap();
        journal.say(&run, ended()).unwrap();
        let said: Vec<What> = journal
            .entries()
            .unwrap()
            .into_iter()
            .map(|entry| entry.what)
            .collect();
        assert_eq!(said, [began(), ended()]);
    }

    #[test]
    fn old_runs_are_forgotten_and_of_too_many_the_oldest_that_ended() {
        let day = |day: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day);
        let entry = |run: &str, at, what| Entry {
            run: RunId(run.into()),
            at,
            what,
        };
        let run = |name, at| [entry(name, at, began()), entry(name, at, ended())];
        let entries = [
            &run("old", day(1))[..],
            &[entry("killed", day(100), began())],
            &run("a", day(101)),
            &run("b", day(102)),
        ]
        .concat();
        let left = |now, limit| -> Option<Vec<String>> {
            let text = thinned(&entries, now, limit)?;
            let runs = text.lines().map(|line| {
                let entry: Entry = serde_json::from_str(line).unwrap();
                entry.run.0
            });
            let mut runs: Vec<String> = runs.collect();
            runs.dedup();
            Some(runs)
        };
        let whole = |entries: &[Entry]| -> u64 {
            let lines = entries
                .iter()
                .map(|entry| serde_json::to_string(entry).unwrap());
            lines.map(|line| line.len() as u64 + 1).sum()
        };
        let all = whole(&entries);
        assert_eq!(left(day(10), all), None);
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(left(day(120), all), names(&["killed", "a", "b"]));
        assert_eq!(left(day(10), all - 1), names(&["killed", "b"]));
        assert_eq!(left(day(10), 1), names(&["killed"]));
    }
}
