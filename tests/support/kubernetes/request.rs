//! What is asked of the server: a path taken apart, its query, its body.

use std::collections::BTreeMap;

use serde_json::Value;
use url::form_urlencoded;

use super::kind::Kind;

/// A request whose body has been read.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// Without the leading slash.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub content_type: String,
    pub body: Value,
}

impl Request {
    pub fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn queries(&self, name: &str) -> Vec<String> {
        let found = self.query.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).collect()
    }

    /// Whether an object passes the label and field selectors.
    pub fn selects(&self, object: &Value) -> bool {
        let of = |name: &str, look: &dyn Fn(&str) -> Option<String>| {
            let terms = self.query(name).unwrap_or_default();
            terms
                .split(',')
                .filter(|term| !term.is_empty())
                .all(|term| match (term.split_once("!="), term.split_once('=')) {
                    (Some((key, value)), _) => look(key).as_deref() != Some(value),
                    (None, Some((key, value))) => {
                        look(key.trim_end_matches('=')).as_deref()
                            == Some(value.trim_start_matches('='))
                    }
                    (None, None) => look(term).is_some(),
                })
        };
        let label = |key: &str| {
            object["metadata"]["labels"][key]
                .as_str()
                .map(str::to_owned)
        };
        let field = |key: &str| {
            let value = object.pointer(&format!("/{}", key.replace('.', "/")))?;
            Some(
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            )
        };
        of("labelSelector", &label) && of("fieldSelector", &field)
    }
}

/// The parameters of a URL.
pub fn parameters(query: Option<&str>) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.into_owned().collect()
}

/// What a path names: a kind, one object of it, a part of that.
#[derive(Debug, Clone)]
pub struct Target {
    pub kind: &'static Kind,
    /// Empty for what is in no namespace, and for lists over all.
    pub namespace: String,
    pub name: Option<String>,
    pub part: Option<String>,
}

impl Target {
    /// Reads `api/v1/namespaces/shop/pods/web-1/log` and the like.
    pub fn parse(path: &str) -> Option<Self> {
        let mut words = path.split('/').filter(|word| !word.is_empty());
        let api_version = match words.next()? {
            "api" => words.next()?.to_owned(),
            "apis" => format!("{}/{}", words.next()?, words.next()?),
            _ => return None,
        };
        let mut rest: Vec<&str> = words.collect();
        let mut namespace = String::new();
        // `namespaces/shop` is the namespace itself.
        if rest.len() > 2 && rest[0] == "namespaces" {
            rest[1].clone_into(&mut namespace);
            rest.drain(..2);
        }
        let mut rest = rest.into_iter();
        let kind = Kind::by_plural(rest.next()?)?;
        (kind.api_version() == api_version).then(|| Self {
            kind,
            namespace,
            name: rest.next().map(str::to_owned),
            part: rest.next().map(str::to_owned),
        })
    }

    /// `deployments`, `deployments/scale`.
    pub fn resource(&self) -> String {
        match &self.part {
            Some(part) => format!("{}/{part}", self.kind.plural),
            None => self.kind.plural.to_owned(),
        }
    }
}

/// Merges a patch into a value as RFC 7386 has it; strategic patches of maps do the same.
pub fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    let fields = value.as_object_mut().unwrap();
    for (key, change) in patch {
        if change.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), change);
        }
    }
}

/// The strings of a JSON map.
pub fn strings(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
