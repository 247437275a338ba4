//! The operations of JSON patches (RFC 6902), as YAML with comments.

use crate::export::yaml::{Item, Yaml};

/// One operation of a JSON patch, which needs no name of a container.
pub(super) fn operation(comment: String, path: &str, value: Yaml) -> Item {
    let pairs = [
        ("op", Yaml::text("add")),
        ("path", Yaml::text(path)),
        ("value", value),
    ];
    Item {
        comments: vec![comment],
        value: Yaml::map(pairs),
    }
}
