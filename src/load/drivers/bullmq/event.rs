//! The events that BullMQ's scripts write into a queue's stream `events`. Pure.

use redis::Value;

use crate::load::drivers::redis_wire::{StreamId, items, pairs, text};

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A worker began with it; with every attempt anew.
    Active,
    Completed,
    /// For good: an attempt that is followed by another one is no such event.
    Failed {
        reason: String,
    },
    /// Somebody took it away.
    Removed,
}

/// An event of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its milliseconds are the time by the clock of Redis.
    pub id: StreamId,
    pub job: String,
    pub what: Happening,
}

/// What `XREAD` gave of one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub key: String,
    /// Entries, events of no interest included.
    pub count: usize,
    /// The last entry's id.
    pub last: Option<StreamId>,
    pub events: Vec<Event>,
}

/// Reads the answer to `XREAD`; nothing when it waited in vain.
pub fn read(answer: &Value) -> Vec<Read> {
    let stream = |value: &Value| match items(value) {
        [key, entries] => Some(Read {
            key: text(key)?,
            count: items(entries).len(),
            last: items(entries)
                .iter()
                .rev()
                .find_map(|entry| StreamId::of(items(entry).first()?)),
            events: items(entries).iter().filter_map(event).collect(),
        }),
        _ => None,
    };
    items(answer).iter().filter_map(stream).collect()
}

fn event(entry: &Value) -> Option<Event> {
    let [id, fields] = items(entry) else {
        return None;
    };
    let (mut name, mut job, mut reason) = (None, None, None);
    for (key, value) in pairs(fields) {
        match &*key {
            "event" => name = text(value),
            "jobId" => job = text(value),
            "failedReason" => reason = text(value),
            _ => {}
        }
    }
    let what = match &*name? {
        "active" => Happening::Active,
        "completed" => Happening::Completed,
        "failed" => Happening::Failed {
            reason: reason.unwrap_or_default(),
        },
        "removed" => Happening::Removed,
        _ => return None,
    };
    Some(Event {
        id: StreamId::of(id)?,
        job: job?,
        what,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis::Value;

    use super::{Event, Happening, read};
    use crate::load::drivers::redis_wire::StreamId;
    use crate::load::drivers::redis_wire::tests::anything;

    /// Events of one job that failed once and completed, and of one that failed for good, as `XREAD` gave
    /// them from bullmq 6.7 on Node 20; a line for each entry.
    const CAPTURED: &str = "\
1795249199358-0 event added jobId 2 name nap
1795249199358-1 event waiting jobId 2
1795249199364-0 event active jobId 2 prev waiting
1795249199369-0 event added jobId 3 name nap
1795249199369-1 event waiting jobId 3
1795249199372-0 event active jobId 3 prev waiting
1795249199379-0 event waiting jobId 3 prev active
1795249199380-0 event active jobId 3 prev waiting
1795249199388-0 event failed jobId 3 failedReason failure_2_of_9 prev active
1795249199388-1 event retries-exhausted jobId 3 attemptsMade 2
1795249199470-0 event completed jobId 2 returnvalue null prev active
1795249199470-1 event drained";

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.replace('_', " ").into_bytes())
    }

    fn answer() -> Value {
        let entry = |line: &str| {
            let (id, fields) = line.split_once(' ').unwrap();
            let fields = fields.split(' ').map(bulk).collect();
            Value::Array(vec![bulk(id), Value::Array(fields)])
        };
        let entries = CAPTURED.lines().map(entry).collect();
        let stream = vec![bulk("bull:jobs:events"), Value::Array(entries)];
        Value::Array(vec![Value::Array(stream)])
    }

    #[test]
    fn reads_what_workers_on_node_write() {
        let streams = read(&answer());
        assert_eq!((streams.len(), streams[0].count), (1, 12));
        assert_eq!(streams[0].key, "bull:jobs:events");
        assert_eq!(streams[0].last, StreamId::parse("1795249199470-1"));
        let seen: Vec<(u64, &str, &Happening)> = streams[0]
            .events
            .iter()
            .map(|Event { id, job, what }| (id.millis - 1_795_249_199_000, &**job, what))
            .collect();
        let failed = Happening::Failed {
            reason: "failure 2 of 9".into(),
        };
        assert_eq!(
            seen,
            [
                (364, "2", &Happening::Active),
                (372, "3", &Happening::Active),
                (380, "3", &Happening::Active),
                (388, "3", &failed),
                (470, "2", &Happening::Completed),
            ]
        );
        assert_eq!(read(&Value::Nil), []);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in anything()) {
            read(&answer);
            read(&Value::Array(vec![Value::Array(vec![bulk("key"), answer])]));
        }
    }
}
