//! The book of a run: hands out what may be sent, and takes down what becomes of it.
//!
//! Shared by the drivers of one run on one thread. Drivers call it at the moment something happens; it looks
//! at the clock itself.

use std::cell::{Ref, RefCell};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::id::RunId;
use super::ledger::{Detail, Ledger, Tally};
pub use super::ledger::{Kind, Outcome, ReplicaIndex};
use super::pace::{Allowance, Arrival, Pace};
use crate::duration::later;

/// A task that is to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Its number in the run; [`RunId::task`] makes an id of it.
    pub task: u32,
    pub kind: Kind,
}

/// A worker's word on a task, as far as it says it; times by its own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Word {
    /// When it began, in seconds since 1970.
    pub started: Option<f64>,
    /// Seconds that it worked on the task.
    pub execution: Option<f64>,
    pub replica: Option<ReplicaIndex>,
}

/// The record of one run.
#[derive(Debug)]
pub struct Book {
    id: RunId,
    pace: Pace,
    began: Instant,
    began_at: SystemTime,
    ledger: RefCell<Ledger>,
    changed: Notify,
}

impl Book {
    /// Opens the book; the clock runs from now on.
    pub fn new(id: RunId, kinds: usize, pace: Pace) -> Self {
        let now = Instant::now();
        Self {
            id,
            pace,
            began: now,
            began_at: SystemTime::now(),
            ledger: RefCell::new(Ledger::new(kinds)),
            changed: Notify::new(),
        }
    }

    pub fn id(&self) -> RunId {
        self.id
    }

    /// The UUID of a task of this run.
    pub fn task_id(&self, ticket: Ticket) -> String {
        self.id.task(ticket.task)
    }

    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// When the run began, by the wall clock.
    pub fn began_at(&self) -> SystemTime {
        self.began_at
    }

    /// Waits until something of these types is to be sent, and hands out up to `most` of it, the types in
    /// turn. Empty: nothing of them is to be sent any more.
    pub async fn take(&self, kinds: &[Kind], most: usize) -> Vec<Ticket> {
        loop {
            // Before looking, so that a result between look and wait is not missed.
            let changed = self.changed.notified();
            let elapsed = self.began.elapsed();
            let mut tickets = Vec::new();
            let (mut next, mut ended) = (None::<Duration>, 0);
            {
                let mut ledger = self.ledger.borrow_mut();
                let mut allowed = Vec::with_capacity(kinds.len());
                for kind in kinds {
                    let tally = ledger.tallies[usize::from(*kind)];
                    match self
                        .pace
                        .allowance(elapsed, tally.issued, tally.in_flight())
                    {
                        Allowance::Now(count) => allowed.push((*kind, count)),
                        Allowance::At(at) => next = Some(next.map_or(at, |next| next.min(at))),
                        Allowance::AfterResult => {}
                        Allowance::Never => ended += 1,
                    }
                }
                while tickets.len() < most && !allowed.is_empty() {
                    allowed.retain_mut(|(kind, left)| {
                        if tickets.len() < most {
                            tickets.push(self.issue(&mut ledger, *kind, elapsed));
                            *left -= 1;
                        }
                        *left > 0
                    });
                }
            }
            if !tickets.is_empty() || ended == kinds.len() {
                return tickets;
            }
            match (next, self.ends_at()) {
                (Some(next), _) => tokio::select! {
                    () = tokio::time::sleep_until(later(self.began, next)) => {}
                    () = changed => {}
                },
                // The time may be up before another result comes.
                (None, Some(end)) => tokio::select! {
                    () = tokio::time::sleep_until(end) => {}
                    () = changed => {}
                },
                (None, None) => changed.await,
            }
        }
    }

    /// Takes one task if one may be sent right now; never waits. For drivers that bound what is in flight
    /// themselves.
    pub fn take_now(&self, kind: Kind) -> Option<Ticket> {
        let elapsed = self.began.elapsed();
        let mut ledger = self.ledger.borrow_mut();
        let tally = ledger.tallies[usize::from(kind)];
        match self
            .pace
            .allowance(elapsed, tally.issued, tally.in_flight())
        {
            Allowance::Now(_) => Some(self.issue(&mut ledger, kind, elapsed)),
            _ => None,
        }
    }

