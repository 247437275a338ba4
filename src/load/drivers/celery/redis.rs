//! Celery over Redis: kombu's lists, its channels for control and events.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{Stream, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, cmd, pipe};

use super::broker::{Answers, Patience};
use super::control::{self, Command, Replies};
use super::envelope;
use super::events::{self, Event};
use super::message::RedisMessage;
use super::waiting::{Waiting, unique};
use crate::error::{Error, Result};
use crate::load::book::{Book, Kind};
use crate::load::drivers::redis_client;
use crate::load::drivers::redis_portion::{End, Walk};
use crate::load::id::RunId;
use crate::load::site::Site;
use crate::project::address::Address;

/// Tasks taken from the book at once, and messages in one command.
const BATCH: usize = 500;
/// Keys and messages that are read at once.
const CHUNK: isize = 1000;
/// What kombu appends to the name of a queue for each step of priority; 0 is the first.
const STEPS: [&str; 4] = ["", "\u{6}\u{16}3", "\u{6}\u{16}6", "\u{6}\u{16}9"];

/// A hash's fields with their values.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A connection to Redis as a broker.
pub struct Redis {
    connection: MultiplexedConnection,
    address: Address,
    database: i64,
    /// `global_keyprefix`
    prefix: String,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redis({})", self.address)
    }
}

impl Redis {
    /// # Errors
    /// Exit 4: Redis does not answer or refuses.
    pub async fn connect(address: &Address, prefix: &str, site: &Site) -> Result<Self> {
        Ok(Self {
            connection: redis_client::connect(address, site).await?,
            address: address.clone(),
            database: redis_client::database(address)?,
            prefix: prefix.to_owned(),
        })
    }

    fn error(&self, error: &RedisError) -> Error {
        redis_client::refused(&self.address, error)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn lists(&self, queue: &str) -> [String; 4] {
        STEPS.map(|step| format!("{}{queue}{step}", self.prefix))
    }

    fn channel(&self, name: &str) -> String {
        format!("{}/{}.{name}", self.prefix, self.database)
    }

    pub async fn is_alive(&self) -> bool {
        let answer: RedisResult<String> =
            cmd("PING").query_async(&mut self.connection.clone()).await;
        answer.is_ok()
    }

    /// What waits in a queue; `None` where neither a message nor a worker has ever been there.
    pub async fn queue(&self, name: &str) -> Result<Option<Waiting>> {
        let mut connection = self.connection.clone();
        let mut look = pipe();
        for list in self.lists(name) {
            look.llen(list);
        }
        look.exists(self.key(&format!("_kombu.binding.{name}")));
        look.hlen(self.key("unacked"));
        let found: RedisResult<(u64, u64, u64, u64, bool, u64)> =
            look.query_async(&mut connection).await;
        let (a, b, c, d, bound, handed_out) = found.map_err(|error| self.error(&error))?;
        let ready = a + b + c + d;
        if ready == 0 && !bound {
            return Ok(None);
        }
        let unacknowledged = if handed_out == 0 {
            0
        } else {
            self.unacknowledged(name).await?
        };
        Ok(Some(Waiting {
            ready,
            unacknowledged: Some(unacknowledged),
            consumers: None,
        }))
    }

    /// The hash holds what was handed out of all queues.
    async fn unacknowledged(&self, queue: &str) -> Result<u64> {
        let mut connection = self.connection.clone();
        let (mut cursor, mut count) = (0_u64, 0);
        loop {
            let scanned: RedisResult<(u64, Fields)> = cmd("HSCAN")
                .arg(self.key("unacked"))
                .arg(cursor)
                .arg("COUNT")
                .arg(CHUNK)
                .query_async(&mut connection)
                .await;
            let (next, values) = scanned.map_err(|error| self.error(&error))?;
            let of_queue = values.iter().filter(|(_, value)| {
                envelope::queue_of_unacknowledged(value).as_deref() == Some(queue)
            });
            count += of_queue.count() as u64;
            if next == 0 {
                return Ok(count);
            }
            cursor = next;
        }
    }

    /// Asks workers and gathers their replies, until everybody who heard it replied, or `enough` says so, or
    /// the patience ends.
    pub async fn ask(
        &self,
        command: Command,
        workers: Option<&[String]>,
        site: &Site,
        patience: Patience,
        enough: &dyn Fn(&Replies) -> bool,
    ) -> Result<Answers> {
        let mut replies = Replies::new();
        let until = patience.until;
        let ticket = unique()?;
        let reply_to = format!("{ticket}.reply.{}", control::EXCHANGE);
        let key = self.key(&reply_to);
        let mut waiting = redis_client::connect_for_waiting(&self.address, site).await?;
        let request = control::request(command, workers, &ticket, &reply_to);
        let request = envelope::wrap_control(&request, &ticket);
        let listening: RedisResult<usize> = cmd("PUBLISH")
            .arg(self.channel(control::EXCHANGE))
            .arg(request)
            .query_async(&mut waiting)
            .await;
        let listening = listening.map_err(|error| self.error(&error))?;
        let expected = workers.map_or(listening, |workers| workers.len().min(listening));
        while replies.len() < expected && !enough(&replies) {
            let mut popping = cmd("BRPOP");
            popping.arg(&key).arg(1);
            let popping = popping.query_async(&mut waiting);
            let popped: RedisResult<Option<(String, Vec<u8>)>> =
                match tokio::time::timeout_at(until, popping).await {
                    Ok(popped) => popped,
                    Err(_) => break,
                };
            if let Some((_, message)) = popped.map_err(|error| self.error(&error))? {
                control::file_wrapped(&mut replies, &ticket, &message);
            }
        }
        let _: RedisResult<()> = cmd("DEL")
            .arg(&key)
            .query_async(&mut self.connection.clone())
            .await;
        Ok(Answers {
            complete: replies.len() >= expected || enough(&replies),
            replies,
        })
    }

    /// The workers' events from now on.
    pub async fn events(&self, site: &Site) -> Result<impl Stream<Item = Vec<Event>> + use<>> {
        let mut listening = redis_client::listen(&self.address, site).await?;
        let pattern = self.channel("celeryev/task.*");
        let subscribed = listening.psubscribe(pattern).await;
        subscribed.map_err(|error| self.error(&error))?;
        let messages = listening.into_on_message();
        Ok(messages.map(|message| events::parse_wrapped(message.get_payload_bytes())))
    }

    /// Sends what the book hands out.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn send(
        &self,
        book: &Book,
        kinds: &[Kind],
        message: &dyn Fn(Kind) -> (String, RedisMessage),
    ) -> Result<()> {
        let messages: BTreeMap<Kind, (String, RedisMessage)> = kinds
            .iter()
            .map(|kind| (*kind, message(*kind)))
            .map(|(kind, (queue, message))| (kind, (self.key(&queue), message)))
            .collect();
        let mut connection = self.connection.clone();
        loop {
            let tickets = book.take(kinds, BATCH).await;
            if tickets.is_empty() {
                return Ok(());
            }
            let mut pushes: BTreeMap<&str, redis::Cmd> = BTreeMap::new();
            for ticket in &tickets {
                let (queue, message) = &messages[&ticket.kind];
                let push = pushes.entry(queue).or_insert_with(|| {
                    let mut push = cmd("LPUSH");
                    push.arg(queue);
                    push
                });
                push.arg(message.with_id(&book.task_id(*ticket)));
            }
            let mut sending = pipe();
            for push in pushes.into_values() {
                sending.add_command(push).ignore();
            }
            let sent: RedisResult<()> = sending.query_async(&mut connection).await;
            sent.map_err(|error| lost(&error))?;
            for ticket in tickets {
                book.sent(ticket.task);
            }
        }
    }

