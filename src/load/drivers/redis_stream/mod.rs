//! Redis streams with a consumer group: entries are added, workers read and acknowledge them.
//!
//! Done means acknowledged: what the group handed out and nobody holds any more. That is looked at every
//! 20 ms, so an entry's time is right to about that. Who holds an entry, and since when, is known for those
//! that were seen in somebody's hands; short ones may come and go between two looks, and then nobody can say
//! who did them. Two things look like an acknowledgement and are none: an entry that a trimmed stream
//! (`MAXLEN`) lost before it was handed out, and entries of a consumer that was deleted with them.

mod entries;
mod group;
mod leftover;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::Typed;
use super::redis_client::{Redis, not_empty, refuse};
use super::redis_wire::{Client, StreamId, items};
use crate::error::{Error, Result};
use crate::exec::LocalFuture;
use crate::hidden::Hidden;
use crate::load::book::{Book, Outcome, Ticket, Word};
use crate::load::depth::Depth;
use crate::load::ledger::{Kind, ReplicaIndex};
use crate::load::site::Site;
use crate::load::{Checked, Closed, Driver};
use crate::project::address::Address;
use crate::project::workload::{Queue, Work};
use entries::{Entries, Progress};
use group::{Group, Pending};

/// Least time between two looks at a group.
const LOOK: Duration = Duration::from_millis(20);
/// Most entries that are added in one go.
const BATCH: usize = 1000;
/// About as many bytes go in one batch at most.
const BATCH_BYTES: usize = 4 << 20;
/// Pending entries that are read in one go.
const CHUNK: usize = 1000;
/// A consumer that has not asked for anything in this many milliseconds, and does not wait, is gone.
const GONE: u64 = 60_000;
/// Entries that are counted one by one where Redis lost count.
const COUNTED: usize = 10_000;

/// One task type's entries.
#[derive(Debug)]
struct Message {
    kind: Kind,
    queue: Queue,
    fields: Hidden<Vec<(String, String)>>,
}

/// The driver.
#[derive(Debug)]
pub struct RedisStream<'a> {
    broker: Address,
    messages: Vec<Message>,
    site: &'a Site,
    /// By stream and the group that is named for it.
    streams: RefCell<BTreeMap<Key, Stream>>,
}

/// A stream, and the group where one is named.
type Key = (String, Option<String>);

/// One stream in use.
#[derive(Debug, Default)]
struct Stream {
    group: String,
    entries: Entries,
}

impl<'a> RedisStream<'a> {
    /// # Errors
    /// There is nothing to send.
    pub fn new(types: Vec<Typed>, site: &'a Site) -> Result<Self> {
        let mut messages = Vec::new();
        for (kind, task) in types {
            if let Work::RedisStream { queue, fields } = task.work {
                messages.push(Message {
                    kind,
                    queue,
                    fields,
                });
            }
        }
        let first = messages.first();
        let broker = first.map(|message| message.queue.broker.clone());
        Ok(Self {
            broker: broker.ok_or_else(|| Error::usage("no stream to send to"))?,
            messages,
            site,
            streams: RefCell::default(),
        })
    }

    fn kinds(&self) -> Vec<Kind> {
        self.messages.iter().map(|message| message.kind).collect()
    }

    fn message(&self, kind: Kind) -> &Message {
        let message = self.messages.iter().find(|message| message.kind == kind);
        message.expect("the book hands out the types that it was asked for")
    }

    fn key(&self, kind: Kind) -> Key {
        let queue = &self.message(kind).queue;
        (queue.name.clone(), queue.group.clone())
    }