    fn issue(&self, ledger: &mut Ledger, kind: Kind, elapsed: Duration) -> Ticket {
        let number = ledger.tallies[usize::from(kind)].issued;
        let intended = self.pace.due_at(number).unwrap_or(elapsed);
        Ticket {
            task: ledger.issue(kind, nanos(intended)),
            kind,
        }
    }

    fn ends_at(&self) -> Option<Instant> {
        match self.pace.amount {
            super::pace::Amount::For(time) => Some(later(self.began, time)),
            super::pace::Amount::Tasks(_) => None,
        }
    }

    fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    /// The task has left: the broker has it, or the request is on its way.
    pub fn sent(&self, task: u32) {
        let now = self.now();
        self.ledger.borrow_mut().sent(task, now);
    }

    /// The task could not be sent; it counts as failed.
    pub fn unsent(&self, task: u32, class: &str) {
        let now = self.now();
        self.ledger.borrow_mut().unsent(task, now, class);
        self.touch();
    }

    /// The result is there. The first one of a task counts.
    pub fn finished(&self, task: u32, outcome: &Outcome) {
        let now = self.now();
        if self.ledger.borrow_mut().finished(task, now, outcome) {
            self.touch();
        }
    }

    /// The oldest `count` tasks of a type are done, by a queue that says no more.
    pub fn drained(&self, kind: Kind, count: u32) {
        let now = self.now();
        self.ledger.borrow_mut().drained(kind, count, now);
        if count > 0 {
            self.touch();
        }
    }

    /// What a worker says of a task, before or after its result.
    pub fn word(&self, task: u32, word: Word) {
        let detail = Detail {
            started: word.started.map(|seconds| self.since_began(seconds)),
            execution: word.execution,
            replica: word.replica,
        };
        self.ledger.borrow_mut().detail(task, detail);
        self.changed.notify_waiters();
    }

    /// The task failed and will be tried again.
    pub fn retried(&self, task: u32) {
        self.ledger.borrow_mut().retried(task);
        self.touch();
    }

    /// The place of a worker in the book, new or known.
    pub fn replica(&self, service: Option<&str>, name: &str) -> ReplicaIndex {
        self.ledger.borrow_mut().replica(service, name)
    }

    /// Whether nothing is to be sent any more and everything sent has a result.
    pub fn is_settled(&self, kinds: &[Kind]) -> bool {
        let elapsed = self.began.elapsed();
        let ledger = self.ledger.borrow();
        kinds.iter().all(|kind| {
            let tally = ledger.tallies[usize::from(*kind)];
            let in_flight = tally.in_flight();
            in_flight == 0
                && self.pace.allowance(elapsed, tally.issued, in_flight) == Allowance::Never
        })
    }

