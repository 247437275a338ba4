//! What earlier runs left half-done: they were killed before they could end it or take it back.

use super::{Finding, Question, Rule, Severity};
use crate::memory::{HalfDone, Leftover};
use crate::plan::drain;
use crate::project::observed::Replica;

/// A run that was killed, and whose services are neither as they were nor as they were to become.
pub fn killed_run(question: &Question, findings: &mut Vec<Finding>) {
    let leftovers = question.surroundings.leftovers.iter();
    findings.extend(leftovers.filter_map(|leftover| finding(question, leftover)));
}

fn finding(question: &Question, leftover: &Leftover) -> Option<Finding> {
    let first = leftover.services.first()?;
    let becomes = |count: fn(&HalfDone) -> Option<u32>| {
        let mut services = leftover.services.iter();
        services.all(|one| question.wish.get(&one.service).copied() == count(one).map(i64::from))
    };
    let hint = if becomes(|one| one.to) {
        format!("this run finishes it; to undo it: {}", leftover.undo())
    } else if becomes(|one| Some(one.from)) {
        "this run undoes it".to_owned()
    } else {
        leftover.way_out()
    };
    Some(Finding {
        rule: Rule::KilledRun,
        severity: Severity::Warning,
        policy: false,
        service: first.service.clone(),
        message: leftover.to_string(),
        hint,
    })
}

/// Replicas that an earlier run told to take no more work, that stay, and for which no policy says how they are told
/// otherwise.
pub fn drained(question: &Question, findings: &mut Vec<Finding>) {
    for (service, count) in question.services() {
        let existing = question.existing(&service.name);
        let undone = drain(Some(service)).is_some_and(|drain| drain.undo.is_some());
        let replicas = question.project.replicas(&service.name).iter();
        let is_drained = |replica: &&Replica| {
            replica.is_running() && question.project.marks.drained.contains(&replica.id)
        };
        let names: Vec<String> = replicas
            .filter(is_drained)
            .map(|replica| format!("`{}`", replica.name))
            .collect();
        // Those go first.
        let staying = i64::try_from(names.len()).unwrap_or(i64::MAX) - (existing - count).max(0);
        if undone || staying <= 0 {
            continue;
        }
        let name = &service.name;
        let (was, it) = match names.as_slice() {
            [_] => ("was", "it takes"),
            _ => ("were", "they take"),
        };
        findings.push(Finding::warning(
            Rule::Drained,
            service,
            format!(
                "{} {was} drained by an earlier run, so that {it} no more work",
                names.join(", ")
            ),
            format!(
                "drained replicas go first: rscale {name}=-{0}, then rscale {name}=+{0}; or say how it is undone: \
                 services.{name}.x-rscale.drain.undo",
                names.len()
            ),
        ));
    }
}
