//! Which job of a queue is which task. BullMQ's ids are a counter's numbers, reserved many at once. Pure.

use std::collections::BTreeMap;

use crate::load::book::Ticket;
use crate::load::ledger::Kind;

/// One job that this driver added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    pub task: u32,
    pub kind: Kind,
    /// How often a worker began with it.
    pub starts: u32,
    /// When a worker began with it the last time, in milliseconds since 1970; 0 before.
    pub active: u64,
    pub ended: bool,
}

/// The jobs that were added to one queue, in all runs.
#[derive(Debug, Default)]
pub struct Jobs {
    /// By the first id of each batch.
    batches: BTreeMap<u64, Batch>,
    run: u32,
}

#[derive(Debug)]
struct Batch {
    run: u32,
    jobs: Vec<Job>,
}

impl Jobs {
    /// Another run begins: jobs of those before are nobody's task any more, but still own ones.
    pub fn next_run(&mut self) {
        self.run += 1;
    }

    /// The ids from `first` on are these tasks.
    pub fn add(&mut self, first: u64, tickets: &[Ticket]) {
        let job = |ticket: &Ticket| Job {
            task: ticket.task,
            kind: ticket.kind,
            starts: 0,
            active: 0,
            ended: false,
        };
        let batch = Batch {
            run: self.run,
            jobs: tickets.iter().map(job).collect(),
        };
        self.batches.insert(first, batch);
    }

    /// An own job of whatever run, and whether it is one of this run.
    pub fn find(&mut self, id: &str) -> Option<(&mut Job, bool)> {
        let number: u64 = id.parse().ok()?;
        // `007` and `+7` are ids that somebody made up.
        if !id.starts_with(|digit: char| digit.is_ascii_digit() && digit != '0') {
            return None;
        }
        let (first, batch) = self.batches.range_mut(..=number).next_back()?;
        let place = usize::try_from(number - first).ok()?;
        Some((batch.jobs.get_mut(place)?, batch.run == self.run))
    }

    /// All own jobs, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = (u64, Job)> {
        self.batches
            .iter()
            .flat_map(|(first, batch)| (*first..).zip(batch.jobs.iter().copied()))
    }

    /// Jobs of this run that are not known to have ended, the oldest first.
    pub fn open(&self) -> Vec<u64> {
        let mut open = Vec::new();
        for (first, batch) in &self.batches {
            if batch.run == self.run {
                let ids = (*first..).zip(&batch.jobs);
                open.extend(ids.filter(|(_, job)| !job.ended).map(|(id, _)| id));
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Jobs;
    use crate::load::book::Ticket;

    fn tickets(tasks: std::ops::Range<u32>) -> Vec<Ticket> {
        tasks.map(|task| Ticket { task, kind: 1 }).collect()
    }

    #[test]
    fn ids_lead_to_tasks_and_strangers_to_nothing() {
        let mut jobs = Jobs::default();
        jobs.add(10, &tickets(0..3));
        jobs.add(20, &tickets(3..5));
        for (id, task) in [("10", 0), ("12", 2), ("20", 3), ("21", 4)] {
            assert_eq!(jobs.find(id).unwrap().0.task, task, "{id}");
        }
        for stranger in [
            "9",
            "13",
            "19",
            "22",
            "",
            "010",
            "+10",
            " 10",
            "-10",
            "mail-10",
            "99999999999999999999",
        ] {
            assert!(jobs.find(stranger).is_none(), "{stranger}");
        }
        jobs.find("11").unwrap().0.ended = true;
        assert_eq!(jobs.open(), [10, 12, 20, 21]);
    }

    #[test]
    fn jobs_of_a_warm_up_stay_own_ones_without_being_tasks_of_the_run() {
        let mut jobs = Jobs::default();
        jobs.add(1, &tickets(0..2));
        jobs.next_run();
        jobs.add(3, &tickets(0..1));
        assert!(!jobs.find("2").unwrap().1);
        assert!(jobs.find("3").unwrap().1);
        assert_eq!(jobs.open(), [3]);
        assert_eq!(jobs.all().map(|(id, _)| id).collect::<Vec<_>>(), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn no_id_panics(id: String, number: u64) {
            let mut jobs = Jobs::default();
            jobs.add(u64::MAX - 2, &tickets(0..3));
            jobs.add(5, &tickets(3..9));
            jobs.find(&id);
            jobs.find(&number.to_string());
            prop_assert_eq!(jobs.find(&u64::MAX.to_string()).map(|(job, _)| job.task), Some(2));
        }
    }
}
