//! The entries of a run in one stream: which are waiting, which somebody holds, which are done. Pure.

use std::collections::{BTreeMap, HashSet};

use super::group::Pending;
use crate::load::drivers::redis_wire::StreamId;
use crate::load::ledger::Kind;

/// An entry of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub task: u32,
    pub kind: Kind,
    /// How often it was seen handed out; 0 before.
    pub deliveries: u64,
}

/// The entries that are not done, by their ids.
#[derive(Debug, Default)]
pub struct Entries {
    open: BTreeMap<StreamId, Entry>,
}

/// What a look at the group found out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tasks that were acknowledged.
    pub done: Vec<u32>,
    /// Tasks that somebody was seen to hold for the first time, or that changed hands: the task, its holder,
    /// milliseconds since it was handed over, and how often it was handed out more than known before.
    pub held: Vec<(u32, String, u64, u64)>,
}

impl Entries {
    /// The stream has got an entry.
    pub fn push(&mut self, id: StreamId, task: u32, kind: Kind) {
        let deliveries = 0;
        self.open.insert(
            id,
            Entry {
                task,
                kind,
                deliveries,
            },
        );
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The oldest entry that is not done.
    pub fn oldest(&self) -> Option<StreamId> {
        self.open.keys().next().copied()
    }

    /// The newest entry that is not done.
    pub fn newest(&self) -> Option<StreamId> {
        self.open.keys().next_back().copied()
    }

    /// What of this run was handed out by `last_delivered` and is not in `pending` is acknowledged.
    /// `pending` must have been read later than `last_delivered`, from the oldest open entry on.
    pub fn observe(&mut self, last_delivered: StreamId, pending: &[Pending]) -> Progress {
        let mut progress = Progress::default();
        let mut held = HashSet::with_capacity(pending.len());
        for one in pending {
            held.insert(one.id);
            let Some(entry) = self.open.get_mut(&one.id) else {
                continue;
            };
            let more = one.deliveries.saturating_sub(entry.deliveries);
            if more > 0 {
                let again = more - u64::from(entry.deliveries == 0);
                entry.deliveries = one.deliveries;
                progress
                    .held
                    .push((entry.task, one.consumer.clone(), one.idle, again));
            }
        }
        let done: Vec<StreamId> = self
            .open
            .range(..=last_delivered)
            .map(|(id, _)| *id)
            .filter(|id| !held.contains(id))
            .collect();
        for id in done {
            if let Some(entry) = self.open.remove(&id) {
                progress.done.push(entry.task);
            }
        }
        progress
    }

    /// Entries that nobody was handed, the oldest first.
    pub fn waiting(&self, last_delivered: StreamId) -> impl Iterator<Item = (StreamId, Entry)> {
        use std::ops::Bound;
        let range = (Bound::Excluded(last_delivered), Bound::Unbounded);
        self.open.range(range).map(|(id, entry)| (*id, *entry))
    }

    /// Entries that are not in the stream any more.
    pub fn forget(&mut self, id: StreamId) {
        self.open.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Entries, Progress};
    use crate::load::drivers::redis_stream::group::Pending;
    use crate::load::drivers::redis_wire::StreamId;

    fn id(sequence: u64) -> StreamId {
        StreamId {
            millis: 5,
            sequence,
        }
    }

    fn held(sequence: u64, consumer: &str, deliveries: u64) -> Pending {
        Pending {
            id: id(sequence),
            consumer: consumer.into(),
            idle: 3,
            deliveries,
        }
    }

    fn filled(count: u32) -> Entries {
        let mut entries = Entries::default();
        for task in 0..count {
            entries.push(id(u64::from(task)), task, 0);
        }
        entries
    }

    #[test]
    fn handed_out_and_not_pending_is_done() {
        let mut entries = filled(5);
        // 0 and 2 are held, 1 is acknowledged, 3 and 4 wait; 99 is somebody else's.
        let progress =
            entries.observe(id(2), &[held(0, "a", 1), held(2, "b", 1), held(99, "b", 1)]);
        let first = Progress {
            done: vec![1],
            held: vec![(0, "a".into(), 3, 0), (2, "b".into(), 3, 0)],
        };
        assert_eq!(progress, first);
        assert_eq!(entries.waiting(id(2)).count(), 2);
        // 0 was taken over by another consumer, which is a second try.
        let progress = entries.observe(id(4), &[held(0, "b", 2), held(2, "b", 1)]);
        assert_eq!(progress.done, [3, 4]);
        assert_eq!(progress.held, [(0, "b".into(), 3, 1)]);
        assert_eq!(entries.observe(id(4), &[]).done, [0, 2]);
        assert!(entries.is_empty());
    }

    proptest! {
        #[test]
        fn every_task_is_done_at_most_once(looks: Vec<(u8, Vec<u8>)>) {
            let mut entries = filled(40);
            let mut done = Vec::new();
            for (last, pending) in looks {
                let pending: Vec<Pending> = pending.iter().map(|at| held(u64::from(*at), "c", 1)).collect();
                let progress = entries.observe(id(u64::from(last)), &pending);
                prop_assert!(progress.done.iter().all(|task| *task <= u32::from(last)));
                done.extend(progress.done);
            }
            let count = done.len();
            done.sort_unstable();
            done.dedup();
            prop_assert_eq!(done.len(), count);
        }
    }
}
