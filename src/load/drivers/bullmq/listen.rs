//! Learning what becomes of jobs: from the stream of events as they come, and from the jobs' hashes.
//!
//! The stream is trimmed to about 10,000 events. When reading falls behind that, or nothing comes although
//! fewer jobs are in the queue than are waited for, the hashes of all open jobs are looked at.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::event::{self, Event, Happening};
use super::failure;
use super::job::MOST_EVENTS;
use super::{Bullmq, Target};
use crate::error::Result;
use crate::load::book::{Book, Outcome, Word};
use crate::load::drivers::redis_client::Redis;
use crate::load::drivers::redis_wire::{StreamId, items, number, text};
use crate::load::ledger::ReplicaIndex;

/// Most events that are read in one go.
const EVENTS: u64 = 2000;
/// How long Redis waits for an event before it answers that there is none, in milliseconds.
const BLOCK: u64 = 500;
/// Jobs whose hashes are read in one go.
const CHUNK: usize = 500;
/// After so long without a result, missed events are thought of; least time between two such looks.
const QUIET: Duration = Duration::from_secs(1);

/// A job whose end was learned of.
#[derive(Debug)]
struct Ended {
    job: String,
    task: u32,
    /// Of the event, in milliseconds since 1970; the hash, if it is still there, knows better.
    at: Option<u64>,
    /// The words of its error; `None` when it is not known yet whether there is one.
    how: How,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    Completed,
    Failed(String),
    /// By its hash alone; one without an end is still open.
    Unknown,
}

/// What follows one run's events.
#[derive(Debug)]
struct Listener<'l> {
    redis: &'l Redis<'l>,
    book: &'l Book,
    replicas: HashMap<String, ReplicaIndex>,
    /// The last result.
    heard: Instant,
    /// The last look at the hashes of all open jobs.
    looked: Instant,
}

