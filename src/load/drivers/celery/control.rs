//! Remote control of workers (kombu's pidbox): the requests, and what the replies say. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::envelope;

/// The exchange, or over Redis the channel, that all workers listen on.
pub const EXCHANGE: &str = "celery.pidbox";

/// The queue over RabbitMQ on which a worker hears what it is asked; it is there for as long as the worker is.
pub fn queue_of(worker: &str) -> String {
    format!("{worker}.{EXCHANGE}")
}

/// What workers can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    ActiveQueues,
    Active,
    Reserved,
    Registered,
    Stats,
    EnableEvents,
    DisableEvents,
}

impl Command {
    fn as_str(self) -> &'static str {
        match self {
            Self::ActiveQueues => "active_queues",
            Self::Active => "active",
            Self::Reserved => "reserved",
            Self::Registered => "registered",
            Self::Stats => "stats",
            Self::EnableEvents => "enable_events",
            Self::DisableEvents => "disable_events",
        }
    }
}

/// What each worker replied, by the worker's name.
pub type Replies = BTreeMap<String, Value>;

/// A request to these workers, or to all. The replies go through the default exchange straight into the queue
/// `reply_to`, so that no exchange or binding has to be made for them.
pub fn request(
    command: Command,
    workers: Option<&[String]>,
    ticket: &str,
    reply_to: &str,
) -> String {
    let request = json!({
        "method": command.as_str(),
        "arguments": {},
        "destination": workers,
        "pattern": null,
        "matcher": null,
        "ticket": ticket,
        "reply_to": {"exchange": "", "routing_key": reply_to},
    });
    request.to_string()
}

/// Files a reply as it comes over Redis, if it belongs to this request.
pub fn file_wrapped(replies: &mut Replies, ticket: &str, message: &[u8]) {
    if let Some(message) = envelope::unwrap(message) {
        file(replies, ticket, message.ticket.as_deref(), &message.body);
    }
}

/// Files a reply's body, if its ticket (that of its headers, where there is one) is the request's.
pub fn file(replies: &mut Replies, ticket: &str, of_reply: Option<&str>, body: &[u8]) {
    if of_reply.is_some_and(|of_reply| of_reply != ticket) {
        return;
    }
    if let Ok(Value::Object(workers)) = serde_json::from_slice(body) {
        replies.extend(workers);
    }
}

/// The queues that a worker listens on, of its reply to `active_queues`.
pub fn queues(reply: &Value) -> impl Iterator<Item = &str> {
    let queues = reply.as_array().into_iter().flatten();
    queues.filter_map(|queue| queue["name"].as_str())
}

/// The workers that listen on a queue.
pub fn listeners(replies: &Replies, queue: &str) -> Vec<String> {
    let listens = |(_, reply): &(&String, &Value)| queues(reply).any(|name| name == queue);
    let listening = replies.iter().filter(listens);
    listening.map(|(worker, _)| worker.clone()).collect()
}

/// The tasks that a worker knows, of its reply to `registered`: `tasks.add [rate_limit=10/m]`.
pub fn tasks(reply: &Value) -> impl Iterator<Item = &str> {
    let tasks = reply.as_array().into_iter().flatten();
    tasks
        .filter_map(Value::as_str)
        .map(|task| task.split_once(" [").map_or(task, |(name, _)| name))
}

/// How many tasks out of a queue a worker names in its reply to `active` or `reserved`.
pub fn tasks_of(reply: &Value, queue: &str) -> u64 {
    let tasks = reply.as_array().into_iter().flatten();
    let of_queue = tasks.filter(|task| task["delivery_info"]["routing_key"] == queue);
    of_queue.count() as u64
}

/// Of these, how many the broker has been told of already, so that it does not count them any more.
pub fn acknowledged_of(reply: &Value, queue: &str) -> u64 {
    let tasks = reply.as_array().into_iter().flatten();
    let of_queue = tasks.filter(|task| task["delivery_info"]["routing_key"] == queue);
    of_queue.filter(|task| task["acknowledged"] == true).count() as u64
}

/// How many tasks a worker runs at a time, of its reply to `stats`.
pub fn concurrency(reply: &Value) -> Option<u64> {
    reply["pool"]["max-concurrency"].as_u64()
}

/// What a worker says to `enable_events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Events {
    /// They were off before.
    SwitchedOn,
    /// They were on before.
    WereOn,
    /// It sends none, not even now.
    Unavailable,
}

