//! What carries the scale and the policies of a Compose project to another engine, as the text of files.
//!
//! Pure: the resolved compose file and the project go in, files and warnings come out. Who writes them, and
//! who checks them, is not its business.

pub mod kubernetes;
mod part;
mod plain_text;
pub mod swarm;
#[cfg(test)]
mod tests;
mod yaml;

use schemars::JsonSchema;
use serde::Serialize;
use serde_yaml::Value;

use crate::error::{Error, Result};
use crate::project::{Project, nesting};
use crate::words::displayed;
use part::{Counts, Part};

/// The engine that files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Swarm,
    Kubernetes,
}

displayed!(Target);

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub project: &'a Project,
    /// The resolved compose file; Compose has doubled every `$` in it.
    pub resolved: &'a Value,
    /// Between project and service in the name of an image that Compose builds.
    pub separator: char,
}

/// What there is to write, and what has to be said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    pub files: Vec<File>,
    pub warnings: Vec<Warning>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub name: &'static str,
    pub text: String,
}

/// Something that does not go along, or not as it was, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `None` when it is about the whole project.
    pub service: Option<String>,
    pub message: String,
    pub hint: String,
}

impl Warning {
    fn of(service: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            service: Some(service.to_owned()),
            message: message.into(),
            hint: hint.into(),
        }
    }

    fn general(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            service: None,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Reads what `docker compose config` printed.
///
/// # Errors
/// It is no YAML.
pub fn resolved(text: &str) -> Result<Value> {
    nesting::read(text).map_err(|why| {
        Error::unusable("what Compose printed of the compose file cannot be read")
            .detail(why)
            .hint("see it yourself: docker compose config")
    })
}

impl<'a> Source<'a> {
    /// The services that go along, in the order of their names, and where their counts are from.
    ///
    /// # Errors
    /// There are none.
    fn parts(self) -> Result<(Vec<Part<'a>>, Counts)> {
        let (parts, counts) = part::parts(self);
        if parts.is_empty() {
            return Err(Error::unusable(format!(
                "project `{}` has no service to export",
                self.project.name()
            ))
            .hint("services of a profile need it to be active: rscale --profile NAME export ..."));
        }
        Ok((parts, counts))
    }
}

/// What both exports warn of.
fn common_warnings(source: Source<'_>, parts: &[Part<'_>], counts: Counts) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if counts == Counts::Declared {
        warnings.push(Warning::general(
            format!(
                "no replica of `{}` runs, so the counts are those of the compose file",
                source.project.name()
            ),
            "for others, start and scale it, then export again: docker compose up --detach",
        ));
    }
    warnings.extend(part::built(parts));
    warnings
}