impl Bullmq<'_> {
    /// The newest event of each queue.
    pub(super) async fn newest_events(&self, redis: &Redis<'_>) -> Result<Vec<StreamId>> {
        let mut newest = Vec::new();
        for target in &self.targets {
            let events = target.keys.of("events");
            let mut command = redis::cmd("XREVRANGE");
            command.arg(&events).arg("+").arg("-").arg("COUNT").arg(1);
            newest.push(first_id(&redis.ask(&command).await?).unwrap_or_default());
        }
        Ok(newest)
    }

    /// Follows the events for ever.
    pub(super) async fn listen(
        &self,
        redis: &Redis<'_>,
        waiting: &Redis<'_>,
        book: &Book,
        mut last: Vec<StreamId>,
    ) -> Result<()> {
        let mut listener = Listener {
            redis,
            book,
            replicas: HashMap::new(),
            heard: Instant::now(),
            looked: Instant::now(),
        };
        let keys: Vec<String> = self
            .targets
            .iter()
            .map(|target| target.keys.of("events"))
            .collect();
        let most = self.most_events(redis).await?;
        loop {
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(EVENTS).arg("BLOCK").arg(BLOCK);
            command.arg("STREAMS").arg(&keys);
            for id in &last {
                command.arg(id.to_string());
            }
            for read in event::read(&waiting.ask(&command).await?) {
                let Some(at) = keys.iter().position(|key| *key == read.key) else {
                    continue;
                };
                let target = &self.targets[at];
                let before = last[at];
                last[at] = read.last.unwrap_or(before);
                self.take_down(&mut listener, target, read.events).await?;
                // So many came at once that older ones may have been trimmed away.
                if read.count as u64 >= EVENTS.min(most / 2) {
                    let mut command = redis::cmd("XRANGE");
                    command.arg(&keys[at]).arg("-").arg("+").arg("COUNT").arg(1);
                    let oldest = first_id(&redis.ask(&command).await?);
                    if oldest.is_some_and(|oldest| oldest > before)
                        && listener.looked.elapsed() > QUIET
                    {
                        listener.looked = Instant::now();
                        self.look_at_all(&mut listener, target).await?;
                    }
                }
            }
            if listener.heard.elapsed() > QUIET && listener.looked.elapsed() > QUIET {
                listener.looked = Instant::now();
                for target in &self.targets {
                    if target.misses_results(redis).await? {
                        self.look_at_all(&mut listener, target).await?;
                    }
                }
            }
        }
    }

    /// About how many events the queues keep; of several, the least.
    async fn most_events(&self, redis: &Redis<'_>) -> Result<u64> {
        let mut question = redis::pipe();
        for target in &self.targets {
            question.cmd("HGET").arg(target.keys.of("meta"));
            question.arg("opts.maxLenEvents");
        }
        let answers: Vec<Value> = redis.ask_all(&question).await?;
        Ok(answers
            .iter()
            .filter_map(number)
            .min()
            .unwrap_or(MOST_EVENTS))
    }

    async fn take_down(
        &self,
        listener: &mut Listener<'_>,
        target: &Target,
        events: Vec<Event>,
    ) -> Result<()> {
        let mut ended = Vec::new();
        for Event { id, job, what } in events {
            let mut jobs = target.jobs.borrow_mut();
            let Some((own, is_current)) = jobs.find(&job) else {
                continue;
            };
            let task = own.task;
            let is_news = is_current && !own.ended;
            own.ended |= what != Happening::Active;
            if !is_news {
                continue;
            }
            let how = match what {
                Happening::Active => {
                    own.starts += 1;
                    own.active = id.millis;
                    if own.starts > 1 {
                        listener.book.retried(task);
                    }
                    let started = Some(seconds(id.millis));
                    listener.book.word(
                        task,
                        Word {
                            started,
                            ..Word::default()
                        },
                    );
                    continue;
                }
                Happening::Completed => {
                    listener.book.finished(task, &Outcome::Done);
                    How::Completed
                }
                // Its class is in its hash.
                Happening::Failed { reason } => How::Failed(reason),
                Happening::Removed => {
                    let outcome = Outcome::Failed("removed from the queue".into());
                    listener.book.finished(task, &outcome);
                    continue;
                }
            };
            let at = Some(id.millis);
            ended.push(Ended { job, task, at, how });
        }
        self.detail(listener, target, ended).await
    }

    /// Looks at the hashes of all open jobs.
    async fn look_at_all(&self, listener: &mut Listener<'_>, target: &Target) -> Result<()> {
        let open = target.jobs.borrow().open();
        for chunk in open.chunks(CHUNK) {
            let look = |id: &u64| {
                let job = id.to_string();
                let task = target.jobs.borrow_mut().find(&job)?.0.task;
                Some(Ended {
                    job,
                    task,
                    at: None,
                    how: How::Unknown,
                })
            };
            let looks = chunk.iter().filter_map(look).collect();
            self.detail(listener, target, looks).await?;
        }
        Ok(())
    }

    /// Writes down what the hashes of jobs say.
    async fn detail(
        &self,
        listener: &mut Listener<'_>,
        target: &Target,
        ended: Vec<Ended>,
    ) -> Result<()> {
        for chunk in ended.chunks(CHUNK) {
            let mut question = redis::pipe();
            for one in chunk {
                let key = target.keys.of(&one.job);
                question.cmd("HMGET").arg(&key);
                question.arg(&["processedOn", "finishedOn", "pb", "ats", "failedReason"]);
                if one.how == How::Completed {
                    continue;
                }
                // Whatever it returned may be long. The stack is only read where there is an error.
                question.cmd("HEXISTS").arg(&key).arg("returnvalue");
                question.cmd("HGET").arg(&key).arg("stacktrace");
            }
            let answers: Vec<Value> = listener.redis.ask_all(&question).await?;
            let mut answers = answers.iter();
            for one in chunk {
                let hash = answers.next().map(Hash::of).unwrap_or_default();
                let mut how = one.how.clone();
                let mut stack = None;
                if how != How::Completed {
                    let has_returned = answers.next().and_then(number) == Some(1);
                    stack = answers.next().and_then(text);
                    if how == How::Unknown && hash.finished.is_some() {
                        how = match &hash.reason {
                            Some(reason) if !has_returned => How::Failed(reason.clone()),
                            _ => How::Completed,
                        };
                    }
                }
                self.write_down(listener, target, one, &hash, &how, stack.as_deref());
            }
        }
        Ok(())
    }

    fn write_down(
        &self,
        listener: &mut Listener<'_>,
        target: &Target,
        one: &Ended,
        hash: &Hash,
        how: &How,
        stack: Option<&str>,
    ) {
        let book = listener.book;
        let mut jobs = target.jobs.borrow_mut();
        let Some((own, true)) = jobs.find(&one.job) else {
            return;
        };
        let begun = hash.processed.or(Some(own.active).filter(|at| *at > 0));
        // Attempts whose events were missed.
        for _ in own.starts.max(1)..hash.starts {
            book.retried(one.task);
        }
        own.starts = own.starts.max(hash.starts);
        if *how == How::Unknown {
            return;
        }
        own.ended = true;
        listener.heard = Instant::now();
        let ended = hash.finished.or(one.at);
        let replica = hash.worker.as_ref().map(|worker| {
            let places = &mut listener.replicas;
            *places
                .entry(worker.clone())
                .or_insert_with(|| match self.site.names.find(worker) {
                    Some((service, name)) => book.replica(Some(service), name),
                    None => book.replica(None, worker),
                })
        });
        let word = Word {
            started: begun.map(seconds),
            execution: begun
                .zip(ended)
                .map(|(begun, ended)| seconds(ended.saturating_sub(begun))),
            replica,
        };
        book.word(one.task, word);
        let outcome = match how {
            How::Failed(reason) => Outcome::Failed(failure::class(reason, stack)),
            How::Completed | How::Unknown => Outcome::Done,
        };
        book.finished(one.task, &outcome);
    }
}

