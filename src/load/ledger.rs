//! What happened, task by task. Pure: times are arguments, in nanoseconds since the run began.

/// A task type's place in the workload.
pub type Kind = u16;
/// A replica's place in [`Ledger::replicas`].
pub type ReplicaIndex = u16;

/// A time that is not known.
pub const UNKNOWN: u64 = u64::MAX;
const NOBODY: u16 = u16::MAX;

/// One task. 48 bytes, because there may be millions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// When it was due; under a closed pace, when it was handed out.
    pub intended: u64,
    pub sent: u64,
    /// When a worker began with it, by the worker's clock.
    pub started: u64,
    /// When its result was learned.
    pub finished: u64,
    /// Seconds that the worker worked on it; NaN when unknown.
    pub execution: f32,
    pub kind: Kind,
    replica: u16,
    class: u16,
    pub retries: u8,
    pub state: State,
    /// Whether its times were measured one by one; a drained list tells only how many are done.
    pub timed: bool,
    detailed: bool,
}

impl Record {
    /// Who did it.
    pub fn worker(&self) -> Option<ReplicaIndex> {
        (self.replica != NOBODY).then_some(self.replica)
    }
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Handed to the driver.
    Issued,
    Sent,
    Done,
    Failed,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The class of its error: `ValueError`, `HTTP 503`, `exit status 1`.
    Failed(String),
}

/// What a worker says of a task, as far as it says it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Detail {
    /// When the worker began, in nanoseconds since the run began; may be before it where clocks differ.
    pub started: Option<u64>,
    /// Seconds that the worker worked on it.
    pub execution: Option<f64>,
    pub replica: Option<ReplicaIndex>,
}

/// Who did tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// `None` for a worker that is no replica of the project.
    pub service: Option<String>,
    pub name: String,
}

/// How far a task type is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub issued: u32,
    pub sent: u32,
    pub done: u32,
    pub failed: u32,
}

impl Tally {
    /// Tasks that were handed out and have no result.
    pub fn in_flight(&self) -> u32 {
        self.issued - self.done - self.failed
    }
}

/// Every task of a run.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub records: Vec<Record>,
    pub tallies: Vec<Tally>,
    pub replicas: Vec<Worker>,
    classes: Vec<String>,
    /// By type, the first record that may still be without a result, for types that only drain.
    oldest: Vec<usize>,
    undetailed: u32,
}

impl Ledger {
    pub fn new(kinds: usize) -> Self {
        Self {
            tallies: vec![Tally::default(); kinds],
            oldest: vec![0; kinds],
            ..Self::default()
        }
    }

    /// Writes a new task down and gives its number.
    ///
    /// # Panics
    /// With the task after the 4294967295th; the pace counts in 32 bits as well.
    pub fn issue(&mut self, kind: Kind, intended: u64) -> u32 {
        let number = u32::try_from(self.records.len()).expect("fewer than 2^32 tasks");
        self.records.push(Record {
            intended,
            sent: UNKNOWN,
            started: UNKNOWN,
            finished: UNKNOWN,
            execution: f32::NAN,
            kind,
            replica: NOBODY,
            class: NOBODY,
            retries: 0,
            state: State::Issued,
            timed: true,
            detailed: false,
        });
        self.tallies[usize::from(kind)].issued += 1;
        number
    }

    pub fn sent(&mut self, task: u32, at: u64) {
        let Some(record) = self.records.get_mut(task as usize) else {
            return;
        };
        if record.sent == UNKNOWN {
            record.sent = at;
            self.tallies[usize::from(record.kind)].sent += 1;
        }
        if record.state == State::Issued {
            record.state = State::Sent;
        }
    }

    /// Whether it was news: the first result of a task counts.
    pub fn finished(&mut self, task: u32, at: u64, outcome: &Outcome) -> bool {
        let Some(record) = self.records.get(task as usize) else {
            return false;
        };
        if matches!(record.state, State::Done | State::Failed) {
            return false;
        }
        // A worker may be faster than the broker's word that the message arrived.
        if record.sent == UNKNOWN {
            self.sent(task, at);
        }
        let class = match outcome {
            Outcome::Done => NOBODY,
            Outcome::Failed(class) => self.class(class),
        };
        let record = &mut self.records[task as usize];
        let tally = &mut self.tallies[usize::from(record.kind)];
        record.finished = at;
        record.class = class;
        match outcome {
            Outcome::Done => {
                record.state = State::Done;
                tally.done += 1;
            }
            Outcome::Failed(_) => {
                record.state = State::Failed;
                tally.failed += 1;
            }
        }
        // Of a failed task nothing is known but who ran it, and that may have been said already.
        record.detailed |= record.state == State::Failed && record.replica != NOBODY;
        self.undetailed += u32::from(!record.detailed);
        true
    }

    /// Writes down that it could not even be sent.
    pub fn unsent(&mut self, task: u32, at: u64, class: &str) {
        if let Some(record) = self.records.get(task as usize)
            && record.state == State::Issued
        {
            let class = self.class(class);
            let record = &mut self.records[task as usize];
            record.state = State::Failed;
            record.finished = at;
            record.class = class;
            record.detailed = true;
            record.timed = false;
            self.tallies[usize::from(record.kind)].failed += 1;
        }
    }

