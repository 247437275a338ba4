//! What a run leaves in its streams: counted, and removed where that is wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use super::{Key, RedisStream, find_group};
use crate::error::Result;
use crate::load::Closed;
use crate::load::book::Book;
use crate::load::drivers::redis_client::Redis;
use crate::load::drivers::redis_wire::{StreamId, items};
use crate::load::ledger::Kind;

/// How long looking and removing may take.
const LIMIT: Duration = Duration::from_millis(4500);
/// Entries that are removed in one go.
const CHUNK: usize = 1000;

impl RedisStream<'_> {
    /// Counts and, with `purge`, removes the entries that nobody was handed.
    ///
    /// Removing entries that were not handed out makes Redis lose count of the group's lag, until the group
    /// has read past them.
    pub(super) async fn leave(&self, book: &Book, purge: bool) -> Closed {
        let mut closed = Closed::default();
        if book.ledger().records.is_empty() {
            return closed;
        }
        let looking = self.look_for(book, purge, &mut closed);
        let said = match tokio::time::timeout(LIMIT, looking).await {
            Ok(Ok(())) => return closed,
            Ok(Err(error)) => format!("is not known: {error}"),
            Err(_) => "is not fully known: looking took too long".to_owned(),
        };
        let streams = self.streams.borrow();
        let names: Vec<String> = streams
            .keys()
            .map(|(stream, _)| format!("stream `{stream}`"))
            .collect();
        let names = names.join(" and ");
        closed
            .warnings
            .push(format!("what is left in {names} {said}"));
        closed
    }

    async fn look_for(&self, book: &Book, purge: bool, closed: &mut Closed) -> Result<()> {
        let keys: Vec<(Key, String)> = self
            .streams
            .borrow()
            .iter()
            .map(|(key, stream)| (key.clone(), stream.group.clone()))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let redis = Redis::open(&self.broker, self.site).await?;
        for (key, group) in keys {
            let last_delivered = find_group(&redis, &key.0, Some(&group))
                .await?
                .last_delivered;
            self.find_unheard(&redis, &key, last_delivered, book)
                .await?;
            let mut waiting: BTreeMap<Kind, u64> = self
                .messages
                .iter()
                .filter(|message| self.key(message.kind) == key)
                .map(|message| (message.kind, 0))
                .collect();
            let mut ids: Vec<(StreamId, Kind)> = Vec::new();
            if let Some(stream) = self.streams.borrow().get(&key) {
                for (id, entry) in stream.entries.waiting(last_delivered) {
                    *waiting.entry(entry.kind).or_default() += 1;
                    ids.push((id, entry.kind));
                }
            }
            if purge && !ids.is_empty() {
                let mut purged = BTreeMap::new();
                let removed = self.remove(&redis, &key, &ids, &mut purged).await;
                for left in waiting.values_mut() {
                    // What could not be removed was handed out meanwhile.
                    *left = 0;
                }
                closed.purged.extend(purged);
                removed?;
            }
            closed.queued.extend(waiting);
        }
        Ok(())
    }

    /// Finds entries whose addition was on its way when the run ended, so that nobody heard their ids.
    async fn find_unheard(
        &self,
        redis: &Redis<'_>,
        key: &Key,
        last_delivered: StreamId,
        book: &Book,
    ) -> Result<()> {
        let newest = {
            let streams = self.streams.borrow();
            streams.get(key).and_then(|stream| stream.entries.newest())
        };
        let mut start = newest.unwrap_or_default().max(last_delivered);
        loop {
            let mut command = redis::cmd("XRANGE");
            command
                .arg(&key.0)
                .arg(format!("({start}"))
                .arg("+")
                .arg("COUNT")
                .arg(CHUNK);
            let answer: Value = redis.ask(&command).await?;
            for entry in items(&answer) {
                let [id, fields] = items(entry) else {
                    continue;
                };
                let own = items(fields).iter().find_map(|field| match field {
                    Value::BulkString(bytes) => book.id().find(bytes),
                    _ => None,
                });
                let kind = own.and_then(|task| {
                    let ledger = book.ledger();
                    Some(ledger.records.get(task as usize)?.kind)
                });
                if let (Some(id), Some(task), Some(kind)) = (StreamId::of(id), own, kind)
                    && let Some(stream) = self.streams.borrow_mut().get_mut(key)
                {
                    stream.entries.push(id, task, kind);
                }
            }
            let last = items(&answer).last().and_then(|entry| items(entry).first());
            match last.and_then(StreamId::of) {
                Some(last) if items(&answer).len() == CHUNK => start = last,
                _ => return Ok(()),
            }
        }
    }

    /// The newest first: those are the last that a worker could be handed meanwhile.
    async fn remove(
        &self,
        redis: &Redis<'_>,
        key: &Key,
        ids: &[(StreamId, Kind)],
        purged: &mut BTreeMap<Kind, u64>,
    ) -> Result<()> {
        for chunk in ids.rchunks(CHUNK) {
            let mut removals = redis::pipe();
            for (id, _) in chunk.iter().rev() {
                removals.cmd("XDEL").arg(&key.0).arg(id.to_string());
            }
            let removed: Vec<u64> = redis.ask_all(&removals).await?;
            for ((id, kind), count) in chunk.iter().rev().zip(removed) {
                *purged.entry(*kind).or_default() += count;
                if let Some(stream) = self.streams.borrow_mut().get_mut(key) {
                    stream.entries.forget(*id);
                }
            }
        }
        Ok(())
    }
}
