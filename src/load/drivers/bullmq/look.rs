//! What waits in a queue and who works on it.

use std::collections::BTreeMap;

use redis::Value;

use super::queue::Keys;
use crate::error::Result;
use crate::load::depth::Depth;
use crate::load::drivers::redis_client::{Redis, refuse};
use crate::load::drivers::redis_wire::{items, text};
use crate::load::site::Site;
use crate::project::workload::Queue;

/// Waiting and prioritized, active, delayed and failed jobs of a queue, and its workers.
///
/// # Errors
/// Redis cannot be used, or there is no such queue.
pub async fn depth(queue: &Queue, site: &Site) -> Result<Depth> {
    let redis = Redis::open(&queue.broker, site).await?;
    let keys = Keys::new(queue.prefix.as_deref(), &queue.name);
    let mut question = redis::pipe();
    for list in ["wait", "paused", "active"] {
        question.cmd("LLEN").arg(keys.of(list));
    }
    for set in ["prioritized", "delayed", "failed"] {
        question.cmd("ZCARD").arg(keys.of(set));
    }
    question
        .cmd("EXISTS")
        .arg(keys.of("meta"))
        .arg(keys.of("id"));
    let [
        wait,
        paused,
        active,
        prioritized,
        delayed,
        failed,
        keys_there,
    ]: [u64; 7] = redis.ask_all(&question).await?;
    if keys_there == 0 && wait + active + prioritized + delayed + failed == 0 {
        return Err(refuse(format!(
            "there is no BullMQ queue `{}` in Redis at `{}`",
            queue.name, queue.broker
        )));
    }
    let clients = redis.clients().await?;
    let workers = clients.map(|clients| keys.workers(&clients).len() as u64);
    Ok(Depth {
        ready: Some(wait + paused + prioritized),
        unacknowledged: None,
        running: Some(active),
        consumers: workers,
        delayed: Some(delayed),
        failed: Some(failed),
    })
}

/// How many jobs each worker is at, idle ones included. `None` where a job does not say whose it is,
/// because its worker has no name (`new Worker(..., {name})`).
///
/// A job whose lock has run out is nobody's: its worker is gone.
///
/// # Errors
/// Redis cannot be used.
pub async fn running(queue: &Queue, site: &Site) -> Result<Option<BTreeMap<String, u32>>> {
    let redis = Redis::open(&queue.broker, site).await?;
    let keys = Keys::new(queue.prefix.as_deref(), &queue.name);
    let active: Vec<String> = redis
        .ask(redis::cmd("LRANGE").arg(keys.of("active")).arg(0).arg(-1))
        .await?;
    let mut question = redis::pipe();
    for id in &active {
        let job = keys.of(id);
        question.cmd("EXISTS").arg(format!("{job}:lock"));
        question.cmd("HGET").arg(&job).arg("pb");
    }
    let answers: Value = redis.ask_all(&question).await?;
    let clients = redis.clients().await?.unwrap_or_default();
    let named = keys.workers(&clients).into_iter().flatten();
    let idle = named.map(|name| (name.to_owned(), 0)).collect();
    Ok(at_work(idle, &answers))
}

/// Adds up who is at how many jobs, by `EXISTS` of each job's lock and its `pb`.
fn at_work(mut workers: BTreeMap<String, u32>, answers: &Value) -> Option<BTreeMap<String, u32>> {
    for job in items(answers).chunks_exact(2) {
        if job[0] != Value::Int(1) {
            continue;
        }
        let name = text(&job[1]).filter(|name| !name.is_empty())?;
        *workers.entry(name).or_default() += 1;
    }
    Some(workers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use redis::Value;

    use super::at_work;
    use crate::load::drivers::redis_wire::tests::anything;

    #[test]
    fn workers_are_counted_by_the_locks_of_their_jobs() {
        let job = |lock, worker: Option<&str>| {
            let worker = worker.map_or(Value::Nil, |name| Value::BulkString(name.into()));
            [Value::Int(lock), worker]
        };
        let idle: BTreeMap<String, u32> = [("a".into(), 0), ("b".into(), 0)].into();
        // The last one's lock ran out.
        let jobs = [
            job(1, Some("a")),
            job(1, Some("c")),
            job(1, Some("a")),
            job(0, None),
        ];
        let answers = Value::Array(jobs.concat());
        let expected: BTreeMap<String, u32> =
            [("a".into(), 2), ("b".into(), 0), ("c".into(), 1)].into();
        assert_eq!(at_work(idle.clone(), &answers), Some(expected));
        let nameless = Value::Array([job(1, Some("a")), job(1, None)].concat());
        assert_eq!(at_work(idle.clone(), &nameless), None);
        assert_eq!(at_work(idle.clone(), &Value::Array(vec![])), Some(idle));
    }

    proptest! {
        #[test]
        fn no_answer_panics(answers in anything()) {
            at_work(BTreeMap::new(), &answers);
        }
    }
}