impl Target {
    /// Whether fewer jobs are in the queue than are waited for.
    async fn misses_results(&self, redis: &Redis<'_>) -> Result<bool> {
        let open = self.jobs.borrow().open().len();
        if open == 0 {
            return Ok(false);
        }
        let mut question = redis::pipe();
        for list in ["wait", "paused", "active"] {
            question.cmd("LLEN").arg(self.keys.of(list));
        }
        for set in ["prioritized", "delayed", "waiting-children"] {
            question.cmd("ZCARD").arg(self.keys.of(set));
        }
        let counts: Vec<u64> = redis.ask_all(&question).await?;
        Ok(counts.iter().sum::<u64>() < open as u64)
    }
}

/// What a job's hash says of its last attempt; times in milliseconds since 1970, by the worker's clock.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hash {
    processed: Option<u64>,
    finished: Option<u64>,
    worker: Option<String>,
    starts: u32,
    reason: Option<String>,
}

impl Hash {
    /// Reads the answer to `HMGET` of processedOn, finishedOn, pb, ats and failedReason.
    fn of(answer: &Value) -> Self {
        let [processed, finished, worker, starts, reason] = items(answer) else {
            return Self::default();
        };
        Self {
            processed: number(processed),
            finished: number(finished),
            worker: text(worker).filter(|name| !name.is_empty()),
            starts: number(starts)
                .and_then(|starts| u32::try_from(starts).ok())
                // Nobody tries more often; a number like this is no count.
                .filter(|starts| *starts < 10_000)
                .unwrap_or(0),
            reason: text(reason),
        }
    }
}

/// The id of the first entry of `XRANGE`.
fn first_id(answer: &Value) -> Option<StreamId> {
    StreamId::of(items(items(answer).first()?).first()?)
}

#[allow(clippy::cast_precision_loss)] // Milliseconds since 1970 are far below 2^52.
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis::Value;

    use super::{Hash, first_id};
    use crate::load::drivers::redis_wire::tests::anything;

    #[test]
    fn reads_the_hash_of_a_job_that_ran() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let answer = Value::Array(vec![
            bulk("1795249199379"),
            bulk("1795249199384"),
            bulk("5a2e43cf8454"),
            bulk("2"),
            bulk("failure 2 of 9"),
        ]);
        let expected = Hash {
            processed: Some(1_795_249_199_379),
            finished: Some(1_795_249_199_384),
            worker: Some("5a2e43cf8454".into()),
            starts: 2,
            reason: Some("failure 2 of 9".into()),
        };
        assert_eq!(Hash::of(&answer), expected);
        assert_eq!(
            Hash::of(&Value::Array(vec![Value::Nil; 5])),
            Hash::default()
        );
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in anything(), fields in proptest::collection::vec(anything(), 5)) {
            let _ = (Hash::of(&answer), first_id(&answer), Hash::of(&Value::Array(fields)));
        }
    }
}
