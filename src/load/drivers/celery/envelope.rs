//! The envelope in which kombu wraps every message over Redis. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// What is read of an envelope; whatever else it holds is left out.
#[derive(Debug, Deserialize)]
struct Envelope {
    body: String,
    #[serde(default)]
    headers: Value,
    #[serde(default)]
    properties: Value,
}

/// A message taken out of its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Unwrapped {
    pub body: Vec<u8>,
    /// The `ticket` header of a reply to a control request.
    pub ticket: Option<String>,
}

/// Takes a message out of its envelope; `None` for anything that is no envelope.
pub fn unwrap(text: &[u8]) -> Option<Unwrapped> {
    let envelope: Envelope = serde_json::from_slice(text).ok()?;
    let encoded = envelope.properties["body_encoding"] == "base64";
    let body = if encoded {
        STANDARD.decode(&envelope.body).ok()?
    } else {
        envelope.body.into_bytes()
    };
    let ticket = envelope.headers["ticket"].as_str().map(str::to_owned);
    Some(Unwrapped { body, ticket })
}

/// Wraps a control request, as kombu does for the exchange `celery.pidbox`.
pub fn wrap_control(body: &str, delivery_tag: &str) -> String {
    let envelope = serde_json::json!({
        "body": STANDARD.encode(body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"clock": 1, "expires": 0},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": delivery_tag,
        },
    });
    envelope.to_string()
}

/// The queue of a message that was handed out: the third element of a value in the hash `unacked`.
pub fn queue_of_unacknowledged(value: &[u8]) -> Option<String> {
    type Handed = (serde::de::IgnoredAny, serde::de::IgnoredAny, String);
    let (_, _, queue): Handed = serde_json::from_slice(value).ok()?;
    Some(queue)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{queue_of_unacknowledged, unwrap, wrap_control};

    #[test]
    fn what_was_wrapped_comes_out_again() {
        let wrapped = wrap_control(r#"{"method":"ping"}"#, "t");
        let unwrapped = unwrap(wrapped.as_bytes()).unwrap();
        assert_eq!(unwrapped.body, br#"{"method":"ping"}"#);
        assert_eq!(unwrapped.ticket, None);
        let plain = unwrap(br#"{"body":"[1]","headers":{"ticket":"a"}}"#).unwrap();
        assert_eq!(
            (plain.body.as_slice(), plain.ticket.as_deref()),
            (b"[1]".as_slice(), Some("a"))
        );
    }

    #[test]
    fn a_message_that_was_handed_out_names_its_queue() {
        let value = br#"[{"body": "x", "properties": {}}, "", "queue_a"]"#;
        assert_eq!(queue_of_unacknowledged(value).as_deref(), Some("queue_a"));
        for strange in [b"[]".as_slice(), b"", b"[1,2,3]", b"[1,2,\"q\",4]", b"\xff"] {
            assert_eq!(queue_of_unacknowledged(strange), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in any::<Vec<u8>>(), text in r#"\{"body":".{0,9}","properties":\{"body_encoding":"base64"\}\}"#) {
            let _ = (unwrap(&bytes), unwrap(text.as_bytes()), queue_of_unacknowledged(&bytes));
        }
    }
}
