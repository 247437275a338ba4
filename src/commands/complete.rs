//! What the shell's completion offers: the services of the project at hand.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use clap_complete::engine::CompletionCandidate;

use crate::exec::host;

/// Services as targets: `wo` gives `worker-a=`.
pub fn service_targets(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, "=")
}

/// Services by name.
pub fn service_names(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, "")
}

fn candidates(typed: &OsStr, suffix: &str) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    services()
        .into_iter()
        .filter(|service| service.starts_with(typed.as_ref()))
        .map(|service| CompletionCandidate::new(format!("{service}{suffix}")))
        .collect()
}

/// Asks Compose. Completion stays silent when it cannot answer.
fn services() -> Vec<String> {
    let mut command = match host::compose_plugin() {
        Some(plugin) => Command::new(plugin),
        None => {
            let mut docker = Command::new("docker");
            docker.arg("compose");
            docker
        }
    };
    let output = command
        .args(["--profile", "*", "config", "--services"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let mut services: Vec<String> = text.lines().map(str::to_owned).collect();
    services.sort();
    services
}
