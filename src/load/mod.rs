//! The load test: sends real work, and writes down what becomes of it.
//!
//! ```text
//! Workload (what to send) -> Pace (when) -> Driver (how) -> Book (what happened) -> Measured (figures)
//! ```
//!
//! A [`Driver`] speaks a queue's or a server's language and is the only I/O here besides `address`. When to
//! send is the [`book::Book`]'s business, and so is all that is written down; `measure`, `threshold`,
//! `sweep` and `scalability` are pure.

pub mod book;
pub mod depth;
pub mod discover;
pub mod distribution;
pub mod drivers;
pub mod id;
pub mod ledger;
pub mod measure;
pub mod pace;
pub mod result;
pub mod run;
pub mod scalability;
pub mod site;
pub mod sweep;
pub mod threshold;

use crate::error::Result;
use crate::exec::LocalFuture;
use book::Book;

/// One way of sending work and learning of its results; one driver serves every task type that has the same
/// broker.
pub trait Driver {
    /// As policies, JSON and docs name it.
    fn name(&self) -> &'static str;

    /// Looks before anything is sent: the broker answers, the queue exists and is empty, somebody listens on
    /// it who knows the task. May open what the run needs (connections, events), but sends no work.
    ///
    /// # Errors
    /// Exit 4 where the broker cannot be used, exit 3 where the run would measure nothing or do harm.
    fn check(&self) -> LocalFuture<'_, Result<Checked>>;

    /// Sends whatever the book hands out for this driver's task types and writes down what becomes of it,
    /// until the book is settled. May be called again, with another book. May be dropped in the middle.
    ///
    /// # Errors
    /// The connection is lost for good; what was learned before is in the book.
    fn run<'a>(&'a self, book: &'a Book) -> LocalFuture<'a, Result<()>>;

    /// Leaves everything as it was found: events off again where this run switched them on, its own queues
    /// and keys gone. With `purge`, its own messages that nobody took yet are removed from the queues. Called
    /// once, however the run ended (a lost connection too); must not take longer than about five seconds.
    fn close<'a>(&'a self, book: &'a Book, purge: bool) -> LocalFuture<'a, Closed>;
}

/// What a driver found before the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Worth saying: `queue_a: 3 workers listen`.
    pub notes: Vec<String>,
    /// Whether workers report when they begin and end a task (Celery's events); `None` where the driver knows
    /// it anyway or cannot know it.
    pub events: Option<bool>,
}

/// What is left after a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closed {
    /// Messages of this run that are still in the queue, by task type; a type is missing where it cannot be
    /// told.
    pub queued: Vec<(book::Kind, u64)>,
    /// Messages that were removed, by task type.
    pub purged: Vec<(book::Kind, u64)>,
    /// What should be known of what is left.
    pub notes: Vec<String>,
    /// What could not be restored or removed.
    pub warnings: Vec<String>,
}
