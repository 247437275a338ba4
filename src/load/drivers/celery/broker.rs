//! The broker, whichever it is: what the driver asks of both.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{LocalBoxStream, StreamExt as _};
use tokio::time::Instant;

use super::amqp::{Amqp, ShortQueue};
use super::control::{self, Command, Replies};
use super::events::{self, Event};
use super::message::{AmqpMessage, RedisMessage, Task};
use super::redis::Redis;
use super::waiting::Waiting;
use crate::error::{Error, Result};
use crate::load::book::{Book, Kind};
use crate::load::site::Site;
use crate::project::workload::Queue;

/// How long workers' replies are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// No longer than this.
    pub until: Instant,
    /// Nor longer than this after a reply, where the broker does not tell how many workers heard the question.
    pub pause: Option<Duration>,
}

impl Patience {
    pub fn until(until: Instant) -> Self {
        Self { until, pause: None }
    }

    /// From now on.
    pub fn of(time: Duration) -> Self {
        Self::until(Instant::now() + time)
    }
}

/// What workers replied.
#[derive(Debug, Default)]
pub struct Answers {
    pub replies: Replies,
    /// Whether all have replied who heard the question; where nobody can know that, it is false.
    pub complete: bool,
}

/// A connection to a broker.
#[derive(Debug)]
pub enum Broker {
    Amqp(Amqp),
    Redis(Redis),
}

impl Broker {
    /// # Errors
    /// Exit 4: the broker does not answer or refuses, or is of a kind that rscale does not know.
    pub async fn connect(queue: &Queue, site: &Site) -> Result<Self> {
        let address = &queue.broker;
        match address.scheme() {
            "amqp" | "amqps" | "pyamqp" => Amqp::connect(address, site).await.map(Self::Amqp),
            "redis" | "rediss" | "valkey" | "valkeys" => {
                let prefix = queue.prefix.as_deref().unwrap_or_default();
                Redis::connect(address, prefix, site).await.map(Self::Redis)
            }
            scheme => Err(
                Error::unusable(format!("no broker is known for `{scheme}://`"))
                    .hint("amqp://, amqps://, redis:// or rediss://"),
            ),
        }
    }

    /// Whether the connection is there, as far as is known.
    pub async fn is_alive(&self) -> bool {
        match self {
            Self::Amqp(amqp) => amqp.is_alive(),
            Self::Redis(redis) => redis.is_alive().await,
        }
    }

    /// Whether the broker answers, however long that takes.
    pub async fn answers(&self) -> bool {
        match self {
            Self::Amqp(amqp) => amqp.answers().await,
            Self::Redis(redis) => redis.is_alive().await,
        }
    }

    /// What waits in a queue; `None` where there is no such queue.
    pub async fn queue(&self, name: &str) -> Result<Option<Waiting>> {
        match self {
            Self::Amqp(amqp) => amqp.queue(name).await,
            Self::Redis(redis) => redis.queue(name).await,
        }
    }

    /// Asks all workers, until `enough` of them replied.
    pub async fn ask_all(
        &self,
        command: Command,
        site: &Site,
        patience: Patience,
        enough: &dyn Fn(&Replies) -> bool,
    ) -> Result<Answers> {
        match self {
            Self::Amqp(amqp) => amqp.ask(command, None, patience, enough).await,
            Self::Redis(redis) => redis.ask(command, None, site, patience, enough).await,
        }
    }

    /// Asks these workers, until all of them replied.
    pub async fn ask(
        &self,
        command: Command,
        workers: &[String],
        site: &Site,
        patience: Patience,
    ) -> Result<Answers> {
        if workers.is_empty() {
            return Ok(Answers {
                complete: true,
                ..Answers::default()
            });
        }
        let all = |replies: &Replies| replies.len() >= workers.len();
        let workers = Some(workers);
        match self {
            Self::Amqp(amqp) => amqp.ask(command, workers, patience, &all).await,
            Self::Redis(redis) => redis.ask(command, workers, site, patience, &all).await,
        }
    }

    /// Those of these workers that have ended. One that does not reply may be busy, and is not among them.
    pub async fn ended(
        &self,
        workers: &BTreeSet<String>,
        site: &Site,
        patience: Patience,
    ) -> Result<BTreeSet<String>> {
        match self {
            Self::Amqp(amqp) => {
                let mut ended = BTreeSet::new();
                for worker in workers {
                    if !amqp.has_queue(&control::queue_of(worker)).await? {
                        ended.insert(worker.clone());
                    }
                }
                Ok(ended)
            }
            Self::Redis(redis) => {
                let enough = |_: &Replies| false;
                let command = Command::ActiveQueues;
                let present = redis.ask(command, None, site, patience, &enough).await?;
                let has_ended =
                    |worker: &&String| present.complete && !present.replies.contains_key(*worker);
                Ok(workers.iter().filter(has_ended).cloned().collect())
            }
        }
    }

    /// The workers' events from now on; it ends with the connection.
    pub async fn events(&self, site: &Site) -> Result<LocalBoxStream<'static, Vec<Event>>> {
        Ok(match self {
            Self::Amqp(amqp) => match amqp.events().await? {
                Some(consumer) => consumer
                    .map(|delivery| {
                        delivery.map_or_else(|_| Vec::new(), |it| events::parse(&it.data))
                    })
                    .boxed_local(),
                None => futures_util::stream::pending().boxed_local(),
            },
            Self::Redis(redis) => redis.events(site).await?.boxed_local(),
        })
    }

    /// Sends what the book hands out of these types.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn send<'t>(
        &self,
        book: &Book,
        kinds: &[Kind],
        site: &Site,
        task: &dyn Fn(Kind) -> Task<'t>,
    ) -> Result<()> {
        match self {
            Self::Amqp(amqp) => {
                let message = |kind| {
                    let task = task(kind);
                    (ShortQueue::new(task.queue), AmqpMessage::new(task))
                };
                amqp.send(book, kinds, site, &message).await
            }
            Self::Redis(redis) => {
                let message = |kind| {
                    let task = task(kind);
                    (task.queue.to_owned(), RedisMessage::new(task))
                };
                redis.send(book, kinds, &message).await
            }
        }
    }

    pub async fn close(&self) {
        if let Self::Amqp(amqp) = self {
            amqp.close().await;
        }
    }
}
