//! What a run leaves in its queues: its finished jobs are removed, those that wait are counted and, where
//! that is wanted, removed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::Value;

use super::{Bullmq, Target};
use crate::error::Result;
use crate::load::Closed;
use crate::load::drivers::redis_client::Redis;
use crate::load::drivers::redis_wire::{items, text};
use crate::load::ledger::Kind;

/// How long looking and removing may take.
const LIMIT: Duration = Duration::from_millis(4500);
/// Jobs that are looked at or removed in one go.
const CHUNK: usize = 500;
/// Ids that are read in one go.
const IDS: i64 = 5000;

impl Bullmq<'_> {
    /// Removes the run's finished jobs; counts and, with `purge`, removes those that wait.
    pub(super) async fn leave(&self, purge: bool) -> Closed {
        let mut closed = Closed::default();
        let nothing = |target: &Target| target.jobs.borrow().all().next().is_none();
        if self.targets.iter().all(nothing) {
            for target in &self.targets {
                let types = target.types.iter();
                closed.queued.extend(types.map(|(kind, _)| (*kind, 0)));
            }
            return closed;
        }
        let looking = async {
            let redis = Redis::open(&self.broker, self.site).await?;
            for target in &self.targets {
                target.tidy(&redis, purge, &mut closed).await?;
            }
            Ok::<(), crate::error::Error>(())
        };
        let said = match tokio::time::timeout(LIMIT, looking).await {
            Ok(Ok(())) => return closed,
            Ok(Err(error)) => format!("are not all known or removed: {error}"),
            Err(_) => "are not all known or removed: it took too long".to_owned(),
        };
        let queues: Vec<String> = self
            .targets
            .iter()
            .map(|target| format!("`{}`", target.keys.queue()))
            .collect();
        let queues = queues.join(" and ");
        closed
            .warnings
            .push(format!("jobs of this run in queue {queues} {said}"));
        closed
    }
}

impl Target {
    async fn tidy(&self, redis: &Redis<'_>, purge: bool, closed: &mut Closed) -> Result<()> {
        // First, because these are still being taken.
        let waiting = self.own_waiting(redis).await?;
        let mut queued: BTreeMap<Kind, u64> =
            self.types.iter().map(|(kind, _)| (*kind, 0)).collect();
        for (_, kind, _) in &waiting {
            *queued.entry(*kind).or_default() += 1;
        }
        let mut gone = BTreeSet::new();
        if purge {
            let mut purged: BTreeMap<Kind, u64> = BTreeMap::new();
            let result = self.purge(redis, &waiting, &mut purged, &mut gone).await;
            closed.purged.extend(purged);
            result?;
            // What could not be removed was taken meanwhile.
            for left in queued.values_mut() {
                *left = 0;
            }
        }
        closed.queued.extend(queued);
        let waiting: BTreeSet<u64> = waiting.iter().map(|(id, ..)| *id).collect();
        let mut ended = Vec::new();
        let mut open = Vec::new();
        for (id, job) in self.jobs.borrow().all() {
            if job.ended {
                ended.push(id);
            } else if !gone.contains(&id) && !waiting.contains(&id) {
                open.push(id);
            }
        }
        // Nobody waited for these to the end.
        for chunk in open.chunks(CHUNK) {
            let mut question = redis::pipe();
            for id in chunk {
                question
                    .cmd("HEXISTS")
                    .arg(self.keys.job(*id))
                    .arg("finishedOn");
            }
            let finished: Vec<bool> = redis.ask_all(&question).await?;
            let ids = chunk.iter().zip(finished);
            ended.extend(
                ids.filter(|(_, is_finished)| *is_finished)
                    .map(|(id, _)| *id),
            );
        }
        for chunk in ended.chunks(CHUNK) {
            redis.ask_all::<()>(&self.removal(chunk)).await?;
        }
        Ok(())
    }

    /// Removes finished jobs, with everything of theirs.
    fn removal(&self, ids: &[u64]) -> redis::Pipeline {
        let mut removal = redis::pipe();
        let words: Vec<String> = ids.iter().map(u64::to_string).collect();
        for set in ["completed", "failed"] {
            removal.cmd("ZREM").arg(self.keys.of(set)).arg(&words);
        }
        removal.cmd("UNLINK");
        for id in ids {
            let job = self.keys.job(*id);
            removal.arg(format!("{job}:logs")).arg(job);
        }
        removal
    }

    /// Own jobs that no worker has, the newest first, with the place where they wait.
    async fn own_waiting(&self, redis: &Redis<'_>) -> Result<Vec<(u64, Kind, &'static str)>> {
        let mut own = Vec::new();
        // Those in `delayed` were tried and wait for their next attempt.
        for (place, command) in [
            ("wait", "LRANGE"),
            ("paused", "LRANGE"),
            ("delayed", "ZRANGE"),
        ] {
            let key = self.keys.of(place);
            let mut start = 0;
            loop {
                let mut question = redis::cmd(command);
                question.arg(&key).arg(start).arg(start + IDS - 1);
                let answer: Value = redis.ask(&question).await?;
                let mut jobs = self.jobs.borrow_mut();
                for id in items(&answer).iter().filter_map(text) {
                    if let (Some((job, _)), Ok(number)) = (jobs.find(&id), id.parse()) {
                        own.push((number, job.kind, place));
                    }
                }
                if i64::try_from(items(&answer).len()).unwrap_or(0) < IDS {
                    break;
                }
                start += IDS;
            }
        }
        Ok(own)
    }

    /// Removes own jobs that no worker has. A worker that is faster keeps its job, hash and all.
    async fn purge(
        &self,
        redis: &Redis<'_>,
        waiting: &[(u64, Kind, &'static str)],
        purged: &mut BTreeMap<Kind, u64>,
        gone: &mut BTreeSet<u64>,
    ) -> Result<()> {
        for chunk in waiting.chunks(CHUNK) {
            let mut removal = redis::pipe();
            for (id, _, place) in chunk {
                let key = self.keys.of(place);
                if *place == "delayed" {
                    removal.cmd("ZREM").arg(key).arg(id.to_string());
                } else {
                    // From the left, where the newest are: there it is found at once.
                    removal.cmd("LREM").arg(key).arg(1).arg(id.to_string());
                }
            }
            let removed: Vec<u64> = redis.ask_all(&removal).await?;
            let mut hashes = redis::cmd("UNLINK");
            let before = gone.len();
            for ((id, kind, _), count) in chunk.iter().zip(removed) {
                if count > 0 {
                    *purged.entry(*kind).or_default() += 1;
                    gone.insert(*id);
                    let job = self.keys.job(*id);
                    hashes.arg(format!("{job}:logs")).arg(job);
                }
            }
            if gone.len() > before {
                redis.ask::<u64>(&hashes).await?;
            }
        }
        Ok(())
    }
}