    /// The oldest `count` tasks of a type are done; by whom and since when is not known.
    pub fn drained(&mut self, kind: Kind, count: u32, at: u64) {
        let mut left = count;
        let mut cursor = self.oldest[usize::from(kind)];
        while left > 0 && cursor < self.records.len() {
            let record = &mut self.records[cursor];
            if record.kind == kind && record.state == State::Sent {
                record.timed = false;
                record.detailed = true;
                record.state = State::Done;
                record.finished = at;
                self.tallies[usize::from(kind)].done += 1;
                left -= 1;
            } else if record.kind == kind && record.state == State::Issued {
                break;
            }
            cursor += 1;
        }
        self.oldest[usize::from(kind)] = cursor;
    }

    pub fn detail(&mut self, task: u32, detail: Detail) {
        let Some(record) = self.records.get_mut(task as usize) else {
            return;
        };
        if let Some(started) = detail.started {
            record.started = started;
        }
        if let Some(replica) = detail.replica {
            record.replica = replica;
        }
        if let Some(execution) = detail.execution {
            #[allow(clippy::cast_possible_truncation)] // Seven digits are more than a clock has.
            let execution = execution as f32;
            record.execution = execution;
        }
        // A failed task has no execution time anywhere; who ran it is all there is to know.
        let complete = !record.execution.is_nan()
            || (record.state == State::Failed && record.replica != NOBODY);
        if complete && !record.detailed {
            record.detailed = true;
            if matches!(record.state, State::Done | State::Failed) {
                self.undetailed -= 1;
            }
        }
    }

    pub fn retried(&mut self, task: u32) {
        if let Some(record) = self.records.get_mut(task as usize) {
            record.retries = record.retries.saturating_add(1);
        }
    }

    /// The place of a worker, new or known.
    pub fn replica(&mut self, service: Option<&str>, name: &str) -> ReplicaIndex {
        let same = |worker: &Worker| worker.service.as_deref() == service && worker.name == name;
        let place = self.replicas.iter().position(same).unwrap_or_else(|| {
            self.replicas.push(Worker {
                service: service.map(str::to_owned),
                name: name.to_owned(),
            });
            self.replicas.len() - 1
        });
        u16::try_from(place).unwrap_or(NOBODY - 1)
    }

    /// Tasks with a result of which nobody said who did them or how long it took.
    pub fn undetailed(&self) -> u32 {
        self.undetailed
    }

    fn class(&mut self, class: &str) -> u16 {
        let place = self.classes.iter().position(|known| known == class);
        let place = place.unwrap_or_else(|| {
            self.classes.push(class.to_owned());
            self.classes.len() - 1
        });
        u16::try_from(place).unwrap_or(NOBODY - 1)
    }

    /// The class of a task's error.
    pub fn error(&self, record: &Record) -> Option<&str> {
        self.classes
            .get(usize::from(record.class))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::{Detail, Ledger, Outcome, State};

    #[test]
    fn the_first_result_counts_and_details_may_come_before_or_after() {
        let mut ledger = Ledger::new(1);
        let (a, b) = (ledger.issue(0, 0), ledger.issue(0, 0));
        ledger.sent(a, 5);
        let replica = ledger.replica(Some("w"), "w-1");
        let execution = Detail {
            execution: Some(0.5),
            replica: Some(replica),
            ..Detail::default()
        };
        ledger.detail(a, execution);
        assert!(ledger.finished(a, 9, &Outcome::Done));
        assert!(!ledger.finished(a, 10, &Outcome::Failed("Late".into())));
        assert_eq!(ledger.undetailed(), 0);
        // The result may be faster than the confirmation of the message.
        assert!(ledger.finished(b, 9, &Outcome::Failed("ValueError".into())));
        ledger.sent(b, 11);
        assert_eq!(
            (ledger.records[1].sent, ledger.records[1].state),
            (9, State::Failed)
        );
        assert_eq!(ledger.undetailed(), 1);
        ledger.detail(
            b,
            Detail {
                execution: None,
                ..execution
            },
        );
        assert_eq!(ledger.undetailed(), 0);
        let tally = ledger.tallies[0];
        assert_eq!(
            (tally.sent, tally.done, tally.failed, tally.in_flight()),
            (2, 1, 1, 0)
        );
        assert_eq!(ledger.error(&ledger.records[1]), Some("ValueError"));
        let c = ledger.issue(0, 0);
        let started = Detail {
            replica: Some(replica),
            ..Detail::default()
        };
        ledger.detail(c, started);
        ledger.finished(c, 9, &Outcome::Failed("ValueError".into()));
        assert_eq!(ledger.undetailed(), 0);
        ledger.finished(77, 1, &Outcome::Done);
        ledger.detail(77, Detail::default());
    }

    #[test]
    fn a_drain_finishes_the_oldest_that_were_sent() {
        let mut ledger = Ledger::new(2);
        for kind in [0, 1, 0, 0] {
            let task = ledger.issue(kind, 0);
            ledger.sent(task, 1);
        }
        ledger.issue(0, 0);
        ledger.drained(0, 2, 7);
        ledger.drained(0, 5, 8);
        let states: Vec<State> = ledger.records.iter().map(|record| record.state).collect();
        assert_eq!(
            states,
            [
                State::Done,
                State::Sent,
                State::Done,
                State::Done,
                State::Issued
            ]
        );
        assert_eq!(
            (ledger.records[2].finished, ledger.records[3].finished),
            (7, 8)
        );
        assert_eq!(ledger.tallies[0].in_flight(), 1);
    }
}
