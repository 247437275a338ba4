//! Celery, over RabbitMQ and over Redis.
//!
//! ```text
//! message, control, events, result, envelope   what is on the wire (pure)
//! check                                        what stands against a run (pure)
//! amqp, redis -> broker                        sending, control and events
//! backend                                      results in Redis
//! run                                          what workers say, into the book
//! leave                                        everything as it was found
//! ```

mod amqp;
mod backend;
mod broker;
mod check;
mod control;
mod envelope;
mod events;
mod leave;
mod message;
mod redis;
mod result;
mod run;
mod waiting;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{LocalBoxStream, StreamExt as _};
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::backend::{Backend, Told};
use self::broker::{Broker, Patience};
use self::check::Backlog;
use self::control::{Command, Events, Replies};
use self::message::Task;
use self::run::Listener;
use self::waiting::{Waiting, unique};
use super::Typed;
use crate::error::{Error, Result};
use crate::exec::LocalFuture;
use crate::hidden::Hidden;
use crate::load::book::{Book, Kind};
use crate::load::depth::{AtWork, Depth};
use crate::load::id::RunId;
use crate::load::site::Site;
use crate::load::{Checked, Closed, Driver};
use crate::project::address::Address;
use crate::project::workload::{Queue, Work};

/// How long workers may take to reply before a run. Those that can answer do so at once; on a machine with
/// far more to do than it has processors some take seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long further workers are waited for after one has said where it listens, where nobody knows how many
/// they are.
const ROLL_CALL: Duration = Duration::from_millis(1500);
/// Which part of the time for one look is over when no further workers are waited for: first to say where they
/// listen, then what they are at. The rest is for saying what the broker told.
const HEARD: [f64; 2] = [0.6, 0.9];
/// How long events are waited for after the last result, and after each event that came.
const LATE_EVENTS: Duration = Duration::from_secs(5);
/// A task that has just ended is still in its worker's list for a moment.
const SETTLING: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(800),
];

/// The task types that have one broker and one result backend.
#[derive(Debug)]
pub struct Celery<'a> {
    types: Vec<Type>,
    kinds: Vec<Kind>,
    site: &'a Site,
    results: Results,
    broker: RefCell<Option<Rc<Broker>>>,
    backend: RefCell<Option<Rc<Backend>>>,
    /// Whether workers report what they do.
    events: Cell<bool>,
    /// The workers that rscale told to do so.
    switched_on: RefCell<Vec<String>>,
    /// Messages that were there before, by queue.
    before: RefCell<BTreeMap<String, u64>>,
    /// The runs of this driver, and how many tasks their books held.
    runs: RefCell<Vec<(RunId, u32)>>,
}

#[derive(Debug)]
struct Type {
    kind: Kind,
    service: Option<String>,
    queue: Queue,
    task: String,
    args: Hidden<Vec<Value>>,
    kwargs: Hidden<Map<String, Value>>,
}

/// On which way results come.
#[derive(Debug, Clone, PartialEq)]
enum Results {
    Redis(Address),
    Rpc,
    /// With events: there is no backend, or none that is known.
    Events,
}

impl<'a> Celery<'a> {
    /// # Errors
    /// There is nothing to send.
    pub fn new(types: Vec<Typed>, site: &'a Site) -> Result<Self> {
        let types: Vec<Type> = types.into_iter().filter_map(of_celery).collect();
        let first = types.first();
        let queue = first.map(|first| &first.queue);
        let queue = queue.ok_or_else(|| Error::usage("nothing to send"))?;
        Ok(Self {
            results: results_of(queue),
            kinds: types.iter().map(|of| of.kind).collect(),
            types,
            site,
            broker: RefCell::default(),
            backend: RefCell::default(),
            events: Cell::default(),
            switched_on: RefCell::default(),
            before: RefCell::default(),
            runs: RefCell::default(),
        })
    }

    /// The connection, opened if there is none.
    async fn broker(&self) -> Result<Rc<Broker>> {
        let known = self.broker.borrow().clone();
        if let Some(broker) = known {
            return Ok(broker);
        }
        let broker = Rc::new(Broker::connect(&self.types[0].queue, self.site).await?);
        self.broker.replace(Some(broker.clone()));
        Ok(broker)
    }

    async fn backend(&self) -> Result<Option<Rc<Backend>>> {
        let known = self.backend.borrow().clone();
        let Results::Redis(address) = &self.results else {
            return Ok(None);
        };
        if let Some(backend) = known {
            return Ok(Some(backend));
        }
        let backend = Rc::new(Backend::connect(address, self.site).await?);
        self.backend.replace(Some(backend.clone()));
        Ok(Some(backend))
    }

