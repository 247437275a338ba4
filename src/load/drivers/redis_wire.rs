//! Reading what Redis answers, for every driver that uses it. Pure; whatever comes that was not expected is
//! left out rather than believed.

use redis::Value;

/// A text, or a number as text; `None` for everything else.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Okay => Some("OK".to_owned()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number that is not negative, also when it comes as text.
pub fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        other => text(other)?.parse().ok(),
    }
}

/// The items of an array; none for everything else.
pub fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}

/// Names and values that come one after the other in an array, as a hash's fields do.
pub fn pairs(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    let pairs = items(value).chunks_exact(2);
    pairs.filter_map(|pair| Some((text(&pair[0])?, &pair[1])))
}

/// The value of a name in such an array.
pub fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let found = pairs(value).find(|(key, _)| key == name)?;
    Some(found.1)
}

/// An entry's id in a stream: milliseconds since 1970 by the clock of Redis, and a number within these.
/// See <https://redis.io/docs/latest/develop/data-types/streams/#entry-ids>.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub millis: u64,
    pub sequence: u64,
}

impl StreamId {
    /// Reads `1795249194915-1`.
    pub fn parse(text: &str) -> Option<Self> {
        let (millis, sequence) = text.split_once('-')?;
        Some(Self {
            millis: millis.parse().ok()?,
            sequence: sequence.parse().ok()?,
        })
    }

    pub fn of(value: &Value) -> Option<Self> {
        Self::parse(&text(value)?)
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

/// A connected client, by a line of `CLIENT LIST`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    pub name: String,
    pub database: i64,
    /// Whether it waits in a command that blocks.
    pub is_blocked: bool,
    /// Its last command, with its subcommand: `brpop`, `client|list`.
    pub command: String,
    /// Seconds since its last command.
    pub idle: u64,
}

/// Reads `CLIENT LIST`.
pub fn clients(listing: &str) -> Vec<Client> {
    listing
        .lines()
        .filter(|line| !line.is_empty())
        .map(client)
        .collect()
}

fn client(line: &str) -> Client {
    let mut client = Client::default();
    for (key, value) in line.split(' ').filter_map(|word| word.split_once('=')) {
        match key {
            "name" => value.clone_into(&mut client.name),
            "db" => client.database = value.parse().unwrap_or(-1),
            "flags" => client.is_blocked = value.contains('b'),
            "cmd" => value.clone_into(&mut client.command),
            "idle" => client.idle = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    client
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;
    use redis::Value;

    use super::{Client, StreamId, clients, field, items, number, pairs, text};

    /// Whatever a server could answer.
    pub fn anything() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just("jobId"),
            Just("event"),
            Just("active"),
            Just("failed"),
            Just("name"),
            Just("lag"),
            Just("pending"),
            Just("last-delivered-id"),
            Just("5-1"),
            Just("7"),
        ];
        let leaf = prop_oneof![
            Just(Value::Nil),
            Just(Value::Okay),
            any::<i64>().prop_map(Value::Int),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::BulkString),
            word.prop_map(|word| Value::BulkString(word.into())),
            ".{0,9}".prop_map(Value::SimpleString),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| {
            proptest::collection::vec(inner, 0..8).prop_map(Value::Array)
        })
    }

    proptest! {
        #[test]
        fn no_answer_panics(value in anything(), listing in ".{0,200}") {
            let _ = (text(&value), number(&value), items(&value).len(), pairs(&value).count());
            let _ = (field(&value, "lag"), StreamId::of(&value), clients(&listing));
        }

        #[test]
        fn ids_are_read_as_they_are_written(millis: u64, sequence: u64) {
            let id = StreamId { millis, sequence };
            prop_assert_eq!(StreamId::parse(&id.to_string()), Some(id));
        }
    }

    #[test]
    fn reads_pairs_and_numbers_whatever_their_form() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let group = Value::Array(vec![
            bulk("name"),
            bulk("dispatchers"),
            bulk("pending"),
            Value::Int(3),
            bulk("entries-read"),
            bulk("15"),
            bulk("lag"),
            Value::Nil,
            bulk("alone"),
        ]);
        let read = |name| field(&group, name).and_then(number);
        assert_eq!(
            field(&group, "name").and_then(text).as_deref(),
            Some("dispatchers")
        );
        assert_eq!(
            (read("pending"), read("entries-read"), read("lag")),
            (Some(3), Some(15), None)
        );
        assert_eq!(read("alone"), None);
        assert_eq!(number(&Value::Int(-1)), None);
        for bad in ["", "5", "5-", "-5", "5-1-2", "a-1"] {
            assert_eq!(StreamId::parse(bad), None, "{bad}");
        }
        assert!(StreamId::parse("5-10") > StreamId::parse("5-9"));
    }

    #[test]
    fn reads_the_clients_of_a_real_server() {
        let listing = "\
id=6 addr=172.18.0.3:49390 laddr=172.18.0.2:6379 fd=11 name=bull:am9icw==:w:04b944289434 age=249 idle=2 flags=b db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=20474 argv-mem=25 multi-mem=0 rbs=1024 rbp=5 obl=0 oll=0 omem=0 tot-mem=22321 events=r cmd=bzpopmin user=default redir=-1 resp=2
id=131 addr=127.0.0.1:41900 laddr=127.0.0.1:6379 fd=16 name= age=0 idle=0 flags=N db=1 sub=0 psub=0 ssub=0 multi=-1 qbuf=26 qbuf-free=20448 argv-mem=10 multi-mem=0 rbs=16384 rbp=16384 obl=0 oll=0 omem=0 tot-mem=37658 events=r cmd=client|list user=default redir=-1 resp=2
";
        let worker = Client {
            name: "bull:am9icw==:w:04b944289434".into(),
            database: 0,
            is_blocked: true,
            command: "bzpopmin".into(),
            idle: 2,
        };
        let asker = Client {
            database: 1,
            command: "client|list".into(),
            ..Client::default()
        };
        assert_eq!(clients(listing), [worker, asker]);
    }
}