/// Reads the reply to `enable_events`: `{"ok": "task events already enabled"}`.
pub fn events(reply: &Value) -> Events {
    match reply["ok"].as_str() {
        Some(said) if said.contains("already") => Events::WereOn,
        Some(_) => Events::SwitchedOn,
        None => Events::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{
        Command, Events, Replies, acknowledged_of, concurrency, events, file, file_wrapped,
        listeners, queues, request, tasks, tasks_of,
    };

    #[test]
    fn a_request_names_the_command_the_workers_and_where_to_reply() {
        let workers = ["celery@a".to_owned()];
        let text = request(Command::EnableEvents, Some(&workers), "t-1", "here");
        let request: Value = serde_json::from_str(&text).unwrap();
        let expected = json!({"method": "enable_events", "arguments": {}, "destination": ["celery@a"],
            "pattern": null, "matcher": null, "ticket": "t-1",
            "reply_to": {"exchange": "", "routing_key": "here"}});
        assert_eq!(request, expected);
    }

    #[test]
    fn replies_are_filed_by_worker_and_strange_tickets_left_out() {
        let mut replies = Replies::new();
        file(
            &mut replies,
            "t",
            Some("t"),
            br#"{"celery@a":[{"name":"queue_a"},{"name":"mail"}]}"#,
        );
        file(
            &mut replies,
            "t",
            None,
            br#"{"celery@b":[{"name":"mail"}]}"#,
        );
        file(
            &mut replies,
            "t",
            Some("u"),
            br#"{"celery@c":[{"name":"mail"}]}"#,
        );
        file(&mut replies, "t", None, b"[1]");
        let wrapped = r#"{"body":"eyJjZWxlcnlAZCI6W119","headers":{"ticket":"t"},"properties":{"body_encoding":"base64"}}"#;
        file_wrapped(&mut replies, "t", wrapped.as_bytes());
        assert_eq!(
            replies.keys().collect::<Vec<_>>(),
            ["celery@a", "celery@b", "celery@d"]
        );
        assert_eq!(listeners(&replies, "mail"), ["celery@a", "celery@b"]);
        assert_eq!(
            queues(&replies["celery@a"]).collect::<Vec<_>>(),
            ["queue_a", "mail"]
        );
    }

    #[test]
    fn reads_what_workers_say_of_tasks_and_events() {
        let known = json!(["tasks.add [rate_limit=10/m]", "tasks.mul", 7]);
        assert_eq!(
            tasks(&known).collect::<Vec<_>>(),
            ["tasks.add", "tasks.mul"]
        );
        let active = json!([
            {"id": "1", "acknowledged": true, "delivery_info": {"exchange": "", "routing_key": "queue_a"}},
            {"id": "2", "acknowledged": false, "delivery_info": {"routing_key": "queue_a"}},
            {"id": "3", "acknowledged": true, "delivery_info": {"routing_key": "queue_b"}},
            "strange",
        ]);
        assert_eq!(
            (
                tasks_of(&active, "queue_a"),
                acknowledged_of(&active, "queue_a")
            ),
            (2, 1)
        );
        for (reply, expected) in [
            (json!({"ok": "task events enabled"}), Events::SwitchedOn),
            (json!({"ok": "task events already enabled"}), Events::WereOn),
            (
                json!({"error": "event dispatcher unavailable"}),
                Events::Unavailable,
            ),
            (json!(null), Events::Unavailable),
        ] {
            assert_eq!(events(&reply), expected, "{reply}");
        }
        assert_eq!(
            concurrency(&json!({"pool": {"max-concurrency": 4}})),
            Some(4)
        );
        assert_eq!(concurrency(&json!({"pool": []})), None);
    }

    proptest! {
        #[test]
        fn any_reply_is_read_without_a_panic(bytes in any::<Vec<u8>>(), json in r#"(\{"a":[\[{"a-z:0-9,\]} ]{0,30}\}|\[[\[{"a-z:0-9,\]} ]{0,30}\])"#) {
            let mut replies = Replies::new();
            for body in [bytes.as_slice(), json.as_bytes()] {
                file(&mut replies, "t", None, body);
                file_wrapped(&mut replies, "t", body);
                if let Ok(value) = serde_json::from_slice::<Value>(body) {
                    let _ = (queues(&value).count(), tasks(&value).count(), tasks_of(&value, "q"));
                    let _ = (acknowledged_of(&value, "q"), concurrency(&value), events(&value));
                }
            }
        }
    }

    #[test]
    fn fuzzing_what_workers_answer() {
        let body = r#"{"wa@vm":[{"name":"celery","routing_key":"celery","delivery_info":{"routing_key":"celery"},"acknowledged":true},"tasks.add [rate_limit=10/m]"],"wb@vm":{"ok":"task events already enabled","pool":{"max-concurrency":4}}}"#;
        let wrapped = r#"{"body":"eyJ3YUB2bSI6e319","headers":{"ticket":"t"},"properties":{"body_encoding":"base64"}}"#;
        crate::fuzzing::survives(&[body, wrapped], |text| {
            let mut replies = Replies::new();
            file(&mut replies, "t", None, text.as_bytes());
            file_wrapped(&mut replies, "t", text.as_bytes());
            for reply in replies.values() {
                let of_queue = tasks_of(reply, "celery");
                assert!(acknowledged_of(reply, "celery") <= of_queue);
                let _ = (
                    queues(reply).count(),
                    tasks(reply).count(),
                    concurrency(reply),
                    events(reply),
                );
            }
            assert!(listeners(&replies, "celery").len() <= replies.len());
        });
    }
}