    /// The queues, each once.
    fn queues(&self) -> BTreeSet<&str> {
        self.types.iter().map(|of| of.queue.name.as_str()).collect()
    }

    fn service_of(&self, queue: &str) -> Option<&str> {
        let of_queue = self.types.iter().find(|of| of.queue.name == queue);
        of_queue.and_then(|of| of.service.as_deref())
    }

    async fn look(&self) -> Result<Checked> {
        let broker = self.broker().await?;
        self.backend().await?;
        let mut notes = Vec::new();
        let mut waiting = BTreeMap::new();
        for queue in self.queues() {
            if let Some(found) = broker.queue(queue).await? {
                waiting.insert(queue, found);
            }
        }
        let active_queues = self.roll_call(&broker, &waiting).await?;
        let mut workers = BTreeSet::new();
        for queue in self.queues() {
            let listening = control::listeners(&active_queues, queue);
            if listening.is_empty() {
                match waiting.get(queue).and_then(|found| found.consumers) {
                    Some(consumers) if consumers > 0 => {
                        notes.push(format!("{queue}: {consumers} workers listen, but they answer no questions: what they know was not checked"));
                    }
                    _ => {
                        let exists = waiting.contains_key(queue);
                        let service = self.service_of(queue);
                        return Err(check::nobody_listens(
                            queue,
                            exists,
                            service,
                            &active_queues,
                        ));
                    }
                }
            }
            workers.extend(listening);
        }
        let workers: Vec<String> = workers.into_iter().collect();
        let ask = async |command| self.ask(&broker, command, &workers).await;
        let (registered, stats) = (ask(Command::Registered).await?, ask(Command::Stats).await?);
        for queue in self.queues() {
            let listening = control::listeners(&active_queues, queue);
            let of_queue = |(worker, _): &(&String, &Value)| listening.contains(worker);
            let known = registered.iter().filter(of_queue);
            let known = known
                .map(|(worker, reply)| (worker.clone(), reply.clone()))
                .collect();
            let tasks = self.types.iter().filter(|of| of.queue.name == queue);
            for of in tasks {
                if let Some(error) = check::unknown_task(&of.task, queue, &known) {
                    return Err(error);
                }
            }
            if !listening.is_empty() {
                notes.push(check::listening_note(queue, &listening, &stats));
            }
        }
        self.check_empty(&broker, &workers, &mut notes).await?;
        if self.results == Results::Events || !self.site.without_events {
            self.switch_events_on(&broker, &workers).await?;
        }
        let events = self.events.get();
        if self.results == Results::Events {
            if !events {
                return Err(Error::unusable("nothing tells what becomes of the tasks: there is no result backend that rscale knows, and the workers send no events")
                    .hint("give the workers a result backend: redis://, rediss:// or rpc://"));
            }
            notes.push("results are taken from the workers' events".into());
        }
        Ok(Checked {
            notes,
            events: Some(events),
        })
    }

    /// What queues all workers listen on.
    async fn roll_call(
        &self,
        broker: &Broker,
        waiting: &BTreeMap<&str, Waiting>,
    ) -> Result<Replies> {
        let expected = |queue: &str| {
            let consumers = waiting.get(queue).and_then(|found| found.consumers);
            consumers.filter(|consumers| *consumers > 0)
        };
        let listen = |replies: &Replies, queue| control::listeners(replies, queue).len() as u64;
        let queues = self.queues();
        let complete = |replies: &Replies| {
            let mut queues = queues.iter();
            queues.all(|queue| expected(queue).is_some_and(|count| listen(replies, queue) >= count))
        };
        // Where one misses, all that there are are of interest, and nobody knows how many these are.
        let all_are_known = queues.iter().all(|queue| expected(queue).is_some());
        let patience = Patience {
            pause: Some(ROLL_CALL).filter(|_| !all_are_known),
            ..Patience::of(PATIENCE)
        };
        let command = Command::ActiveQueues;
        let asked = broker
            .ask_all(command, self.site, patience, &complete)
            .await;
        asked.map(|answers| answers.replies)
    }

    /// What these workers reply before a run.
    async fn ask(&self, broker: &Broker, command: Command, workers: &[String]) -> Result<Replies> {
        let patience = Patience::of(PATIENCE);
        let asked = broker.ask(command, workers, self.site, patience).await;
        asked.map(|answers| answers.replies)
    }

