//! Adding jobs, many at once.

use std::time::SystemTime;

use super::job::{State, Template, addition};
use super::{Bullmq, Target};
use crate::error::{Error, Result};
use crate::load::book::{Book, Ticket};
use crate::load::drivers::redis_client::Redis;
use crate::load::ledger::Kind;

/// Most jobs that are added in one transaction, during which Redis does nothing else.
const BATCH: usize = 500;
/// About as many bytes go in one transaction at most.
const BATCH_BYTES: usize = 4 << 20;

impl Bullmq<'_> {
    /// Adds what the book hands out until there is nothing more.
    pub(super) async fn send(&self, redis: &Redis<'_>, book: &Book, kinds: &[Kind]) -> Result<()> {
        let types = self.targets.iter().flat_map(|target| &target.types);
        let longest = types.map(|(_, template)| template.size()).max();
        let most = (BATCH_BYTES / longest.unwrap_or(1).max(1)).clamp(1, BATCH);
        loop {
            let tickets = book.take(kinds, most).await;
            if tickets.is_empty() {
                return Ok(());
            }
            for target in &self.targets {
                let here = |ticket: &&Ticket| target.template(ticket.kind).is_some();
                let tickets: Vec<Ticket> = tickets.iter().filter(here).copied().collect();
                if !tickets.is_empty() {
                    self.add(redis, book, target, &tickets).await?;
                }
            }
        }
    }

    async fn add(
        &self,
        redis: &Redis<'_>,
        book: &Book,
        target: &Target,
        tickets: &[Ticket],
    ) -> Result<()> {
        let keys = &target.keys;
        let mut question = redis::pipe();
        question.cmd("INCRBY").arg(keys.of("id")).arg(tickets.len());
        question.cmd("HMGET").arg(keys.of("meta"));
        question
            .arg("paused")
            .arg("concurrency")
            .arg("opts.maxLenEvents");
        question.cmd("LLEN").arg(keys.of("active"));
        let (last, meta, active): (u64, Vec<Option<String>>, u64) =
            redis.ask_all(&question).await?;
        let before = last.checked_sub(tickets.len() as u64).ok_or_else(|| {
            Error::unusable(format!("`{}` is no counter of jobs: {last}", keys.of("id")))
        })?;
        // Before they are sent: if the answer is never heard they are own ones all the same.
        target.jobs.borrow_mut().add(before + 1, tickets);
        let types = tickets
            .iter()
            .filter_map(|ticket| target.template(ticket.kind));
        let jobs: Vec<(u64, &Template)> = (before + 1..=last).zip(types).collect();
        let state = State::of(&meta, active);
        redis
            .ask_all::<()>(&addition(keys, &jobs, state, now_millis()))
            .await?;
        for ticket in tickets {
            book.sent(ticket.task);
        }
        Ok(())
    }
}

impl Target {
    pub(super) fn template(&self, kind: Kind) -> Option<&Template> {
        let mut types = self.types.iter();
        Some(&types.find(|(known, _)| *known == kind)?.1)
    }
}

fn now_millis() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
