//! What a run leaves in its lists: counted, and removed where that is wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use super::RedisList;
use crate::error::Result;
use crate::load::Closed;
use crate::load::book::Book;
use crate::load::drivers::redis_client::Redis;
use crate::load::drivers::redis_wire::items;
use crate::load::ledger::Kind;

/// How long looking and removing may take.
const LIMIT: Duration = Duration::from_millis(4500);
/// Messages that are looked at in one go.
const CHUNK: usize = 1000;
const CHUNK_SIGNED: i64 = 1000;

impl RedisList<'_> {
    /// Counts and, with `purge`, removes what is left.
    pub(super) async fn leave(&self, book: &Book, purge: bool) -> Closed {
        let mut closed = Closed::default();
        if book.ledger().records.is_empty() {
            return closed;
        }
        let looking = self.look_for(book, purge, &mut closed);
        match tokio::time::timeout(LIMIT, looking).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => closed.warnings.push(format!(
                "what is left in {} is not known: {error}",
                self.names()
            )),
            Err(_) => closed.warnings.push(format!(
                "what is left in {} is not fully known: looking took too long",
                self.names()
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

    async fn look_for(&self, book: &Book, purge: bool, closed: &mut Closed) -> Result<()> {
        let redis = Redis::open(&self.broker, self.site).await?;
        for list in self.lists() {
            let here = || self.messages.iter().filter(|message| message.list == list);
            let nameless = here().filter(|message| !message.payload.contains("{id}"));
            let nameless: Vec<Kind> = nameless.map(|message| message.kind).collect();
            let mut found: BTreeMap<Kind, u64> = here()
                .filter(|message| message.payload.contains("{id}"))
                .map(|message| (message.kind, 0))
                .collect();
            if purge {
                // First, because these are still being taken.
                let right = here().next().is_some_and(|message| message.right);
                let mut purged = BTreeMap::new();
                let removed = if found.is_empty() {
                    Ok(())
                } else {
                    remove(&redis, list, right, book, &mut purged).await
                };
                closed.purged.extend(purged);
                removed?;
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

/// Removes the run's own messages, beginning at the end where they were pushed: there the first match of
/// each is near, and no worker pops from there.
async fn remove(
    redis: &Redis<'_>,
    list: &str,
    right: bool,
    book: &Book,
    purged: &mut BTreeMap<Kind, u64>,
) -> Result<()> {
    // So many messages at that end are somebody else's.
    let mut start = 0_i64;
    loop {
        let end = start + CHUNK_SIGNED - 1;
        // Counted from the right, the last one is -1.
        let messages = if right {
            range(redis, list, -1 - end, -1 - start).await?
        } else {
            range(redis, list, start, end).await?
        };
        let mut chunk: Vec<&Value> = items(&messages).iter().collect();
        if right {
            chunk.reverse();
        }
        let mut removals = redis::pipe();
        let mut kinds = Vec::new();
        for message in &chunk {
            if let (Some(kind), Value::BulkString(bytes)) = (own(message, book), message) {
                let direction = if right { -1 } else { 1 };
                removals
                    .cmd("LREM")
                    .arg(list)
                    .arg(direction)
                    .arg(&bytes[..]);
                kinds.push(kind);
            }
        }
        let removed: Vec<u64> = redis.ask_all(&removals).await?;
        for (kind, count) in kinds.iter().zip(&removed) {
            *purged.entry(*kind).or_default() += count;
        }
        if chunk.len() < CHUNK {
            return Ok(());
        }
        start += i64::try_from(chunk.len() - kinds.len()).expect("a chunk is small");
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
    let number = book.id().find(bytes)?;
    let ledger = book.ledger();
    Some(ledger.records.get(number as usize)?.kind)
}
