//! After a run: everything as it was found, and what is still there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::Celery;
use super::broker::{Broker, Patience};
use super::control::Command;
use crate::error::Result;
use crate::load::Closed;
use crate::load::book::{Book, Kind};

/// How long a new connection may take where the old one is lost.
const RECONNECTING: Duration = Duration::from_secs(3);
/// How long the workers may take to switch their events off. Those that have ended are not waited for.
const RESTORING: Duration = Duration::from_secs(10);
/// How long looking for what is left, and forgetting results, may take.
const TIDYING: Duration = Duration::from_secs(6);
/// How long it may take together with removing what is left: a queue of millions is gone through.
const PURGING: Duration = Duration::from_secs(15);
/// How long removing results may take.
const FORGETTING: Duration = Duration::from_secs(3);
/// Pause before the next attempt.
const AGAIN: Duration = Duration::from_millis(300);
/// How long a worker may take to reply before it is looked whether it is still there.
const REPLY: Duration = Duration::from_secs(1);

impl Celery<'_> {
    pub(super) async fn leave(&self, book: &Book, purge: bool) -> Closed {
        let began = Instant::now();
        let mut closed = Closed::default();
        // A run that was dropped in the middle could not do it.
        self.remember(book);
        let broker = self.reconnected(Instant::now() + RECONNECTING).await;
        if let Some(Broker::Amqp(amqp)) = broker.as_deref() {
            amqp.stop_sending().await;
        }
        if !self.restored(broker.as_deref()).await {
            let workers = self.switched_on.borrow().join(",");
            closed.warnings.push(format!(
                "the workers still send events; switch them off: celery --app APP control --destination {workers} disable_events"
            ));
        }
        // Seconds that workers took to reply are missing in the end.
        let spent = began.elapsed().saturating_sub(RECONNECTING);
        let until = Instant::now()
            + if purge {
                PURGING.saturating_sub(spent).max(TIDYING)
            } else {
                TIDYING
            };
        let mut at_work = None;
        if let Some(broker) = &broker {
            let left = Left::default();
            let looking = self.look_for_own(broker, book, purge, until, &left);
            let looked = tokio::time::timeout_at(until, looking).await;
            closed.purged = left.purged.into_inner().into_iter().collect();
            if let Some(queued) = left.queued.into_inner() {
                closed.queued = queued.into_iter().collect();
                at_work = Some(self.at_work(book, &closed));
            }
            match looked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => closed.warnings.push(error.message),
                Err(_) => closed.warnings.push(
                    "what is left in the queues is not known: the broker took too long".into(),
                ),
            }
        }
        match self.forget_results(Instant::now() + FORGETTING).await {
            Ok(()) => closed.notes.extend(at_work.and_then(still_to_come)),
            Err(warning) => closed.warnings.push(warning),
        }
        if let Some(broker) = broker {
            broker.close().await;
        }
        self.broker.replace(None);
        self.backend.replace(None);
        closed
    }

    /// The connection, or a new one where it is lost.
    async fn reconnected(&self, until: Instant) -> Option<Rc<Broker>> {
        let known = self.broker.borrow().clone()?;
        let answers = tokio::time::timeout_at(until, known.answers()).await;
        if answers == Ok(true) {
            return Some(known);
        }
        self.broker.replace(None);
        loop {
            let connecting = tokio::time::timeout_at(until, self.broker()).await;
            match connecting {
                Ok(Ok(broker)) => return Some(broker),
                Ok(Err(_)) if Instant::now() + AGAIN < until => tokio::time::sleep(AGAIN).await,
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    }

    /// Whether the events of all workers that rscale switched on are off again.
    /// What is left in `switched_on` are the others.
    async fn restored(&self, broker: Option<&Broker>) -> bool {
        if self.switched_on.borrow().is_empty() {
            return true;
        }
        let Some(broker) = broker else { return false };
        let restoring = tokio::time::timeout(RESTORING, self.restore(broker));
        matches!(restoring.await, Ok(Ok(())))
    }

    /// Tells the workers until all have done it or ended.
    async fn restore(&self, broker: &Broker) -> Result<()> {
        loop {
            let left = self.switched_on.borrow().clone();
            if left.is_empty() {
                return Ok(());
            }
            let answers = broker
                .ask(
                    Command::DisableEvents,
                    &left,
                    self.site,
                    Patience::of(REPLY),
                )
                .await?;
            let mut left: BTreeSet<String> = left.into_iter().collect();
            left.retain(|worker| !answers.replies.contains_key(worker));
            // A worker that has ended has no events any more.
            if !left.is_empty() {
                let patience = Patience::of(REPLY);
                for ended in broker.ended(&left, self.site, patience).await? {
                    left.remove(&ended);
                }
            }
            let is_over = left.is_empty();
            self.switched_on.replace(left.into_iter().collect());
            if !is_over {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Counts the messages that are still in the queues, or removes them.
    async fn look_for_own(
        &self,
        broker: &Broker,
        book: &Book,
        purge: bool,
        until: Instant,
        left: &Left,
    ) -> Result<()> {
        let unfinished = |kind: Kind| {
            let tally = book.tally(kind);
            tally.in_flight() > 0
        };
        let mut queued: BTreeMap<Kind, u64> = self.kinds.iter().map(|kind| (*kind, 0)).collect();
        let kind_of = |task: u32| {
            book.ledger()
                .records
                .get(task as usize)
                .map(|record| record.kind)
        };
        for queue in self.queues() {
            let kinds: Vec<Kind> = self
                .types
                .iter()
                .filter(|of| of.queue.name == queue)
                .map(|of| of.kind)
                .collect();
            if !kinds.iter().any(|kind| unfinished(*kind)) {
                continue;
            }
            match broker {
                Broker::Redis(redis) if purge => {
                    let went = |task| left.went(kind_of(task));
                    redis.purge(queue, book.id(), &went).await?;
                }
                Broker::Redis(redis) => {
                    for task in redis.own(queue, book.id()).await? {
                        if let Some(kind) = kind_of(task) {
                            *queued.entry(kind).or_default() += 1;
                        }
                    }
                }
                Broker::Amqp(amqp) => {
                    if purge {
                        let is_own = |id: &str| book.id().number(id).is_some();
                        for id in amqp.purge(queue, &is_own, until).await? {
                            left.went(book.id().number(&id).and_then(kind_of));
                        }
                        continue;
                    }
                    let ready = amqp.queue(queue).await?.map_or(0, |waiting| waiting.ready);
                    let before = self.before.borrow().get(queue).copied().unwrap_or_default();
                    for (kind, count) in last_of(book, &kinds, ready.saturating_sub(before)) {
                        *queued.entry(kind).or_default() += count;
                    }
                }
            }
        }
        left.queued.replace(Some(queued));
        Ok(())
    }

    /// Tasks that workers have: sent, without a result, and not in a queue any more. Their results come later.
    fn at_work(&self, book: &Book, closed: &Closed) -> u64 {
        if self.backend.borrow().is_none() {
            return 0;
        }
        let open = self
            .kinds
            .iter()
            .map(|kind| u64::from(book.tally(*kind).in_flight()));
        let counts = closed.queued.iter().chain(&closed.purged);
        open.sum::<u64>()
            .saturating_sub(counts.map(|(_, count)| count).sum())
    }

    /// Removes the results of all runs of this driver.
    async fn forget_results(&self, until: Instant) -> Result<(), String> {
        let backend = self.backend.borrow().clone();
        let Some(backend) = backend else {
            return Ok(());
        };
        let runs = self.runs.borrow().clone();
        let forgetting = async {
            for (id, count) in runs {
                backend.forget((0..count).map(|task| id.task(task))).await?;
            }
            Ok::<(), crate::error::Error>(())
        };
        match tokio::time::timeout_at(until, forgetting).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("results of this run are left: {error}")),
            Err(_) => Err("results of this run are left; they expire by themselves".into()),
        }
    }
}

/// What was found in the queues, also where looking did not come to its end.
#[derive(Default)]
struct Left {
    /// `None` until all were looked at.
    queued: RefCell<Option<BTreeMap<Kind, u64>>>,
    purged: RefCell<BTreeMap<Kind, u64>>,
}

impl Left {
    /// The message of a task was removed.
    fn went(&self, kind: Option<Kind>) {
        if let Some(kind) = kind {
            *self.purged.borrow_mut().entry(kind).or_default() += 1;
        }
    }
}

/// Results that nobody can remove yet.
fn still_to_come(tasks: u64) -> Option<String> {
    let what = match tasks {
        0 => return None,
        1 => "1 task is still with a worker: its result stays".to_owned(),
        _ => format!("{tasks} tasks are still with workers: their results stay"),
    };
    Some(format!(
        "{what} in the result backend (celery-task-meta-...) until it expires there, after a day unless the app says otherwise"
    ))
}

/// The types of the `count` tasks that were sent last and have no result: a queue gives the oldest first, so
/// that these are the ones that are still in it.
fn last_of(book: &Book, kinds: &[Kind], count: u64) -> BTreeMap<Kind, u64> {
    let mut open: Vec<(u32, Kind)> = Vec::new();
    for kind in kinds {
        open.extend(book.unfinished(*kind).into_iter().map(|task| (task, *kind)));
    }
    open.sort_unstable();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut counts = BTreeMap::new();
    for (_, kind) in open.iter().rev().take(count) {
        *counts.entry(*kind).or_default() += 1;
    }
    counts
}
