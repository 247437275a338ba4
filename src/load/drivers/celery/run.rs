//! One run: what workers say, on whichever way, is written into the book.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::stream::{LocalBoxStream, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior};

use super::backend::{Backend, Told};
use super::broker::Broker;
use super::events::{Event, What};
use super::result::State;
use crate::error::{Error, Result};
use crate::load::book::{Book, Kind, Outcome, ReplicaIndex, Word};
use crate::load::site::Site;

/// How often the connection is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How often results are looked up that were not heard of.
const LOOK_UP: Duration = Duration::from_secs(3);
/// How long the result itself is waited for after its event; it knows the class of an error better.
const EVENT_COUNTS_AFTER: Duration = Duration::from_secs(2);

/// What is listened to during a run.
pub struct Listener<'r> {
    pub book: &'r Book,
    pub events_on: bool,
    pub site: &'r Site,
    pub broker: &'r Broker,
    pub kinds: &'r [Kind],
    /// `None` where events stay off.
    pub events: Option<LocalBoxStream<'static, Vec<Event>>>,
    /// Whether events are the results.
    pub by_events: bool,
    pub results: Option<LocalBoxStream<'static, Told>>,
    /// Where missed results are looked up.
    pub backend: Option<&'r Backend>,
}

/// What a listener remembers.
#[derive(Default)]
struct Memory {
    replicas: BTreeMap<String, ReplicaIndex>,
    /// Tasks that failed by their events, oldest first.
    failed: VecDeque<(Instant, u32, Outcome)>,
}

impl Listener<'_> {
    /// Listens until the connection is lost; ends only by being dropped otherwise.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn listen(mut self) -> Result<()> {
        let mut memory = Memory::default();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked_up = Instant::now();
        let (mut events, mut results) = (self.events.take(), self.results.take());
        loop {
            tokio::select! {
                heard = next(&mut events) => {
                    let heard = heard.ok_or_else(|| lost("broker"))?;
                    for event in heard {
                        self.hear(event, &mut memory);
                    }
                }
                told = next(&mut results) => {
                    let (id, state) = told.ok_or_else(|| lost("results"))?;
                    self.learn(&id, state);
                }
                _ = ticks.tick() => {
                    if !self.broker.is_alive().await {
                        return Err(lost("broker"));
                    }
                    self.count_failed(&mut memory);
                    if looked_up.elapsed() >= LOOK_UP {
                        self.look_up().await?;
                        looked_up = Instant::now();
                    }
                }
            }
        }
    }

    fn hear(&self, event: Event, memory: &mut Memory) {
        let Some(task) = self.book.id().number(&event.task) else {
            return;
        };
        let word = Word {
            replica: Some(self.replica(&event.worker, memory)),
            ..Word::default()
        };
        match event.what {
            What::Started => {
                let started = Some(event.timestamp).filter(|at| at.is_finite() && *at > 0.0);
                self.book.word(task, Word { started, ..word });
            }
            What::Succeeded(execution) => {
                let execution = execution.filter(|seconds| seconds.is_finite());
                self.book.word(task, Word { execution, ..word });
                // Where the result has come, it came first; a task may also be told to leave none.
                self.book.finished(task, &Outcome::Done);
            }
            What::Failed(class) => {
                self.book.word(task, word);
                self.fail(task, class, memory);
            }
            What::Revoked => {
                self.book.word(task, word);
                self.fail(task, "TaskRevokedError".into(), memory);
            }
            What::Retried => self.book.retried(task),
        }
    }

    fn fail(&self, task: u32, class: String, memory: &mut Memory) {
        let outcome = Outcome::Failed(class);
        if self.by_events {
            self.book.finished(task, &outcome);
        } else {
            memory.failed.push_back((Instant::now(), task, outcome));
        }
    }

    fn count_failed(&self, memory: &mut Memory) {
        let old = |(at, ..): &(Instant, u32, Outcome)| at.elapsed() >= EVENT_COUNTS_AFTER;
        while memory.failed.front().is_some_and(old) {
            if let Some((_, task, outcome)) = memory.failed.pop_front() {
                self.book.finished(task, &outcome);
            }
        }
    }

    fn learn(&self, id: &str, state: Option<State>) {
        let Some(task) = self.book.id().number(id) else {
            return;
        };
        match state {
            Some(State::Ended(outcome)) => self.book.finished(task, &outcome),
            // Where events are on, they tell it.
            Some(State::Retry) if !self.events_on => self.book.retried(task),
            _ => {}
        }
    }

    async fn look_up(&self) -> Result<()> {
        let Some(backend) = self.backend else {
            return Ok(());
        };
        let open = self
            .kinds
            .iter()
            .flat_map(|kind| self.book.unfinished(*kind));
        let ids: Vec<String> = open.map(|task| self.book.id().task(task)).collect();
        for (id, state) in backend.look_up(&ids).await? {
            // A retry was heard of, or will not be counted: it is seen again with every look.
            if state != Some(State::Retry) {
                self.learn(&id, state);
            }
        }
        Ok(())
    }

    fn replica(&self, worker: &str, memory: &mut Memory) -> ReplicaIndex {
        if let Some(known) = memory.replicas.get(worker) {
            return *known;
        }
        let index = match self.site.names.find(worker) {
            Some((service, name)) => self.book.replica(Some(service), name),
            None => self.book.replica(None, worker),
        };
        memory.replicas.insert(worker.to_owned(), index);
        index
    }
}

/// The next of a stream; never anything where there is no stream.
async fn next<T>(stream: &mut Option<LocalBoxStream<'static, T>>) -> Option<T> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

fn lost(what: &str) -> Error {
    let what = match what {
        "broker" => "the broker",
        _ => "the results",
    };
    Error::failed(format!("the connection to {what} was lost"))
        .hint("see whether it runs: rscale status")
}