    async fn checked(&self) -> Result<Checked> {
        let redis = Redis::open(&self.broker, self.site).await?;
        let mut notes = Vec::new();
        let clients = redis.clients().await?;
        for message in &self.messages {
            let key = self.key(message.kind);
            if self.streams.borrow().contains_key(&key) {
                continue;
            }
            let (stream, wanted) = (&*key.0, key.1.as_deref());
            let group = find_group(&redis, stream, wanted).await?;
            let waiting = lag(&redis, stream, &group).await? + group.pending;
            if waiting > 0 && !self.site.force {
                return Err(not_empty(&format!("stream `{stream}`"), waiting));
            }
            let members = group::consumers(&redis.ask(&consumers_of(stream, &group.name)).await?);
            let strangers = consumers_elsewhere(&redis, stream, &group.name).await?;
            // Those who wait without being a consumer here are more likely those of another group.
            let clients = clients.as_deref();
            let clients = clients.map(|all| if strangers > 0 { &[] } else { all });
            let listening = listening(&members, clients);
            if listening == 0 {
                return Err(refuse(format!(
                    "nobody reads `{stream}` for the consumer group `{}`",
                    group.name
                ))
                .hint("start the workers, then look at what they log: rscale status"));
            }
            // A consumer is made with its first entry.
            let consumers = match (listening, members.is_empty()) {
                (1, false) => "consumer listens",
                (_, false) => "consumers listen",
                (1, true) => "client waits",
                (_, true) => "clients wait",
            };
            notes.push(format!(
                "{stream}: {listening} {consumers} in group `{}`",
                group.name
            ));
            if waiting > 0 {
                notes.push(format!(
                    "{stream}: {waiting} entries wait already, and are handed out first"
                ));
            }
            let group = group.name;
            let opened = Stream {
                group,
                ..Stream::default()
            };
            self.streams.borrow_mut().insert(key, opened);
        }
        let streams = self.streams.borrow();
        let names: Vec<&str> = streams.keys().map(|(stream, _)| &**stream).collect();
        notes.push(format!(
            "{}: which replica did a task is seen only where it took longer than about {} ms",
            names.join(", "),
            LOOK.as_millis()
        ));
        Ok(Checked {
            notes,
            events: None,
        })
    }

    async fn work(&self, book: &Book) -> Result<()> {
        let redis = Redis::open(&self.broker, self.site).await?;
        for stream in self.streams.borrow_mut().values_mut() {
            // What an earlier run left is not this book's.
            stream.entries = Entries::default();
        }
        let kinds = self.kinds();
        tokio::select! {
            result = async {
                tokio::try_join!(self.send(&redis, book, &kinds), self.follow(&redis, book))
            } => result.map(|_| ()),
            () = book.settled(&kinds) => Ok(()),
        }
    }

    async fn send(&self, redis: &Redis<'_>, book: &Book, kinds: &[Kind]) -> Result<()> {
        let size = |message: &Message| -> usize {
            let fields = message.fields.iter();
            fields.map(|(name, value)| name.len() + value.len()).sum()
        };
        let longest = self.messages.iter().map(size).max().unwrap_or(0);
        let most = (BATCH_BYTES / longest.max(1)).clamp(1, BATCH);
        loop {
            let tickets = book.take(kinds, most).await;
            if tickets.is_empty() {
                return Ok(());
            }
            let mut additions = redis::pipe();
            for ticket in &tickets {
                additions.add_command(self.addition(*ticket, book));
            }
            let ids: Vec<Value> = redis.ask_all(&additions).await?;
            let mut streams = self.streams.borrow_mut();
            for (ticket, id) in tickets.iter().zip(&ids) {
                let stream = streams.get_mut(&self.key(ticket.kind));
                if let (Some(stream), Some(id)) = (stream, StreamId::of(id)) {
                    stream.entries.push(id, ticket.task, ticket.kind);
                    book.sent(ticket.task);
                } else {
                    book.unsent(ticket.task, "no id came back");
                }
            }
        }
    }

    fn addition(&self, ticket: Ticket, book: &Book) -> Cmd {
        let message = self.message(ticket.kind);
        let id = book.task_id(ticket);
        let mut addition = redis::cmd("XADD");
        addition.arg(&message.queue.name).arg("*");
        for (name, value) in message.fields.iter() {
            addition.arg(name).arg(value.replace("{id}", &id));
        }
        addition
    }

    /// Follows the groups for ever.
    async fn follow(&self, redis: &Redis<'_>, book: &Book) -> Result<()> {
        let mut replicas = HashMap::new();
        loop {
            let began = Instant::now();
            let open: Vec<(Key, String)> = self
                .streams
                .borrow()
                .iter()
                .filter(|(_, stream)| !stream.entries.is_empty())
                .map(|(key, stream)| (key.clone(), stream.group.clone()))
                .collect();
            for (key, group) in open {
                let progress = self.look(redis, &key, &group).await?;
                self.write_down(progress, book, &mut replicas);
            }
            // A look at many pending entries takes a while, and Redis has other things to do.
            tokio::time::sleep(LOOK.max(began.elapsed())).await;
        }
    }