    /// Waits until the types are settled.
    pub async fn settled(&self, kinds: &[Kind]) {
        loop {
            let changed = self.changed.notified();
            if self.is_settled(kinds) {
                return;
            }
            match self.ends_at().filter(|end| *end > Instant::now()) {
                Some(end) => tokio::select! {
                    () = tokio::time::sleep_until(end) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// Waits until workers have said how long every finished task took, or until none of them has said
    /// anything for `patience`: their word comes on another way than the results.
    pub async fn detailed(&self, patience: Duration) {
        loop {
            let changed = self.changed.notified();
            if self.ledger.borrow().undetailed() == 0
                || tokio::time::timeout(patience, changed).await.is_err()
            {
                return;
            }
        }
    }

    /// How far a type is.
    pub fn tally(&self, kind: Kind) -> Tally {
        self.ledger.borrow().tallies[usize::from(kind)]
    }

    /// Tasks of a type that were handed out and have no result yet.
    pub fn unfinished(&self, kind: Kind) -> Vec<u32> {
        use super::ledger::State;
        let ledger = self.ledger.borrow();
        let open = |(_, record): &(usize, &super::ledger::Record)| {
            record.kind == kind && matches!(record.state, State::Issued | State::Sent)
        };
        let numbers = ledger.records.iter().enumerate().filter(open);
        numbers
            .filter_map(|(number, _)| u32::try_from(number).ok())
            .collect()
    }

    /// Whether latency counts from the time at which a task was due.
    pub fn is_open(&self) -> bool {
        matches!(self.pace.arrival, Arrival::Open { .. })
    }

    pub fn ledger(&self) -> Ref<'_, Ledger> {
        self.ledger.borrow()
    }

    fn touch(&self) {
        self.changed.notify_waiters();
    }

    /// A wall clock's seconds as nanoseconds since the run began; 0 for what was before.
    fn since_began(&self, seconds: f64) -> u64 {
        let began = self
            .began_at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Duration::try_from_secs_f64(seconds - began.as_secs_f64()).map_or(0, nanos)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::id::RunId;
    use super::super::pace::{Amount, Arrival, Pace};
    use super::{Book, Kind, Outcome, Word};

    fn book(amount: Amount, arrival: Arrival) -> Book {
        Book::new(RunId::from_bytes([3; 12]), 2, Pace { amount, arrival })
    }

    #[tokio::test(start_paused = true)]
    async fn types_take_turns_and_a_bound_waits_for_results() {
        let book = book(Amount::Tasks(3), Arrival::Closed { in_flight: Some(2) });
        let kinds = [0, 1];
        let first = book.take(&kinds, 100).await;
        let order: Vec<Kind> = first.iter().map(|ticket| ticket.kind).collect();
        assert_eq!(order, [0, 1, 0, 1]);
        assert!(
            tokio::time::timeout(Duration::from_secs(1), book.take(&kinds, 9))
                .await
                .is_err()
        );
        book.finished(first[1].task, &Outcome::Done);
        let second = book.take(&kinds, 100).await;
        assert_eq!((second.len(), second[0].kind), (1, 1));
        assert!(!book.is_settled(&kinds));
        for task in 0..5 {
            book.finished(task, &Outcome::Done);
        }
        assert_eq!(book.take(&kinds, 100).await.len(), 1);
        assert!(book.take(&kinds, 100).await.is_empty());
        book.finished(5, &Outcome::Failed("X".into()));
        book.settled(&kinds).await;
        assert!(book.is_settled(&kinds));
    }

    /// A time that no clock has used to panic.
    #[tokio::test(start_paused = true)]
    async fn a_pace_may_be_as_slow_as_it_likes() {
        for amount in [Amount::Tasks(2), Amount::For(Duration::MAX)] {
            let book = book(amount, Arrival::Open { per_second: 1e-19 });
            assert_eq!(book.take(&[0], 100).await.len(), 1);
            let next = book.take(&[0], 100);
            let hour = Duration::from_secs(3600);
            assert!(tokio::time::timeout(hour, next).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_pace_wakes_by_the_clock_and_counts_from_the_time_due() {
        let book = book(
            Amount::For(Duration::from_secs(1)),
            Arrival::Open { per_second: 4.0 },
        );
        let mut taken = 0;
        loop {
            let tickets = book.take(&[0], 100).await;
            if tickets.is_empty() {
                break;
            }
            taken += tickets.len();
        }
        assert_eq!(taken, 4);
        let due: Vec<u64> = book
            .ledger()
            .records
            .iter()
            .map(|record| record.intended)
            .collect();
        assert_eq!(due, [0, 250_000_000, 500_000_000, 750_000_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timed_run_settles_when_its_time_is_up() {
        let book = book(
            Amount::For(Duration::from_secs(1)),
            Arrival::Closed { in_flight: Some(1) },
        );
        let ticket = book.take(&[0], 1).await[0];
        book.finished(ticket.task, &Outcome::Done);
        assert!(!book.is_settled(&[0]));
        tokio::time::advance(Duration::from_millis(1100)).await;
        assert!(book.take(&[0], 1).await.is_empty());
        book.settled(&[0]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn details_are_waited_for_but_not_for_ever() {
        let book = book(Amount::Tasks(1), Arrival::Closed { in_flight: None });
        let ticket = book.take(&[0], 1).await[0];
        book.finished(ticket.task, &Outcome::Done);
        let began = tokio::time::Instant::now();
        book.detailed(Duration::from_secs(2)).await;
        assert_eq!(began.elapsed().as_secs(), 2);
        let word = Word {
            execution: Some(0.1),
            ..Word::default()
        };
        book.word(ticket.task, word);
        book.detailed(Duration::from_secs(9)).await;
        assert_eq!(began.elapsed().as_secs(), 2);
    }
}
