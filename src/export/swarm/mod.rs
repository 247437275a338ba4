//! `rscale export swarm`: the resolved compose file, made fit for `docker stack deploy`.
//!
//! The file keeps to version 3.9 of the format, which every docker from 20.10 on takes; what that has no
//! key for is told in a comment. Checked against the schemas in docker/cli, `cli/compose/schema/data`.

mod deploy;
mod keys;
mod ports;
mod service;
mod top;

use serde_yaml::Value;

use super::part::quoted_list;
use super::plain_text;
use super::yaml::{Entry, Yaml, document};
use super::{Exported, File, Source, Warning, common_warnings};
use crate::error::Result;
use crate::project::declared::Condition;

/// The one file.
pub const FILE: &str = "stack.yaml";

/// Writes the stack.
///
/// # Errors
/// No service goes along.
pub fn export(source: Source<'_>) -> Result<Exported> {
    let (parts, counts) = source.parts()?;
    let mut warnings = common_warnings(source, &parts, counts);
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let services: Vec<Entry> = parts
        .iter()
        .map(|part| service::service(source.project, part, &names, &mut warnings))
        .collect();
    warnings.extend(plain_text::warning(&parts));
    warnings.extend(no_order(source, &names));
    let mut entries = vec![
        Entry::commented(
            "Docker 20.10 wants a version, and 3.9 is the newest that it knows.",
            "version",
            Yaml::text("3.9"),
        ),
        engine(source),
        Entry {
            comments: vec![
                "Their counts are those that they had when this was written.".to_owned(),
                deploy::UPDATES.to_owned(),
            ],
            key: "services".to_owned(),
            value: Yaml::Map(services),
        },
    ];
    entries.extend(top::sections(source, &mut warnings));
    let text = document(&head(source, &names), &entries);
    Ok(Exported {
        files: vec![File { name: FILE, text }],
        warnings,
    })
}

fn head(source: Source<'_>, names: &[&str]) -> Vec<String> {
    let project = source.project.name();
    let mut head = vec![
        format!(
            "`{project}` as a stack of Docker Swarm, with its scale and its policies. Written by `rscale export swarm`; \
             to write it anew: --force."
        ),
        String::new(),
        format!(" docker stack deploy --compose-file {FILE} {project}"),
        format!(" rscale --file {FILE} --project-name {project} status"),
        String::new(),
        "Deploying it again sets these counts again; rscale changes counts and nothing else."
            .to_owned(),
    ];
    let inactive: Vec<&str> = source
        .project
        .declared
        .services
        .keys()
        .map(String::as_str)
        .filter(|name| !names.contains(name))
        .collect();
    if !inactive.is_empty() {
        head.push(format!(
            "Left out, because no profile of theirs is active: {}.",
            quoted_list(&inactive)
        ));
    }
    head
}

/// The file's own `x-rscale`, which names the engine from now on, and other `x-` sections.
fn engine(source: Source<'_>) -> Entry {
    let mut entries = vec![Entry::new("engine", Yaml::text("swarm"))];
    let others = source.resolved.get("x-rscale").and_then(Value::as_mapping);
    entries.extend(
        others
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.as_str() != Some("engine"))
            .filter_map(|(key, value)| Some(Entry::new(key.as_str()?, value))),
    );
    Entry::commented(
        "For rscale: with this file it talks to the swarm. Docker takes no notice of x- keys.",
        "x-rscale",
        Yaml::Map(entries),
    )
}

/// Swarm starts everything at once.
fn no_order(source: Source<'_>, names: &[&str]) -> Option<Warning> {
    let waiting: Vec<&str> = source
        .project
        .declared
        .services
        .values()
        .filter(|service| names.contains(&service.name.as_str()))
        .filter(|service| {
            let mut conditions = service.depends_on.values();
            conditions.any(|one| one.condition != Condition::Started)
        })
        .map(|service| service.name.as_str())
        .collect();
    let (verb, them) = match waiting.len() {
        0 => return None,
        1 => ("waits", "it"),
        _ => ("wait", "they"),
    };
    Some(Warning::general(
        format!(
            "{} {verb} for others to be healthy or done, and Swarm starts everything at once",
            quoted_list(&waiting)
        ),
        format!("see to it that {them} try again until what {them} need is there; Swarm restarts what ends")
            .replace("it try", "it tries")
            .replace("what it need", "what it needs"),
    ))
}
