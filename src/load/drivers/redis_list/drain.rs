//! How far a list is: what was pushed and is not in it any more was taken by somebody. Pure.

use std::collections::VecDeque;

use crate::load::ledger::Kind;

/// The messages of a run in one list, which several task types may share.
///
/// Workers are taken to be first in, first out: the oldest messages are gone first, and what waited in the
/// list before the run is gone before those.
#[derive(Debug, Default)]
pub struct Drain {
    /// The types of the messages that are not known to be taken, the oldest first.
    waiting: VecDeque<Kind>,
    sent: u64,
    taken: u64,
}

impl Drain {
    /// Messages that the list has got.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether all that was sent is taken.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The list has got a message of this type.
    pub fn push(&mut self, kind: Kind) {
        self.waiting.push_back(kind);
        self.sent += 1;
    }

    /// The list was this long, at a moment when it had got `sent` messages or more. Gives the types of those
    /// that are newly taken, each with a count.
    ///
    /// A list that grows again, because a worker gave a message back, takes nothing back here.
    pub fn observe(&mut self, sent: u64, length: u64) -> Vec<(Kind, u32)> {
        let taken = sent.min(self.sent).saturating_sub(length);
        let mut counts: Vec<(Kind, u32)> = Vec::new();
        while self.taken < taken
            && let Some(kind) = self.waiting.pop_front()
        {
            self.taken += 1;
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Drain;

    fn filled(kinds: &[u16]) -> Drain {
        let mut drain = Drain::default();
        for kind in kinds {
            drain.push(*kind);
        }
        drain
    }

    #[test]
    fn what_is_gone_from_the_list_was_taken_the_oldest_first() {
        let mut drain = filled(&[0, 1, 0, 0]);
        assert_eq!(drain.observe(4, 4), []);
        assert_eq!(drain.observe(4, 1), [(0, 2), (1, 1)]);
        assert_eq!(drain.observe(4, 3), [], "a message was given back");
        assert_eq!(drain.observe(4, 0), [(0, 1)]);
        assert!(drain.is_over());
    }

    #[test]
    fn a_push_on_its_way_does_not_count_as_taken() {
        let mut drain = filled(&[0; 10]);
        // The length was read before the last five arrived.
        assert_eq!(drain.observe(5, 5), []);
        assert_eq!(drain.observe(10, 10), []);
    }

    #[test]
    fn what_was_there_before_goes_first() {
        let mut drain = filled(&[0; 4]);
        // Three strangers before the four.
        assert_eq!(drain.observe(4, 7), []);
        assert_eq!(drain.observe(4, 5), []);
        assert_eq!(drain.observe(4, 3), [(0, 1)]);
    }

    proptest! {
        #[test]
        fn nothing_is_taken_twice(lengths: Vec<(u64, u64)>, count in 0_usize..50) {
            let mut drain = filled(&vec![3; count]);
            let taken: u64 = lengths
                .iter()
                .flat_map(|(sent, length)| drain.observe(*sent, *length))
                .map(|(_, count)| u64::from(count))
                .sum();
            prop_assert!(taken <= count as u64);
        }
    }
}
