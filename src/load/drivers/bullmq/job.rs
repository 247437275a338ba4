//! A job as BullMQ's own script `addStandardJob` writes it (6.7; the same since 5), with plain commands. Pure.
//!
//! A hash with six fields, its id at the left end of `wait`, a marker that wakes an idle worker unless the
//! queue is paused or has reached its global concurrency, and two events.

use redis::Pipeline;

use super::queue::Keys;

/// What all jobs of a task type have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub name: String,
    /// As JSON.
    pub data: String,
    /// As JSON: `{"attempts":3}`.
    pub options: String,
}

impl Template {
    pub fn new(name: &str, data: &serde_json::Value, attempts: u32) -> Self {
        Self {
            name: name.to_owned(),
            data: data.to_string(),
            options: serde_json::json!({ "attempts": attempts }).to_string(),
        }
    }

    /// About how many bytes a job takes on the wire.
    pub fn size(&self) -> usize {
        self.name.len() * 2 + self.data.len() + self.options.len() + 500
    }
}

/// A queue's state that decides how jobs are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Paused, or as many jobs are active as may be.
    pub is_held: bool,
    /// About how many events are kept.
    pub most_events: u64,
}

/// Events that a queue keeps unless it says otherwise.
pub const MOST_EVENTS: u64 = 10_000;

impl State {
    /// By `meta`'s fields `paused`, `concurrency` and `opts.maxLenEvents`, and the length of `active`.
    pub fn of(meta: &[Option<String>], active: u64) -> Self {
        let number = |at: usize| meta.get(at)?.as_ref()?.parse::<u64>().ok();
        let is_paused = meta.first().is_some_and(Option::is_some);
        Self {
            is_held: is_paused || number(1).is_some_and(|most| active >= most),
            most_events: number(2).unwrap_or(MOST_EVENTS),
        }
    }
}

/// Adds jobs, all or none; `now` in milliseconds since 1970.
pub fn addition(keys: &Keys, jobs: &[(u64, &Template)], state: State, now: u64) -> Pipeline {
    let mut all = redis::pipe();
    all.atomic();
    let (events, now) = (keys.of("events"), now.to_string());
    for (id, job) in jobs {
        all.cmd("HSET")
            .arg(keys.job(*id))
            .arg("name")
            .arg(&job.name)
            .arg("data")
            .arg(&job.data)
            .arg("opts")
            .arg(&job.options)
            .arg("timestamp")
            .arg(&now)
            .arg("delay")
            .arg("0")
            .arg("priority")
            .arg("0");
        all.cmd("XADD").arg(&events).arg("*");
        all.arg("event")
            .arg("added")
            .arg("jobId")
            .arg(id.to_string());
        all.arg("name").arg(&job.name);
    }
    all.cmd("LPUSH").arg(keys.of("wait"));
    for (id, _) in jobs {
        all.arg(id.to_string());
    }
    if !state.is_held {
        all.cmd("ZADD").arg(keys.of("marker")).arg("0").arg("0");
    }
    for (id, _) in jobs {
        all.cmd("XADD").arg(&events).arg("MAXLEN").arg("~");
        all.arg(state.most_events)
            .arg("*")
            .arg("event")
            .arg("waiting");
        all.arg("jobId").arg(id.to_string());
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{State, Template, addition};
    use crate::load::drivers::bullmq::queue::Keys;

    /// What `queue.add('nap', {seconds: 0.1, fail: 9}, {attempts: 2})` of bullmq 6.7 on Node 20 does, by
    /// `MONITOR`, reads and the counter left out.
    const CAPTURED: &str = r#"
"HMSET" "bull:jobs:3" "name" "nap" "data" "{\"seconds\":0.1,\"fail\":9}" "opts" "{\"attempts\":2}" "timestamp" "1795249199369" "delay" "0" "priority" "0"
"XADD" "bull:jobs:events" "*" "event" "added" "jobId" "3" "name" "nap"
"LPUSH" "bull:jobs:wait" "3"
"ZADD" "bull:jobs:marker" "0" "0"
"XADD" "bull:jobs:events" "MAXLEN" "~" "10000" "*" "event" "waiting" "jobId" "3"
"#;

    /// The commands of a pipeline, a line for each, without those of the transaction.
    fn commands(pipeline: &redis::Pipeline) -> Vec<Vec<String>> {
        let argument = |argument: redis::Arg<&[u8]>| match argument {
            redis::Arg::Simple(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => panic!("a cursor"),
        };
        pipeline
            .cmd_iter()
            .map(|command| command.args_iter().map(argument).collect())
            .collect()
    }

    fn template() -> Template {
        // Its fields in the order in which they were given.
        let data = json!({"seconds": 0.1, "fail": 9});
        Template {
            data: r#"{"seconds":0.1,"fail":9}"#.into(),
            ..Template::new("nap", &data, 2)
        }
    }

    #[test]
    fn a_job_is_written_as_bullmq_itself_writes_it() {
        let state = State::of(&[None, None, Some("10000".into())], 0);
        let keys = Keys::new(None, "jobs");
        let pipeline = addition(&keys, &[(3, &template())], state, 1_795_249_199_369);
        assert!(pipeline.is_transaction());
        let captured: Vec<Vec<String>> = CAPTURED
            .trim()
            .lines()
            .map(|line| {
                let words = line.trim_matches('"').split("\" \"");
                words
                    .map(|word| word.replace("\\\"", "\"").replace("HMSET", "HSET"))
                    .collect()
            })
            .collect();
        assert_eq!(commands(&pipeline), captured);
    }

    #[test]
    fn many_jobs_are_one_push_and_one_marker() {
        let state = State::of(&[], 0);
        let template = template();
        let jobs: Vec<(u64, &Template)> = (5..9).map(|id| (id, &template)).collect();
        let all = commands(&addition(&Keys::new(Some("q"), "x"), &jobs, state, 1));
        let of = |name: &str| all.iter().filter(|command| command[0] == name).count();
        assert_eq!(
            (of("HSET"), of("LPUSH"), of("ZADD"), of("XADD")),
            (4, 1, 1, 8)
        );
        let push = all.iter().find(|command| command[0] == "LPUSH").unwrap();
        assert_eq!(push[1..], ["q:x:wait", "5", "6", "7", "8"]);
    }

    #[test]
    fn a_queue_that_is_held_gets_no_marker() {
        let some = |text: &str| Some(text.to_owned());
        for (meta, active, is_held) in [
            (vec![None, None, None], 9, false),
            (vec![some("1"), None, None], 0, true),
            (vec![None, some("3"), None], 2, false),
            (vec![None, some("3"), None], 3, true),
            (vec![None, some("many"), None], 3, false),
        ] {
            let state = State::of(&meta, active);
            assert_eq!(state.is_held, is_held, "{meta:?} {active}");
            let all = commands(&addition(
                &Keys::new(None, "x"),
                &[(1, &template())],
                state,
                1,
            ));
            assert_eq!(all.iter().any(|command| command[0] == "ZADD"), !is_held);
        }
    }
}
