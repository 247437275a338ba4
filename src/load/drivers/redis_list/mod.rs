//! Plain Redis lists: a message is pushed, and some worker pops it.
//!
//! A list says nothing of a message that was popped. So done here means taken: how fast the list drains is
//! the workers' throughput as soon as more waits than they hold in their hands, and neither who took a
//! message nor how long it took is known.

mod drain;
mod leftover;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Typed;
use super::redis_client::{Redis, not_empty};
use super::redis_wire::Client;
use crate::error::{Error, Result};
use crate::exec::LocalFuture;
use crate::hidden::Hidden;
use crate::load::book::{Book, Ticket};
use crate::load::depth::Depth;
use crate::load::ledger::Kind;
use crate::load::site::Site;
use crate::load::{Checked, Closed, Driver};
use crate::project::address::Address;
use crate::project::workload::{Queue, Work};
use drain::Drain;

/// Time between two looks at the length of a list.
const LOOK: Duration = Duration::from_millis(20);
/// Most messages that are pushed in one go.
const BATCH: usize = 1000;
/// About as many bytes go in one batch at most.
const BATCH_BYTES: usize = 4 << 20;
/// A client that popped from a list this many seconds ago still counts as a worker.
const RECENTLY: u64 = 10;

/// One task type's messages.
#[derive(Debug)]
struct Message {
    kind: Kind,
    list: String,
    payload: Hidden<String>,
    right: bool,
}

/// The driver.
#[derive(Debug)]
pub struct RedisList<'a> {
    broker: Address,
    messages: Vec<Message>,
    site: &'a Site,
}

impl<'a> RedisList<'a> {
    /// # Errors
    /// There is nothing to send.
    pub fn new(types: Vec<Typed>, site: &'a Site) -> Result<Self> {
        let mut broker = None;
        let mut messages = Vec::new();
        for (kind, task) in types {
            if let Work::RedisList {
                queue,
                payload,
                right,
            } = task.work
            {
                broker = Some(queue.broker);
                messages.push(Message {
                    kind,
                    list: queue.name,
                    payload,
                    right,
                });
            }
        }
        Ok(Self {
            broker: broker.ok_or_else(|| Error::usage("no list to send to"))?,
            messages,
            site,
        })
    }

    fn kinds(&self) -> Vec<Kind> {
        self.messages.iter().map(|message| message.kind).collect()
    }

    fn lists(&self) -> BTreeSet<&str> {
        self.messages.iter().map(|message| &*message.list).collect()
    }

    async fn checked(&self) -> Result<Checked> {
        let redis = Redis::open(&self.broker, self.site).await?;
        let mut notes = Vec::new();
        for list in self.lists() {
            let waiting = length(&redis, list).await?;
            if waiting > 0 && !self.site.force {
                return Err(not_empty(&format!("list `{list}`"), waiting));
            }
            if waiting > 0 {
                notes.push(format!(
                    "{list}: {waiting} messages wait already, and are taken first"
                ));
            }
        }
        let names = self.lists().into_iter().collect::<Vec<_>>().join(", ");
        match redis.clients().await?.as_deref().map(workers) {
            None => notes.push(format!(
                "{names}: Redis does not tell this user whether workers listen"
            )),
            // They may ask now and then without waiting, so this is no reason to refuse.
            Some(0) => notes.push(format!(
                "{names}: no client of this Redis waits for messages of a list"
            )),
            Some(1) => notes.push(format!(
                "{names}: 1 client of this Redis waits for messages of a list"
            )),
            Some(count) => notes.push(format!(
                "{names}: {count} clients of this Redis wait for messages of a list"
            )),
        }
        notes.push(format!(
            "{names}: a list only shows when a message is taken, not when it is done or by whom"
        ));
        Ok(Checked {
            notes,
            events: None,
        })
    }

    async fn work(&self, book: &Book) -> Result<()> {
        let redis = Redis::open(&self.broker, self.site).await?;
        let kinds = self.kinds();
        let drains = self
            .lists()
            .into_iter()
            .map(|list| (list, Drain::default()));
        let drains = RefCell::new(drains.collect::<BTreeMap<_, _>>());
        tokio::select! {
            result = async {
                tokio::try_join!(
                    self.send(&redis, book, &kinds, &drains),
                    look(&redis, book, &drains),
                )
            } => result.map(|_| ()),
            () = book.settled(&kinds) => Ok(()),
        }
    }

