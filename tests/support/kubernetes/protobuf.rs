//! The one kind of request that newer kubectls send as protobuf: access reviews of their typed client.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>, and for the numbers of fields
//! `generated.proto` of k8s.io/api/authorization/v1.

use serde_json::{Map, Value, json};

pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// What precedes the envelope.
const MAGIC: &[u8] = b"k8s\0";

/// Reads a review; `None` for anything else.
pub fn review(bytes: &[u8]) -> Option<Value> {
    let review = field(bytes.strip_prefix(MAGIC)?, 2)?;
    let attributes = field(field(review, 2)?, 1)?;
    let mut found = Map::new();
    for (number, name) in [
        (1, "namespace"),
        (2, "verb"),
        (3, "group"),
        (4, "version"),
        (5, "resource"),
        (6, "subresource"),
        (7, "name"),
    ] {
        let text = std::str::from_utf8(field(attributes, number).unwrap_or_default()).ok()?;
        found.insert(name.to_owned(), json!(text));
    }
    Some(json!({
        "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
        "spec": {"resourceAttributes": found},
    }))
}

/// The bytes of a field, of those that have a length.
fn field(mut bytes: &[u8], wanted: u64) -> Option<&[u8]> {
    while !bytes.is_empty() {
        let key = number(&mut bytes)?;
        match key & 7 {
            0 => {
                number(&mut bytes)?;
            }
            2 => {
                let length = usize::try_from(number(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                if key >> 3 == wanted {
                    return Some(value);
                }
                bytes = rest;
            }
            _ => return None,
        }
    }
    None
}

/// A number of seven bits a byte, the lowest first.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