    /// The tasks of a run whose messages are still in a queue.
    pub async fn own(&self, queue: &str, run: RunId) -> Result<BTreeSet<u32>> {
        let tail = run.tail();
        let mut own = BTreeSet::new();
        for list in self.lists(queue) {
            let mut from = 0;
            loop {
                let messages = self.range(&list, from, from + CHUNK - 1).await?;
                if messages.is_empty() {
                    break;
                }
                from += CHUNK;
                own.extend(messages.iter().filter_map(|it| number_in(it, &tail, run)));
            }
        }
        Ok(own)
    }

    /// Removes the messages of a run, and tells the tasks of those that were still there as they go. It goes from the
    /// end at which workers take messages, where own ones are found soonest.
    pub async fn purge(&self, queue: &str, run: RunId, told: &dyn Fn(u32)) -> Result<()> {
        let mut connection = self.connection.clone();
        for list in self.lists(queue) {
            let mut walk = Walk::new(&list, End::Right, run);
            loop {
                let said: RedisResult<Vec<Vec<u8>>> =
                    walk.step().query_async(&mut connection).await;
                let said = said.map_err(|error| self.error(&error))?;
                let Some(removed) = walk.told(&said) else {
                    break;
                };
                removed.into_iter().for_each(told);
            }
        }
        Ok(())
    }

    async fn range(&self, list: &str, from: isize, to: isize) -> Result<Vec<Vec<u8>>> {
        let mut look = cmd("LRANGE");
        look.arg(list).arg(from).arg(to);
        let messages = look.query_async(&mut self.connection.clone()).await;
        messages.map_err(|error| self.error(&error))
    }
}

/// The number of the task in a message of this run; a message of another has another tail.
fn number_in(message: &[u8], tail: &str, run: RunId) -> Option<u32> {
    let tail_at = find(message, tail.as_bytes())?;
    let id = message.get(tail_at.checked_sub(8)?..tail_at + tail.len())?;
    run.number(std::str::from_utf8(id).ok()?)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The connection ended in the middle of a run.
fn lost(error: &RedisError) -> Error {
    if error.is_io_error() || error.is_connection_dropped() || error.is_timeout() {
        return Error::failed(format!("the connection to the broker was lost: {error}"))
            .hint("see whether it runs: rscale status");
    }
    Error::failed(format!("Redis does not take the messages: {error}"))
}

#[cfg(test)]
mod tests {
    use super::number_in;
    use crate::load::id::RunId;

    #[test]
    fn own_messages_are_told_from_others_by_the_end_of_their_ids() {
        let run = RunId::from_bytes([7; 12]);
        let other = RunId::from_bytes([8; 12]);
        let message = |id: &str| format!(r#"{{"headers": {{"id": "{id}"}}}}"#).into_bytes();
        let tail = run.tail();
        assert_eq!(
            number_in(&message(&run.task(70_000)), &tail, run),
            Some(70_000)
        );
        assert_eq!(number_in(&message(&other.task(7)), &tail, run), None);
        assert_eq!(number_in(tail.as_bytes(), &tail, run), None);
        assert_eq!(number_in(b"", &tail, run), None);
    }
}
