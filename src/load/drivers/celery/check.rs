//! What stands against a run: judged from what broker and workers say. Pure.

use std::collections::BTreeSet;

use super::control::{self, Replies};
use super::waiting::Waiting;
use crate::error::{Error, Kind};
use crate::suggest;

/// So many names are listed at most.
const LISTED: usize = 8;

/// There is no such queue, or nobody listens on it.
pub fn nobody_listens(
    queue: &str,
    exists: bool,
    service: Option<&str>,
    active_queues: &Replies,
) -> Error {
    let message = if exists {
        format!("no worker listens on `{queue}`")
    } else {
        format!("there is no queue `{queue}`")
    };
    let error = Error::new(Kind::Refused, message);
    let known: BTreeSet<&str> = active_queues.values().flat_map(control::queues).collect();
    // A queue that is there is not misspelt.
    let near = suggest::nearest(queue, known.iter().copied()).filter(|_| !exists);
    let error = match near {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => error,
        None => error.hint(format!("workers listen on {}", listed(known.into_iter()))),
    };
    match service {
        Some(service) => error.hint(format!("start workers: rscale {service}=1")),
        None if active_queues.is_empty() => {
            error.hint("no worker answers at all; see what runs: rscale status")
        }
        None => error,
    }
}

/// A worker that listens on the queue does not know the task.
pub fn unknown_task<'a>(task: &str, queue: &str, registered: &'a Replies) -> Option<Error> {
    let ignorant = |(_, reply): &(&'a String, &'a serde_json::Value)| {
        !control::tasks(reply).any(|known| known == task)
    };
    let (worker, reply) = registered.iter().find(ignorant)?;
    let error = Error::new(
        Kind::Refused,
        format!("`{worker}`, which listens on `{queue}`, does not know the task `{task}`"),
    );
    let known: BTreeSet<&str> = control::tasks(reply).collect();
    Some(match suggest::nearest(task, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => error.hint("it knows no task at all"),
        None => error.hint(format!("it knows {}", listed(known.into_iter()))),
    })
}

/// What is in a queue before anything is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    pub waiting: u64,
    pub running: u64,
}

impl Backlog {
    /// From the broker's word and the workers' replies to `active` and `reserved`.
    pub fn of(queue: &str, waiting: Waiting, active: &Replies, reserved: &Replies) -> Self {
        let sum = |replies: &Replies, count: fn(&serde_json::Value, &str) -> u64| {
            replies
                .values()
                .map(|reply| count(reply, queue))
                .sum::<u64>()
        };
        let running = sum(active, control::tasks_of);
        let handed_out = match waiting.unacknowledged {
            // A task that is acknowledged late is counted by both.
            Some(count) => {
                let both = running - sum(active, control::acknowledged_of);
                count.saturating_sub(both)
            }
            None => sum(reserved, control::tasks_of),
        };
        Self {
            waiting: waiting.ready + handed_out,
            running,
        }
    }

    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// `3 messages wait in queue_a and 1 task runs`
    pub fn text(self, queue: &str) -> String {
        let waiting = match self.waiting {
            0 => None,
            1 => Some(format!("1 message waits in `{queue}`")),
            count => Some(format!("{count} messages wait in `{queue}`")),
        };
        let running = match self.running {
            0 => None,
            1 => Some("1 task of it runs".to_owned()),
            count => Some(format!("{count} tasks of it run")),
        };
        match (waiting, running) {
            (Some(waiting), Some(running)) => format!("{waiting}, and {running}"),
            (Some(waiting), None) => waiting,
            (None, Some(running)) => format!("`{queue}` is empty, but {running}"),
            (None, None) => format!("`{queue}` is empty"),
        }
    }

    pub fn refusal(self, queue: &str) -> Error {
        Error::new(
            Kind::Refused,
            format!(
                "{}: the figures would not be those of this run",
                self.text(queue)
            ),
        )
        .hint("wait until they are done, or go on anyway: --force")
    }
}

