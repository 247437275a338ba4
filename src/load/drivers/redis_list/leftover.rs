//! What a run leaves in its lists: counted, and removed where that is wanted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use super::RedisList;
use crate::duration;
use crate::error::Result;
use crate::load::Closed;
use crate::load::book::Book;
use crate::load::drivers::redis_client::Redis;
use crate::load::drivers::redis_portion::{End, Walk};
use crate::load::drivers::redis_wire::items;
use crate::load::ledger::Kind;

/// How long looking may take.
const LIMIT: Duration = Duration::from_millis(4500);
/// How long it may take together with removing: a list of millions is gone through.
const PURGE_LIMIT: Duration = Duration::from_secs(20);
/// Messages that are looked at in one go.
const CHUNK: usize = 1000;

impl RedisList<'_> {
    /// Counts and, with `purge`, removes what is left.
    pub(super) async fn leave(&self, book: &Book, purge: bool) -> Closed {
        let closed = RefCell::default();
        if book.ledger().records.is_empty() {
            return closed.into_inner();
        }
        let looking = self.look_for(book, purge, &closed);
        let limit = if purge { PURGE_LIMIT } else { LIMIT };
        let looked = tokio::time::timeout(limit, looking).await;
        let mut closed = closed.into_inner();
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => closed.warnings.push(format!(
                "what is left in {} is not known: {error}",
                self.names()
            )),
            Err(_) => closed.warnings.push(format!(
                "what is left in {} is not fully known: looking took longer than {}",
                self.names(),
                duration::show(limit)
            )),
        }
        closed
    }

    fn names(&self) -> String {
        let names: Vec<String> = self
            .lists()
            .iter()
            .map(|list| format!("list `{list}`"))
            .collect();
        names.join(" and ")
    }

    async fn look_for(&self, book: &Book, purge: bool, closed: &RefCell<Closed>) -> Result<()> {
        let redis = Redis::open(&self.broker, self.site).await?;
        for list in self.lists() {
            let here = || self.messages.iter().filter(|message| message.list == list);
            let nameless = here().filter(|message| !message.payload.contains("{id}"));
            let nameless: Vec<Kind> = nameless.map(|message| message.kind).collect();
            let mut found: BTreeMap<Kind, u64> = here()
                .filter(|message| message.payload.contains("{id}"))
                .map(|message| (message.kind, 0))
                .collect();
            if purge && !found.is_empty() {
                // First, because these are still being taken.
                let right = here().next().is_some_and(|message| message.right);
                remove(&redis, list, right, book, closed).await?;
            }
            let length = super::length(&redis, list).await?;
            if !found.is_empty() && length > 0 {
                count(&redis, list, book, &mut found).await?;
            }
            // Of several types without ids nobody can tell whose the rest is.
            let rest = length.saturating_sub(found.values().sum());
            if let [kind] = nameless[..] {
                let tally = book.tally(kind);
                found.insert(kind, rest.min(u64::from(tally.in_flight())));
            }
            let mut closed = closed.borrow_mut();
            closed.queued.extend(found);
            if purge && !nameless.is_empty() && rest > 0 {
                closed.warnings.push(format!(
                    "messages in list `{list}` stay there: without `{{id}}` in the payload nobody can tell them from others"
                ));
            }
        }
        Ok(())
    }
}

/// Counts the run's own messages by their type.
async fn count(
    redis: &Redis<'_>,
    list: &str,
    book: &Book,
    found: &mut BTreeMap<Kind, u64>,
) -> Result<()> {
    let mut start = 0;
    loop {
        let messages = range(redis, list, start, start + CHUNK - 1).await?;
        for message in items(&messages) {
            if let Some(count) = own(message, book).and_then(|kind| found.get_mut(&kind)) {
                *count += 1;
            }
        }
        if items(&messages).len() < CHUNK {
            return Ok(());
        }
        start += CHUNK;
    }
}

/// Removes the run's own messages, beginning at the end where they were pushed: there they are near, and no worker pops
/// from there. Those of a portion that went are counted also where the next one fails.
async fn remove(
    redis: &Redis<'_>,
    list: &str,
    right: bool,
    book: &Book,
    closed: &RefCell<Closed>,
) -> Result<()> {
    let end = if right { End::Right } else { End::Left };
    let mut walk = Walk::new(list, end, book.id());
    loop {
        let said: Vec<Vec<u8>> = redis.ask(&walk.step()).await?;
        let Some(removed) = walk.told(&said) else {
            return Ok(());
        };
        let mut closed = closed.borrow_mut();
        for kind in removed.into_iter().filter_map(|task| kind_of(task, book)) {
            match closed.purged.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, count)) => *count += 1,
                None => closed.purged.push((kind, 1)),
            }
        }
    }
}

async fn range(
    redis: &Redis<'_>,
    list: &str,
    start: impl redis::ToRedisArgs,
    end: impl redis::ToRedisArgs,
) -> Result<Value> {
    redis
        .ask(redis::cmd("LRANGE").arg(list).arg(start).arg(end))
        .await
}

/// The type of a message of this run; `None` for everybody else's.
fn own(message: &Value, book: &Book) -> Option<Kind> {
    let Value::BulkString(bytes) = message else {
        return None;
    };
    kind_of(book.id().find(bytes)?, book)
}

fn kind_of(task: u32, book: &Book) -> Option<Kind> {
    let ledger = book.ledger();
    Some(ledger.records.get(task as usize)?.kind)
}