    async fn look(&self, redis: &Redis<'_>, key: &Key, group: &str) -> Result<Progress> {
        let stream = &key.0;
        // The order matters: see `Entries::observe`.
        let last_delivered = group_now(redis, stream, Some(group)).await?.last_delivered;
        let oldest = {
            let streams = self.streams.borrow();
            streams.get(key).and_then(|stream| stream.entries.oldest())
        };
        let Some(oldest) = oldest.filter(|oldest| *oldest <= last_delivered) else {
            return Ok(Progress::default());
        };
        let pending = pending_between(redis, stream, group, oldest, last_delivered).await?;
        let mut streams = self.streams.borrow_mut();
        let found = streams.get_mut(key);
        Ok(found.map_or_else(Progress::default, |stream| {
            stream.entries.observe(last_delivered, &pending)
        }))
    }

    fn write_down(
        &self,
        progress: Progress,
        book: &Book,
        replicas: &mut HashMap<String, ReplicaIndex>,
    ) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        for (task, consumer, idle, again) in progress.held {
            let place = replicas.entry(consumer).or_insert_with_key(|consumer| {
                match self.site.names.find(consumer) {
                    Some((service, name)) => book.replica(Some(service), name),
                    None => book.replica(None, consumer),
                }
            });
            let started = now.saturating_sub(Duration::from_millis(idle));
            book.word(
                task,
                Word {
                    started: Some(started.as_secs_f64()),
                    execution: None,
                    replica: Some(*place),
                },
            );
            for _ in 0..again {
                book.retried(task);
            }
        }
        for task in progress.done {
            book.finished(task, &Outcome::Done);
        }
    }
}

/// A stream's group as it is now.
///
/// # Errors
/// Exit 3: there is no such stream or group, or several and none is named; exit 4: Redis cannot be used.
async fn find_group(redis: &Redis<'_>, stream: &str, wanted: Option<&str>) -> Result<Group> {
    if !redis.has(stream, "stream").await? {
        return Err(refuse(format!("there is no stream `{stream}`"))
            .hint("correct the name of the queue, or start the workers that make it"));
    }
    group_now(redis, stream, wanted).await
}

/// The same where the stream is known to exist.
async fn group_now(redis: &Redis<'_>, stream: &str, wanted: Option<&str>) -> Result<Group> {
    let answer: Value = redis
        .ask(redis::cmd("XINFO").arg("GROUPS").arg(stream))
        .await?;
    group::choose(group::groups(&answer), wanted).map_err(|(said, names)| {
        let error = refuse(format!("stream `{stream}` {said}"));
        if names.is_empty() {
            return error.hint("start the workers, one replica for instance: rscale WORKER=1");
        }
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        error.hint(format!(
            "name one in its queue: {{group: ...}}; there are: {names}"
        ))
    })
}

/// Consumers of the stream's other groups.
async fn consumers_elsewhere(redis: &Redis<'_>, stream: &str, group: &str) -> Result<u64> {
    let answer: Value = redis
        .ask(redis::cmd("XINFO").arg("GROUPS").arg(stream))
        .await?;
    let groups = group::groups(&answer).into_iter();
    let others = groups.filter(|other| other.name != group);
    Ok(others.map(|other| other.consumers).sum())
}

/// Entries from one to another that somebody holds.
async fn pending_between(
    redis: &Redis<'_>,
    stream: &str,
    group: &str,
    first: StreamId,
    last: StreamId,
) -> Result<Vec<Pending>> {
    let mut all = Vec::new();
    let mut start = first.to_string();
    loop {
        let mut command = redis::cmd("XPENDING");
        command
            .arg(stream)
            .arg(group)
            .arg(&start)
            .arg(last.to_string())
            .arg(CHUNK);
        let answer: Value = redis.ask(&command).await?;
        let count = items(&answer).len();
        all.extend(group::pending(&answer));
        match all.last() {
            Some(last) if count == CHUNK => start = format!("({}", last.id),
            _ => return Ok(all),
        }
    }
}

fn consumers_of(stream: &str, group: &str) -> Cmd {
    let mut command = redis::cmd("XINFO");
    command.arg("CONSUMERS").arg(stream).arg(group);
    command
}

