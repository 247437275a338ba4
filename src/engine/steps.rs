//! What a step of a plan comes to, as commands of an engine: what `--dry-run` shows and `apply` runs.

use std::time::Duration;

use super::Engine;
use crate::exec::CommandSpec;
use crate::plan::Step;
use crate::project::Project;

/// The commands that a step comes to, for `--dry-run`; names of replicas that do not exist yet are
/// those that Compose will give.
pub fn commands(project: &Project, step: &Step, engine: &dyn Engine) -> Vec<String> {
    let specs: Vec<CommandSpec> = match step {
        Step::Remove(step) => {
            let names = |running_only: bool| -> Vec<&str> {
                let victims = step
                    .victims
                    .iter()
                    .filter(|victim| victim.running || !running_only);
                victims.map(|victim| victim.name.as_str()).collect()
            };
            let running = names(true);
            let hooks = step.pre_stop.iter().flat_map(|hook| {
                running
                    .iter()
                    .map(|name| engine.exec(name, hook, Duration::ZERO))
            });
            let stop = (!running.is_empty()).then(|| engine.stop(&running, step.grace));
            let all = names(false);
            let removals = batches(&all).map(|names| engine.remove(names, false));
            hooks.chain(stop).chain(removals).collect()
        }
        Step::Create(step) => vec![engine.create(step)],
        Step::Start(step) => {
            let names: Vec<String> = step
                .services
                .iter()
                .flat_map(|(service, pending)| {
                    let new = pending.new.iter();
                    let new =
                        new.map(|&number| engine.replica_name(project.name(), service, number));
                    pending.existing.iter().cloned().chain(new)
                })
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            batches(&names).map(|names| engine.start(names)).collect()
        }
        Step::Launch { counts } => vec![engine.launch(counts)],
        Step::Verify { .. } | Step::Pause(_) => Vec::new(),
    };
    specs.iter().map(ToString::to_string).collect()
}

/// Commands that start or remove containers at a time. More do not help: the engine itself is the
/// bottleneck, and each command is a process.
const AT_ONCE: usize = 8;

/// Splits containers into as many shares as commands run at a time.
pub fn batches<'n, 'a>(names: &'n [&'a str]) -> impl Iterator<Item = &'n [&'a str]> {
    names.chunks(names.len().div_ceil(AT_ONCE).max(1))
}