/// `queue_a: 3 workers listen, 3 processes`
pub fn listening_note(queue: &str, workers: &[String], stats: &Replies) -> String {
    let count = workers.len();
    let listen = if count == 1 {
        "worker listens"
    } else {
        "workers listen"
    };
    let of_queue = workers.iter().map(|worker| stats.get(worker));
    let processes: Option<u64> = of_queue.map(|reply| control::concurrency(reply?)).sum();
    match processes {
        Some(1) => format!("{queue}: {count} {listen}, 1 process"),
        Some(processes) => format!("{queue}: {count} {listen}, {processes} processes"),
        None => format!("{queue}: {count} {listen}"),
    }
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let shown: Vec<String> = names.take(LISTED).map(|name| format!("`{name}`")).collect();
    let shown = shown.join(", ");
    if more > 0 {
        format!("{shown} and {more} more")
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::control::Replies;
    use super::super::waiting::Waiting;
    use super::{Backlog, listening_note, nobody_listens, unknown_task};

    fn replies(of: &[(&str, serde_json::Value)]) -> Replies {
        of.iter()
            .map(|(worker, reply)| ((*worker).to_owned(), reply.clone()))
            .collect()
    }

    #[test]
    fn a_queue_that_nobody_serves_is_refused_with_what_there_is() {
        let queues = replies(&[("w", json!([{"name": "queue_a"}, {"name": "mail"}]))]);
        let error = nobody_listens("queue_aa", false, None, &queues);
        assert_eq!(error.message, "there is no queue `queue_aa`");
        assert_eq!(error.hints, ["did you mean `queue_a`?"]);
        let error = nobody_listens("orders", true, Some("shop"), &queues);
        assert_eq!(error.message, "no worker listens on `orders`");
        assert_eq!(
            error.hints,
            [
                "workers listen on `mail`, `queue_a`",
                "start workers: rscale shop=1"
            ]
        );
        let error = nobody_listens("queue_b", true, Some("shop"), &queues);
        assert!(error.hints[0].starts_with("workers listen on"), "{error:?}");
        let error = nobody_listens("orders", true, None, &Replies::new());
        assert_eq!(
            error.hints,
            ["no worker answers at all; see what runs: rscale status"]
        );
    }

    #[test]
    fn a_task_has_to_be_known_to_every_worker() {
        let names = json!(["tasks.task_a", "tasks.nap [rate_limit=1/s]"]);
        let known = replies(&[("w1", names.clone()), ("w2", names)]);
        assert!(unknown_task("tasks.nap", "q", &known).is_none());
        let error = unknown_task("tasks.task_b", "q", &known).unwrap();
        assert_eq!(
            error.message,
            "`w1`, which listens on `q`, does not know the task `tasks.task_b`"
        );
        assert_eq!(error.hints, ["did you mean `tasks.task_a`?"]);
        let mut many = known.clone();
        let others: Vec<String> = (0..12)
            .map(|number| format!("shop.other{number:02}"))
            .collect();
        many.insert("w0".into(), json!(others));
        let error = unknown_task("tasks.task_a", "q", &many).unwrap();
        assert!(
            error.hints[0].ends_with("`shop.other07` and 4 more"),
            "{error:?}"
        );
    }

    #[test]
    fn a_backlog_counts_every_message_once() {
        let active = replies(&[(
            "w",
            json!([
                {"acknowledged": true, "delivery_info": {"routing_key": "q"}},
                {"acknowledged": false, "delivery_info": {"routing_key": "q"}},
            ]),
        )]);
        let reserved = replies(&[("w", json!([{"delivery_info": {"routing_key": "q"}}]))]);
        let waiting = |unacknowledged| Waiting {
            ready: 3,
            unacknowledged,
            consumers: None,
        };
        let over_redis = Backlog::of("q", waiting(Some(2)), &active, &reserved);
        let over_amqp = Backlog::of("q", waiting(None), &active, &reserved);
        let expected = Backlog {
            waiting: 4,
            running: 2,
        };
        assert_eq!((over_redis, over_amqp), (expected, expected));
        assert_eq!(
            expected.text("q"),
            "4 messages wait in `q`, and 2 tasks of it run"
        );
        let running = Backlog {
            waiting: 0,
            running: 1,
        };
        assert_eq!(running.text("q"), "`q` is empty, but 1 task of it runs");
        assert!(Backlog::default().is_empty());
        assert_eq!(running.refusal("q").exit().code(), 3);
    }

    #[test]
    fn says_how_many_work_on_a_queue() {
        let stats = replies(&[
            ("a", json!({"pool": {"max-concurrency": 2}})),
            ("b", json!({"pool": {"max-concurrency": 1}})),
        ]);
        let workers =
            |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).into()).collect() };
        for (names, expected) in [
            (vec!["a", "b"], "q: 2 workers listen, 3 processes"),
            (vec!["b"], "q: 1 worker listens, 1 process"),
            (vec!["a", "c"], "q: 2 workers listen"),
        ] {
            assert_eq!(listening_note("q", &workers(&names), &stats), expected);
        }
    }
}