/// Consumers that are there: those who asked for something lately, or wait for entries without end.
fn listening(members: &[group::Consumer], clients: Option<&[Client]>) -> usize {
    let lately = members
        .iter()
        .filter(|consumer| consumer.idle < GONE)
        .count();
    let waits = |client: &&Client| client.is_blocked && client.command == "xreadgroup";
    let waiting = clients.unwrap_or_default().iter().filter(waits).count();
    if lately == 0 && clients.is_none() {
        // Nobody can tell.
        return members.len();
    }
    // Not the sum: most of those who wait asked lately. And clients do not say for which group they wait.
    if lately == 0 { waiting } else { lately }
}

/// Entries that were not handed out.
async fn lag(redis: &Redis<'_>, stream: &str, group: &Group) -> Result<u64> {
    if let Some(lag) = group.lag {
        return Ok(lag);
    }
    let mut start = group.last_delivered;
    let mut counted = 0;
    while counted < COUNTED {
        let mut command = redis::cmd("XRANGE");
        command
            .arg(stream)
            .arg(format!("({start}"))
            .arg("+")
            .arg("COUNT")
            .arg(CHUNK);
        let answer: Value = redis.ask(&command).await?;
        counted += items(&answer).len();
        let last = items(&answer).last().and_then(|entry| items(entry).first());
        match last.and_then(StreamId::of) {
            Some(last) if items(&answer).len() == CHUNK => start = last,
            _ => return Ok(counted as u64),
        }
    }
    // An upper bound: entries that are done may still be in the stream.
    redis.ask(redis::cmd("XLEN").arg(stream)).await
}

impl Driver for RedisStream<'_> {
    fn name(&self) -> &'static str {
        "redis-stream"
    }

    fn check(&self) -> LocalFuture<'_, Result<Checked>> {
        Box::pin(self.checked())
    }

    fn run<'a>(&'a self, book: &'a Book) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.work(book))
    }

    fn close<'a>(&'a self, book: &'a Book, purge: bool) -> LocalFuture<'a, Closed> {
        Box::pin(self.leave(book, purge))
    }
}

/// Lag, pending entries and consumers of a group.
///
/// # Errors
/// Redis cannot be used, or there is no such stream or group.
pub async fn depth(queue: &Queue, site: &Site) -> Result<Depth> {
    let redis = Redis::open(&queue.broker, site).await?;
    let group = find_group(&redis, &queue.name, queue.group.as_deref()).await?;
    Ok(Depth {
        ready: Some(lag(&redis, &queue.name, &group).await?),
        unacknowledged: Some(group.pending),
        consumers: Some(group.consumers),
        ..Depth::default()
    })
}

/// How many entries each consumer holds.
///
/// # Errors
/// Redis cannot be used, or there is no such stream or group.
pub async fn running(queue: &Queue, site: &Site) -> Result<BTreeMap<String, u32>> {
    let redis = Redis::open(&queue.broker, site).await?;
    let group = find_group(&redis, &queue.name, queue.group.as_deref()).await?;
    let answer = redis.ask(&consumers_of(&queue.name, &group.name)).await?;
    let consumers = group::consumers(&answer).into_iter();
    Ok(consumers
        .map(|consumer| {
            let held = u32::try_from(consumer.pending).unwrap_or(u32::MAX);
            (consumer.name, held)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::group::Consumer;
    use super::listening;
    use crate::load::drivers::redis_wire::Client;

    #[test]
    fn consumers_that_went_away_without_a_word_do_not_listen() {
        let consumer = |idle| Consumer {
            name: "c".into(),
            pending: 0,
            idle,
        };
        let waits = Client {
            is_blocked: true,
            command: "xreadgroup".into(),
            ..Client::default()
        };
        let (old, new) = ([consumer(900_000)], [consumer(900_000), consumer(5)]);
        assert_eq!(listening(&new, Some(&[])), 1);
        assert_eq!(listening(&old, Some(&[])), 0);
        assert_eq!(
            listening(&old, Some(&[waits.clone(), Client::default()])),
            1
        );
        assert_eq!(
            listening(&[], Some(&[waits])),
            1,
            "made with its first entry"
        );
        assert_eq!(listening(&old, None), 1, "nobody can tell");
    }
}
