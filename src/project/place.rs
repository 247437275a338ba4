//! Reading `x-rscale` strictly: every value with its place in the file, for the errors.

use std::time::Duration;

use serde_yaml::{Mapping, Value};

use super::address::{Address, masked};
use crate::duration;
use crate::error::{Error, Result};

/// Where in the file a value stands, for the errors.
#[derive(Debug)]
pub struct Place(pub String);

impl Place {
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        Self(format!("{}.{key}", self.0))
    }

    pub fn wrong(&self, what: &str) -> Error {
        Error::unusable(format!("`{}`: {what}", self.0))
            .hint("correct it in the compose file; every key: docs/policy.md")
    }

    pub fn expected(&self, wanted: &str, got: &Value) -> Error {
        if got.as_str() == Some("") {
            return self
                .wrong(&format!("it is empty, wanted {wanted}"))
                .hint("a variable in it may not be set: ${NAME:-default} has a default");
        }
        self.wrong(&format!("got {}, wanted {wanted}", shown(got)))
    }

    /// Text where several values are wanted: it may be a URL with a password, or a header.
    fn not_several(&self, wanted: &str, got: &Value) -> Error {
        match got {
            Value::String(text) if !text.is_empty() => {
                self.wrong(&format!("got a text, wanted {wanted}"))
            }
            _ => self.expected(wanted, got),
        }
    }

    /// # Errors
    /// No list.
    pub fn items<'v>(&self, value: &'v Value) -> Result<&'v Vec<Value>> {
        value
            .as_sequence()
            .ok_or_else(|| self.not_several("a list", value))
    }

    pub fn any_entries<'v>(&self, value: &'v Value) -> Result<Vec<(&'v str, &'v Value)>> {
        let mapping: &Mapping = value
            .as_mapping()
            .ok_or_else(|| self.not_several("a mapping", value))?;
        mapping
            .iter()
            .map(|(key, value)| match key.as_str() {
                Some(key) => Ok((key, value)),
                None => Err(self.expected("a name as key", key)),
            })
            .collect()
    }

    pub fn entries<'v>(
        &self,
        value: &'v Value,
        known: &[&str],
    ) -> Result<Vec<(&'v str, &'v Value)>> {
        let entries = self.any_entries(value)?;
        for (key, _) in &entries {
            if !known.contains(key) {
                let nearest = crate::suggest::nearest(key, known.iter().copied());
                let error = Error::unusable(format!("`{}`: unknown key `{}`", self.0, masked(key)));
                return Err(match nearest {
                    Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
                    None => error.hint(format!("the keys are {}", known.join(", "))),
                });
            }
        }
        Ok(entries)
    }

    pub fn count(&self, value: &Value) -> Result<u32> {
        value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
            .ok_or_else(|| self.expected("a whole number", value))
    }

    /// Interpolated values arrive as text, so `"true"` counts as `true`.
    pub fn boolean(&self, value: &Value) -> Result<bool> {
        match (value.as_bool(), value.as_str()) {
            (Some(flag), _) => Ok(flag),
            (None, Some("true")) => Ok(true),
            (None, Some("false")) => Ok(false),
            _ => Err(self.expected("true or false", value)),
        }
    }

    pub fn duration(&self, value: &Value) -> Result<Duration> {
        value
            .as_str()
            .and_then(|text| duration::parse(text).ok())
            .ok_or_else(|| self.expected("a duration such as 90s or 1m30s", value))
    }

    pub fn text(&self, value: &Value) -> Result<String> {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| self.expected("a name", value))
    }

    pub fn command(&self, value: &Value) -> Result<Vec<String>> {
        let words = match value {
            Value::String(line) => shlex::split(line),
            Value::Sequence(words) => words
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        words
            .filter(|words| !words.is_empty())
            .ok_or_else(|| self.expected("a command such as [nginx, -s, reload]", value))
    }

    /// A scalar, as text.
    pub fn literal(&self, value: &Value) -> Result<String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            _ => Err(self.expected("a text", value)),
        }
    }

    /// A URL. What is wrong with it is said without repeating it: it may hold a password.
    pub fn address(&self, value: &Value) -> Result<Address> {
        let text = value
            .as_str()
            .ok_or_else(|| self.wrong("wanted a URL such as redis://redis:6379/0"))?;
        if text.is_empty() {
            return Err(self.expected("a URL such as redis://redis:6379/0", value));
        }
        Address::parse(text)
            .map_err(|why| self.wrong(&format!("{why}, wanted one such as redis://redis:6379/0")))
    }

    /// Any value, as JSON.
    pub fn json(&self, value: &Value) -> Result<serde_json::Value> {
        Ok(match value {
            Value::String(text) => text.as_str().into(),
            Value::Sequence(items) => items
                .iter()
                .map(|item| self.json(item))
                .collect::<Result<_>>()?,
            Value::Mapping(_) => {
                let entries = self.any_entries(value)?;
                let pairs = entries
                    .into_iter()
                    .map(|(key, value)| Ok((key.to_owned(), self.json(value)?)));
                serde_json::Value::Object(pairs.collect::<Result<_>>()?)
            }
            plain => serde_json::to_value(plain)
                .map_err(|_| self.expected("a value that JSON has", value))?,
        })
    }
}

/// Characters of a wrong value that are shown.
const SHOWN: usize = 60;

/// A wrong value in an error: a scalar as it is written, without the password of a URL; of several values only what
/// they are.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => masked(text).into_owned(),
        Value::Sequence(_) => return "a list".into(),
        Value::Mapping(_) | Value::Tagged(_) => return "a mapping".into(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