    async fn check_empty(
        &self,
        broker: &Broker,
        workers: &[String],
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let mut pauses = SETTLING.into_iter();
        loop {
            let ask = async |command| self.ask(broker, command, workers).await;
            let (active, reserved) = (ask(Command::Active).await?, ask(Command::Reserved).await?);
            let mut busy = None;
            for queue in self.queues() {
                let Some(waiting) = broker.queue(queue).await? else {
                    continue;
                };
                let backlog = Backlog::of(queue, waiting, &active, &reserved);
                self.before
                    .borrow_mut()
                    .insert(queue.to_owned(), waiting.ready);
                if !backlog.is_empty() && self.site.force {
                    notes.push(backlog.text(queue));
                } else if !backlog.is_empty() {
                    busy = Some(backlog.refusal(queue));
                }
            }
            match (busy, pauses.next()) {
                (None, _) => return Ok(()),
                (Some(_), Some(pause)) => tokio::time::sleep(pause).await,
                (Some(refusal), None) => return Err(refusal),
            }
        }
    }

    async fn switch_events_on(&self, broker: &Broker, workers: &[String]) -> Result<()> {
        // Written down before anybody is asked: a run may be dropped while the replies come in. Workers
        // that had them on already are taken out again.
        self.switched_on.replace(workers.to_vec());
        let replies = self.ask(broker, Command::EnableEvents, workers).await?;
        // Of one that does not reply nobody knows; switching off might take them away from somebody.
        let off_before =
            |worker: &String| replies.get(worker).map(control::events) == Some(Events::SwitchedOn);
        self.switched_on.borrow_mut().retain(off_before);
        let on = |reply: &Value| control::events(reply) != Events::Unavailable;
        self.events
            .set(!replies.is_empty() && replies.values().all(on));
        Ok(())
    }

    async fn measure(&self, book: &Book) -> Result<()> {
        let broker = self.broker().await?;
        let backend = self.backend().await?;
        self.runs.borrow_mut().push((book.id(), 0));
        // Listening comes before sending: a worker may be quick.
        let events = if self.events.get() {
            Some(broker.events(self.site).await?)
        } else {
            None
        };
        let (reply_to, results) = self.listen(&broker, backend.as_deref()).await?;
        let listener = Listener {
            book,
            site: self.site,
            broker: &broker,
            kinds: &self.kinds,
            events_on: self.events.get(),
            by_events: self.results == Results::Events,
            events,
            results,
            backend: backend.as_deref(),
        };
        let origin = format!("gen{}@rscale", std::process::id());
        let task = |kind: Kind| {
            let of = self.types.iter().find(|of| of.kind == kind);
            let of = of.expect("the book hands out kinds of this driver only");
            Task {
                name: &of.task,
                args: &of.args,
                kwargs: &of.kwargs,
                queue: &of.queue.name,
                reply_to: &reply_to,
                origin: &origin,
            }
        };
        let sending = async {
            broker.send(book, &self.kinds, self.site, &task).await?;
            book.settled(&self.kinds).await;
            if self.events.get() {
                book.detailed(LATE_EVENTS).await;
            }
            Ok(())
        };
        let ended = tokio::select! {
            done = sending => done,
            lost = listener.listen() => lost,
        };
        self.remember(book);
        ended
    }

    /// Keeps in mind how many tasks a run had, whose results are to be removed.
    fn remember(&self, book: &Book) {
        let records = u32::try_from(book.ledger().records.len()).unwrap_or(u32::MAX);
        for (id, count) in self.runs.borrow_mut().iter_mut() {
            if *id == book.id() {
                *count = records;
            }
        }
    }

    /// Where workers are to send results, and the results.
    async fn listen(
        &self,
        broker: &Broker,
        backend: Option<&Backend>,
    ) -> Result<(String, Option<LocalBoxStream<'static, Told>>)> {
        Ok(match (&self.results, broker, backend) {
            (Results::Redis(_), _, Some(backend)) => {
                let results = backend.listen(self.site).await?;
                (unique()?, Some(results.boxed_local()))
            }
            (Results::Rpc, Broker::Amqp(amqp), _) => {
                let (queue, consumer) = amqp.results().await?;
                let results = consumer.filter_map(async |delivery| {
                    let (id, state) = result::parse(&delivery.ok()?.data)?;
                    Some((id, Some(state)))
                });
                (queue, Some(results.boxed_local()))
            }
            _ => (unique()?, None),
        })
    }
}

fn of_celery((kind, of): Typed) -> Option<Type> {
    let Work::Celery {
        queue,
        task,
        args,
        kwargs,
    } = of.work
    else {
        return None;
    };
    Some(Type {
        kind,
        service: of.service,
        queue,
        task,
        args,
        kwargs,
    })
}

