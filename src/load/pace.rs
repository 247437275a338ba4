//! When to send: how many tasks of a type, and how fast. Pure: time is an argument.

use std::time::Duration;

/// Tasks of a type in flight where a bound is needed and none was given.
pub const IN_FLIGHT: u32 = 50;

/// The pace of one task type; every type keeps its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    pub amount: Amount,
    pub arrival: Arrival,
}

/// How much is sent of each task type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    Tasks(u32),
    /// As much as fits into this time.
    For(Duration),
}

/// How sending depends on the results.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrival {
    /// The next task waits for a result once so many are in flight; `None` sends all at once.
    Closed { in_flight: Option<u32> },
    /// So many a second whatever comes back; latency counts from the time at which a task was due.
    Open { per_second: f64 },
}

/// What may be sent now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowance {
    /// So many tasks.
    Now(u32),
    /// Nothing before this time, counted from the beginning.
    At(Duration),
    /// Nothing before a result came.
    AfterResult,
    /// Nothing any more.
    Never,
}

impl Pace {
    /// What may be sent at `elapsed` after the beginning, when `issued` tasks were handed out and `in_flight`
    /// of these have no result yet.
    pub fn allowance(&self, elapsed: Duration, issued: u32, in_flight: u32) -> Allowance {
        let left = match self.amount {
            Amount::Tasks(total) => total.saturating_sub(issued),
            Amount::For(time) if elapsed >= time => 0,
            Amount::For(_) => u32::MAX - issued,
        };
        if left == 0 {
            return Allowance::Never;
        }
        match self.arrival {
            Arrival::Closed { in_flight: None } => Allowance::Now(left),
            Arrival::Closed {
                in_flight: Some(most),
            } => match most.saturating_sub(in_flight) {
                0 => Allowance::AfterResult,
                free => Allowance::Now(free.min(left)),
            },
            Arrival::Open { .. } => {
                let due = self.due_by(elapsed).saturating_sub(issued).min(left);
                if due > 0 {
                    return Allowance::Now(due);
                }
                match self.due_at(issued) {
                    Some(at) if self.is_over(at) => Allowance::Never,
                    Some(at) => Allowance::At(at),
                    None => Allowance::Never,
                }
            }
        }
    }

    /// When the task of this number is due, from the beginning; `None` where results decide it.
    pub fn due_at(&self, number: u32) -> Option<Duration> {
        match self.arrival {
            Arrival::Open { per_second } => {
                Duration::try_from_secs_f64(f64::from(number) / per_second).ok()
            }
            Arrival::Closed { .. } => None,
        }
    }

    /// How many tasks of a type there will be; `None` where time decides it.
    pub fn total(&self) -> Option<u32> {
        match (self.amount, self.arrival) {
            (Amount::Tasks(total), _) => Some(total),
            (Amount::For(time), Arrival::Open { per_second }) => {
                Some(ceiling(time.as_secs_f64() * per_second))
            }
            (Amount::For(_), Arrival::Closed { .. }) => None,
        }
    }

    fn is_over(&self, at: Duration) -> bool {
        matches!(self.amount, Amount::For(time) if at >= time)
    }

    /// How many are due: the first one at once.
    fn due_by(&self, elapsed: Duration) -> u32 {
        let Arrival::Open { per_second } = self.arrival else {
            return u32::MAX;
        };
        // A task that is due within the next 50 µs is due now: timers are not finer.
        let soon = elapsed + Duration::from_micros(50);
        let until = match self.amount {
            Amount::For(time) => soon.min(time),
            Amount::Tasks(_) => soon,
        };
        ceiling(until.as_secs_f64() * per_second).max(1)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates, and counts are positive.
fn ceiling(number: f64) -> u32 {
    number.ceil() as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Allowance, Amount, Arrival, Pace};

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn closed_sends_all_at_once_or_as_results_come() {
        let all = Pace {
            amount: Amount::Tasks(20),
            arrival: Arrival::Closed { in_flight: None },
        };
        assert_eq!(all.allowance(at(0), 0, 0), Allowance::Now(20));
        assert_eq!(all.allowance(at(9), 20, 20), Allowance::Never);
        let bounded = Pace {
            arrival: Arrival::Closed { in_flight: Some(4) },
            ..all
        };
        assert_eq!(bounded.allowance(at(0), 0, 0), Allowance::Now(4));
        assert_eq!(bounded.allowance(at(5), 4, 4), Allowance::AfterResult);
        assert_eq!(bounded.allowance(at(5), 18, 1), Allowance::Now(2));
        let timed = Pace {
            amount: Amount::For(at(100)),
            ..bounded
        };
        assert_eq!(timed.allowance(at(99), 1000, 3), Allowance::Now(1));
        assert_eq!(timed.allowance(at(100), 1000, 3), Allowance::Never);
        assert_eq!((timed.total(), bounded.total()), (None, Some(20)));
    }

    #[test]
    fn open_sends_when_it_is_time_whatever_comes_back() {
        let pace = Pace {
            amount: Amount::For(at(1000)),
            arrival: Arrival::Open { per_second: 10.0 },
        };
        assert_eq!(pace.allowance(at(0), 0, 0), Allowance::Now(1));
        assert_eq!(pace.allowance(at(10), 1, 1), Allowance::At(at(100)));
        assert_eq!(
            pace.allowance(at(350), 1, 1),
            Allowance::Now(3),
            "late: those that were due meanwhile"
        );
        assert_eq!(pace.allowance(at(950), 10, 10), Allowance::Never);
        assert_eq!((pace.total(), pace.due_at(3)), (Some(10), Some(at(300))));
    }
}