    async fn send(
        &self,
        redis: &Redis<'_>,
        book: &Book,
        kinds: &[Kind],
        drains: &RefCell<BTreeMap<&str, Drain>>,
    ) -> Result<()> {
        let longest = self.messages.iter().map(|message| message.payload.len());
        let most = (BATCH_BYTES / longest.max().unwrap_or(0).max(1)).clamp(1, BATCH);
        loop {
            let tickets = book.take(kinds, most).await;
            if tickets.is_empty() {
                return Ok(());
            }
            redis.ask_all::<()>(&self.pushes(&tickets, book)).await?;
            let mut drains = drains.borrow_mut();
            for ticket in tickets {
                if let Some(drain) = drains.get_mut(&*self.message(ticket.kind).list) {
                    drain.push(ticket.kind);
                }
                book.sent(ticket.task);
            }
        }
    }

    /// One push of many messages for each list and end of it.
    fn pushes(&self, tickets: &[Ticket], book: &Book) -> redis::Pipeline {
        let mut pushes: BTreeMap<(&str, bool), redis::Cmd> = BTreeMap::new();
        for ticket in tickets {
            let message = self.message(ticket.kind);
            let push = pushes
                .entry((&message.list, message.right))
                .or_insert_with(|| {
                    let mut push = redis::cmd(if message.right { "RPUSH" } else { "LPUSH" });
                    push.arg(&message.list);
                    push
                });
            push.arg(message.payload.replace("{id}", &book.task_id(*ticket)));
        }
        let mut pipeline = redis::pipe();
        for push in pushes.into_values() {
            pipeline.add_command(push);
        }
        pipeline
    }

    fn message(&self, kind: Kind) -> &Message {
        let message = self.messages.iter().find(|message| message.kind == kind);
        message.expect("the book hands out the types that it was asked for")
    }
}

/// Follows the lengths of the lists for ever.
async fn look(
    redis: &Redis<'_>,
    book: &Book,
    drains: &RefCell<BTreeMap<&str, Drain>>,
) -> Result<()> {
    loop {
        let open: Vec<(&str, u64)> = drains
            .borrow()
            .iter()
            .filter(|(_, drain)| !drain.is_over())
            .map(|(list, drain)| (*list, drain.sent()))
            .collect();
        for (list, sent) in open {
            let length: u64 = redis.ask(redis::cmd("LLEN").arg(list)).await?;
            let mut drains = drains.borrow_mut();
            let drain = drains.get_mut(list).expect("no drain is ever removed");
            for (kind, count) in drain.observe(sent, length) {
                book.drained(kind, count);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How long a list is; 0 when there is none, for an empty list does not exist.
async fn length(redis: &Redis<'_>, list: &str) -> Result<u64> {
    if redis.has(list, "list").await? {
        redis.ask(redis::cmd("LLEN").arg(list)).await
    } else {
        Ok(0)
    }
}

/// Clients that wait for messages of a list, or took one just now. Of which list is not said.
fn workers(clients: &[Client]) -> usize {
    let pops = |client: &&Client| {
        matches!(
            &*client.command,
            "blpop"
                | "brpop"
                | "blmove"
                | "brpoplpush"
                | "blmpop"
                | "lpop"
                | "rpop"
                | "lmove"
                | "rpoplpush"
                | "lmpop"
        ) && (client.is_blocked || client.idle <= RECENTLY)
    };
    clients.iter().filter(pops).count()
}

impl Driver for RedisList<'_> {
    fn name(&self) -> &'static str {
        "redis-list"
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

/// Messages that wait in a list; who waits for them, Redis does not tell by key.
///
/// # Errors
/// Redis cannot be used, or the key is no list.
pub async fn depth(queue: &Queue, site: &Site) -> Result<Depth> {
    let redis = Redis::open(&queue.broker, site).await?;
    let ready = length(&redis, &queue.name).await?;
    Ok(Depth {
        ready: Some(ready),
        ..Depth::default()
    })
}

#[cfg(test)]
mod tests {
    use super::workers;
    use crate::load::drivers::redis_wire::Client;

    #[test]
    fn workers_wait_for_messages_or_took_one_just_now() {
        let client = |command: &str, is_blocked, idle| Client {
            command: command.into(),
            is_blocked,
            idle,
            ..Client::default()
        };
        let clients = [
            client("brpop", true, 900),
            client("blmove", true, 0),
            client("rpop", false, 1),
            client("rpop", false, 900),
            client("brpop", false, 900),
            client("bzpopmin", true, 0),
            client("client|list", false, 0),
        ];
        assert_eq!(workers(&clients), 3);
    }
}
