//! A queue's keys, and its workers by the names of their connections. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::load::drivers::redis_wire::Client;

/// BullMQ's prefix of keys, unless said otherwise.
const PREFIX: &str = "bull";

/// A queue's keys: `bull:jobs:wait`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
    queue: String,
}

impl Keys {
    pub fn new(prefix: Option<&str>, queue: &str) -> Self {
        Self {
            prefix: prefix.unwrap_or(PREFIX).to_owned(),
            queue: queue.to_owned(),
        }
    }

    pub fn queue(&self) -> &str {
        &self.queue
    }

    pub fn of(&self, part: &str) -> String {
        format!("{}:{}:{part}", self.prefix, self.queue)
    }

    /// The hash of a job.
    pub fn job(&self, id: u64) -> String {
        format!("{}:{}:{id}", self.prefix, self.queue)
    }

    /// What finds one key of every queue.
    pub fn pattern(&self) -> String {
        format!("{}:*:meta", self.prefix)
    }

    /// The queue that such a key belongs to.
    pub fn queue_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let rest = key.strip_prefix(&*self.prefix)?.strip_prefix(':')?;
        rest.strip_suffix(":meta")
    }

    /// The queue's workers: `None` for one that was given no name.
    ///
    /// A worker calls the connection on which it waits `bull:am9icw==:w:NAME`, the queue's name in Base64,
    /// and without a name of its own `bull:am9icw==`; the Python port does not encode the queue's name.
    pub fn workers<'c>(&self, clients: &'c [Client]) -> Vec<Option<&'c str>> {
        let encoded = format!("{}:{}", self.prefix, STANDARD.encode(&self.queue));
        let plain = format!("{}:{}", self.prefix, self.queue);
        let worker = |client: &'c Client| {
            [&encoded, &plain].into_iter().find_map(|queue| {
                let rest = client.name.strip_prefix(&**queue)?;
                match rest.strip_prefix(":w:") {
                    _ if rest.is_empty() || rest == ":w" => Some(None),
                    Some(name) => Some(Some(name)),
                    None => None,
                }
            })
        };
        clients.iter().filter_map(worker).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Keys;
    use crate::load::drivers::redis_wire::{Client, clients};

    fn client(name: &str) -> Client {
        Client {
            name: name.into(),
            ..Client::default()
        }
    }

    #[test]
    fn workers_are_known_by_the_names_of_their_connections() {
        let clients = [
            client("bull:am9icw==:w:04b944289434"),
            client("bull:am9icw=="),
            client("bull:jobs:w:w1"),
            // A listener, another queue, another prefix, somebody else.
            client("bull:am9icw==:qe"),
            client("bull:bWFpbHM=:w:04b944289434"),
            client("other:am9icw==:w:a"),
            client(""),
        ];
        let keys = Keys::new(None, "jobs");
        assert_eq!(
            keys.workers(&clients),
            [Some("04b944289434"), None, Some("w1")]
        );
        assert_eq!(
            Keys::new(Some("other"), "jobs").workers(&clients),
            [Some("a")]
        );
    }

    #[test]
    fn keys_are_bullmqs() {
        let keys = Keys::new(None, "a:b");
        assert_eq!(
            (keys.of("wait"), keys.job(7)),
            ("bull:a:b:wait".into(), "bull:a:b:7".into())
        );
        assert_eq!(keys.queue_of("bull:mails:meta"), Some("mails"));
        assert_eq!(keys.queue_of("bull:a:b:meta"), Some("a:b"));
        assert_eq!(keys.queue_of("bull:meta"), None);
    }

    proptest! {
        #[test]
        fn no_listing_panics(listing: String, name: String) {
            let keys = Keys::new(None, "jobs");
            keys.workers(&clients(&listing));
            keys.workers(&[client(&name)]);
            keys.queue_of(&name);
        }
    }
}
