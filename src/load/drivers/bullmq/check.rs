//! Looking before anything is sent.

use std::collections::BTreeSet;

use redis::Value;

use super::{Bullmq, Target};
use crate::error::Result;
use crate::load::Checked;
use crate::load::drivers::redis_client::{Redis, not_empty, refuse};
use crate::load::drivers::redis_wire::{Client, items, text};

/// Keys that are asked for at once when the queues are looked for, and how often.
const SCAN: u64 = 1000;
const SCANS: u32 = 50;

impl Bullmq<'_> {
    pub(super) async fn checked(&self) -> Result<Checked> {
        let redis = Redis::open(&self.broker, self.site).await?;
        let clients = redis.clients().await?;
        let mut notes = Vec::new();
        for target in &self.targets {
            target.exists(&redis).await?;
            self.check(&redis, target, clients.as_deref(), &mut notes)
                .await?;
        }
        Ok(Checked {
            notes,
            events: None,
        })
    }

    async fn check(
        &self,
        redis: &Redis<'_>,
        target: &Target,
        clients: Option<&[Client]>,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let keys = &target.keys;
        let queue = keys.queue();
        let is_paused: bool = redis
            .ask(redis::cmd("HEXISTS").arg(keys.of("meta")).arg("paused"))
            .await?;
        if is_paused {
            return Err(refuse(format!("queue `{queue}` is paused"))
                .hint("resume it, in the application: await queue.resume()"));
        }
        match clients.map(|clients| keys.workers(clients).len()) {
            None => notes.push(format!(
                "{queue}: Redis does not tell this user whether workers listen"
            )),
            Some(0) => {
                return Err(refuse(format!("no worker listens on queue `{queue}`"))
                    .hint("start the workers, then look at what they log: rscale status"));
            }
            Some(1) => notes.push(format!("{queue}: 1 worker listens")),
            Some(count) => notes.push(format!("{queue}: {count} workers listen")),
        }
        let waiting = target.waiting(redis).await?;
        if waiting > 0 && !self.site.force {
            return Err(not_empty(&format!("queue `{queue}`"), waiting));
        }
        if waiting > 0 {
            notes.push(format!("{queue}: {waiting} jobs are there already"));
        }
        Ok(())
    }
}

impl Target {
    /// Fails unless BullMQ has written anything of this queue: the first worker or client writes `meta`.
    async fn exists(&self, redis: &Redis<'_>) -> Result<()> {
        for (part, kind) in [
            ("meta", "hash"),
            ("id", "string"),
            ("wait", "list"),
            ("active", "list"),
            ("prioritized", "zset"),
            ("delayed", "zset"),
            ("events", "stream"),
        ] {
            redis.has(&self.keys.of(part), kind).await?;
        }
        let mut question = redis::cmd("EXISTS");
        for part in ["meta", "id", "wait", "active", "completed", "failed"] {
            question.arg(self.keys.of(part));
        }
        let count: u64 = redis.ask(&question).await?;
        if count > 0 {
            return Ok(());
        }
        let queue = self.keys.queue();
        let error = refuse(format!(
            "there is no BullMQ queue `{queue}` in Redis at `{}`",
            redis.address
        ));
        let others = self.others(redis).await?;
        Err(if others.is_empty() {
            error.hint("start the workers, which make the queue: rscale WORKER=1")
        } else {
            let others = others.into_iter().collect::<Vec<_>>().join(", ");
            error.hint(format!("correct the queue's name; there are: {others}"))
        })
    }

    /// The names of the queues that there are, as far as they are found soon.
    async fn others(&self, redis: &Redis<'_>) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        let mut cursor = "0".to_owned();
        for _ in 0..SCANS {
            let mut command = redis::cmd("SCAN");
            command.arg(&cursor).arg("MATCH").arg(self.keys.pattern());
            command.arg("COUNT").arg(SCAN);
            let answer: Value = redis.ask(&command).await?;
            let [next, found] = items(&answer) else {
                break;
            };
            for key in items(found).iter().filter_map(text) {
                names.extend(self.keys.queue_of(&key).map(str::to_owned));
            }
            cursor = text(next).unwrap_or_default();
            if cursor == "0" || cursor.is_empty() {
                break;
            }
        }
        Ok(names)
    }

    /// Jobs that are to be done before those of a run, or at the same time.
    async fn waiting(&self, redis: &Redis<'_>) -> Result<u64> {
        let mut question = redis::pipe();
        for list in ["wait", "paused", "active"] {
            question.cmd("LLEN").arg(self.keys.of(list));
        }
        for set in ["prioritized", "delayed"] {
            question.cmd("ZCARD").arg(self.keys.of(set));
        }
        let counts: Vec<u64> = redis.ask_all(&question).await?;
        Ok(counts.iter().sum())
    }
}
