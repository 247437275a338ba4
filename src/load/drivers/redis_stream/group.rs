//! What Redis says of a stream's consumer groups, consumers and pending entries. Pure.
//!
//! See <https://redis.io/docs/latest/commands/xinfo-groups/>, `xinfo-consumers` and `xpending`.

use std::collections::BTreeSet;

use redis::Value;

use crate::load::drivers::redis_wire::{StreamId, field, items, number, text};

/// A consumer group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub consumers: u64,
    /// Entries that were handed out and are not acknowledged.
    pub pending: u64,
    /// Everything up to here was handed out.
    pub last_delivered: StreamId,
    /// Entries behind `last_delivered`; `None` where Redis lost count, because entries there were deleted,
    /// and before Redis 7.
    pub lag: Option<u64>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    pub name: String,
    pub pending: u64,
    /// Milliseconds since it last asked for anything.
    pub idle: u64,
}

/// An entry that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub id: StreamId,
    pub consumer: String,
    /// Milliseconds since it was handed to this consumer.
    pub idle: u64,
    /// How often it was handed out.
    pub deliveries: u64,
}

/// Reads `XINFO GROUPS`.
pub fn groups(answer: &Value) -> Vec<Group> {
    let group = |value: &Value| {
        let count = |name| field(value, name).and_then(number);
        Some(Group {
            name: field(value, "name").and_then(text)?,
            consumers: count("consumers")?,
            pending: count("pending")?,
            last_delivered: field(value, "last-delivered-id").and_then(StreamId::of)?,
            lag: count("lag"),
        })
    };
    items(answer).iter().filter_map(group).collect()
}

/// Reads `XINFO CONSUMERS`.
pub fn consumers(answer: &Value) -> Vec<Consumer> {
    let consumer = |value: &Value| {
        let count = |name| field(value, name).and_then(number);
        Some(Consumer {
            name: field(value, "name").and_then(text)?,
            pending: count("pending")?,
            idle: count("idle")?,
        })
    };
    items(answer).iter().filter_map(consumer).collect()
}

/// Reads `XPENDING` with a range.
pub fn pending(answer: &Value) -> Vec<Pending> {
    let entry = |value: &Value| match items(value) {
        [id, consumer, idle, deliveries, ..] => Some(Pending {
            id: StreamId::of(id)?,
            consumer: text(consumer)?,
            idle: number(idle)?,
            deliveries: number(deliveries)?,
        }),
        _ => None,
    };
    items(answer).iter().filter_map(entry).collect()
}

/// The group that is meant: the one that is named, or the only one there is.
///
/// # Errors
/// What is wrong, and the names of those there are.
pub fn choose(
    groups: Vec<Group>,
    wanted: Option<&str>,
) -> Result<Group, (String, BTreeSet<String>)> {
    let names: BTreeSet<String> = groups.iter().map(|group| group.name.clone()).collect();
    if let Some(wanted) = wanted {
        let found = groups.into_iter().find(|group| group.name == wanted);
        return found.ok_or_else(|| (format!("has no consumer group `{wanted}`"), names));
    }
    let mut groups = groups.into_iter();
    match (groups.next(), groups.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(("has no consumer group, so nobody works on it".into(), names)),
        (Some(_), Some(_)) => Err(("has several consumer groups".into(), names)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis::Value;

    use super::{Consumer, Group, Pending, choose, consumers, groups, pending};
    use crate::load::drivers::redis_wire::StreamId;
    use crate::load::drivers::redis_wire::tests::anything;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn group(name: &str) -> Group {
        Group {
            name: name.into(),
            ..Group::default()
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in anything()) {
            let _ = (groups(&answer), consumers(&answer), pending(&answer));
        }
    }

    #[test]
    fn reads_what_a_real_server_says() {
        // Redis 7.0: 15 of 1000 entries were read, 4 of these acknowledged, one to come was deleted.
        let id = "1795222108321-3";
        let answer = Value::Array(vec![Value::Array(vec![
            bulk("name"),
            bulk("g1"),
            bulk("consumers"),
            Value::Int(2),
            bulk("pending"),
            Value::Int(11),
            bulk("last-delivered-id"),
            bulk(id),
            bulk("entries-read"),
            Value::Int(15),
            bulk("lag"),
            Value::Nil,
        ])]);
        let last_delivered = StreamId {
            millis: 1_795_222_108_321,
            sequence: 3,
        };
        let expected = Group {
            name: "g1".into(),
            consumers: 2,
            pending: 11,
            last_delivered,
            lag: None,
        };
        assert_eq!(groups(&answer), [expected]);

        let answer = Value::Array(vec![Value::Array(vec![
            bulk("name"),
            bulk("c1"),
            bulk("pending"),
            Value::Int(6),
            bulk("idle"),
            Value::Int(1042),
        ])]);
        let expected = Consumer {
            name: "c1".into(),
            pending: 6,
            idle: 1042,
        };
        assert_eq!(consumers(&answer), [expected]);

        let answer = Value::Array(vec![
            Value::Array(vec![bulk(id), bulk("c1"), Value::Int(7), Value::Int(1)]),
            Value::Array(vec![bulk(id)]),
        ]);
        let expected = Pending {
            id: last_delivered,
            consumer: "c1".into(),
            idle: 7,
            deliveries: 1,
        };
        assert_eq!(pending(&answer), [expected]);
    }

    #[test]
    fn the_group_is_the_named_one_or_the_only_one() {
        let two = || vec![group("a"), group("b")];
        assert_eq!(choose(two(), Some("b")).unwrap().name, "b");
        assert_eq!(choose(vec![group("a")], None).unwrap().name, "a");
        let (said, names) = choose(two(), None).unwrap_err();
        assert!(said.contains("several"), "{said}");
        assert_eq!(names.len(), 2);
        assert!(choose(two(), Some("c")).unwrap_err().0.contains("`c`"));
        assert!(choose(Vec::new(), None).unwrap_err().0.contains("nobody"));
    }
}