fn results_of(queue: &Queue) -> Results {
    let over_amqp = matches!(queue.broker.scheme(), "amqp" | "amqps" | "pyamqp");
    match &queue.results {
        Some(address) => match address.scheme() {
            "redis" | "rediss" | "valkey" | "valkeys" => Results::Redis(address.clone()),
            "rpc" if over_amqp => Results::Rpc,
            _ => Results::Events,
        },
        None => Results::Events,
    }
}

impl Driver for Celery<'_> {
    fn name(&self) -> &'static str {
        "celery"
    }

    fn check(&self) -> LocalFuture<'_, Result<Checked>> {
        Box::pin(self.look())
    }

    fn run<'a>(&'a self, book: &'a Book) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.measure(book))
    }

    fn close<'a>(&'a self, book: &'a Book, purge: bool) -> LocalFuture<'a, Closed> {
        Box::pin(self.leave(book, purge))
    }
}

/// What waits in a queue and who works on it.
///
/// # Errors
/// The broker cannot be used, or has no such queue.
pub async fn depth(queue: &Queue, site: &Site) -> Result<Depth> {
    let began = Instant::now();
    let broker = Broker::connect(queue, site).await?;
    let name = &queue.name;
    let waiting = broker.queue(name).await?;
    let found = survey(&broker, waiting, name, site, began).await?;
    broker.close().await;
    let listening = control::listeners(&found.active_queues, name);
    let Some(waiting) = waiting.or_else(|| nothing(&listening)) else {
        let queues = &found.active_queues;
        return Err(check::nobody_listens(name, false, None, queues));
    };
    let running = found
        .active
        .values()
        .map(|reply| control::tasks_of(reply, name))
        .sum();
    Ok(Depth {
        ready: Some(waiting.ready),
        unacknowledged: waiting.unacknowledged,
        // Of fewer than all it would be too small a number.
        running: found.complete.then_some(running),
        consumers: Some(waiting.consumers.unwrap_or(listening.len() as u64)),
        ..Depth::default()
    })
}

/// An empty list is not there at all over Redis.
fn nothing(listening: &[String]) -> Option<Waiting> {
    (!listening.is_empty()).then_some(Waiting {
        ready: 0,
        unacknowledged: Some(0),
        consumers: None,
    })
}

/// How many tasks of a queue each worker that listens on it is at.
///
/// # Errors
/// The broker cannot be used.
pub async fn running(queue: &Queue, site: &Site) -> Result<AtWork> {
    let began = Instant::now();
    let broker = Broker::connect(queue, site).await?;
    let name = &queue.name;
    let waiting = broker.queue(name).await?;
    let found = survey(&broker, waiting, name, site, began).await?;
    broker.close().await;
    let listening = control::listeners(&found.active_queues, name);
    let count = |worker: &String| {
        let reply = found.active.get(worker)?;
        u32::try_from(control::tasks_of(reply, name)).ok()
    };
    let counts = listening
        .into_iter()
        .filter_map(|worker| Some((count(&worker)?, worker)));
    Ok(AtWork {
        tasks: counts.map(|(count, worker)| (worker, count)).collect(),
        complete: found.complete,
    })
}

/// What the workers of a queue say.
struct Survey {
    active_queues: Replies,
    active: Replies,
    /// Whether all of them have.
    complete: bool,
}

/// Asks for `active_queues` and `active` as many workers as listen on the queue and reply in the time of the site,
/// which `began` then.
async fn survey(
    broker: &Broker,
    waiting: Option<Waiting>,
    queue: &str,
    site: &Site,
    began: Instant,
) -> Result<Survey> {
    let [roll_call, survey] = HEARD.map(|part| began + site.timeout.mul_f64(part));
    let consumers = waiting.and_then(|waiting| waiting.consumers);
    let everybody = |replies: &Replies| {
        consumers
            .is_some_and(|consumers| control::listeners(replies, queue).len() as u64 >= consumers)
    };
    let patience = Patience {
        until: roll_call,
        pause: Some(ROLL_CALL).filter(|_| consumers.unwrap_or(0) == 0),
    };
    let present = broker
        .ask_all(Command::ActiveQueues, site, patience, &everybody)
        .await?;
    let listening = control::listeners(&present.replies, queue);
    let active = broker
        .ask(Command::Active, &listening, site, Patience::until(survey))
        .await?;
    // Where there is no queue, nobody is missed.
    let is_nobodys = waiting.is_none() && listening.is_empty();
    Ok(Survey {
        complete: is_nobodys || (present.complete && active.complete),
        active_queues: present.replies,
        active: active.replies,
    })
}
