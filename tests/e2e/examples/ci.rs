//! The smoke tests of examples/ci, run on the project that they are written for.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_yaml::Value;

use crate::support::engine::{Engine, Project, Ran, free_ports};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci")
}

fn quickstart() -> Option<Project> {
    let project = Engine::example("quickstart")?;
    let port = free_ports(10);
    project.set("WEB_PORTS", &format!("{port}-{}", port + 9));
    Some(project)
}

/// A command with rscale on its PATH.
fn with_rscale(mut command: Command, project: &Project) -> Command {
    let rscale = Path::new(env!("CARGO_BIN_EXE_rscale")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    command
        .env("PATH", format!("{}:{path}", rscale.display()))
        .current_dir(project.folder())
        .stdin(Stdio::null());
    command
}

#[test]
fn the_shell_version_passes_and_takes_everything_away() {
    let Some(project) = quickstart() else { return };
    let mut command = with_rscale(project.command(folder().join("smoke-test.sh")), &project);
    command.arg(project.folder().join("compose.yaml"));
    let ran = Ran::of(command).succeeded();
    assert!(ran.stdout.contains("outcome = scaled"), "{ran}");
    assert!(ran.stdout.ends_with("smoke test: passed\n"), "{ran}");
    assert!(project.containers().is_empty());
}

#[test]
fn every_step_of_the_workflow_passes() {
    let has_jq = Command::new("jq").arg("--version").output().is_ok();
    if !has_jq {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED (jq is not installed, and the workflow uses it)"
        );
        return;
    }
    let Some(project) = quickstart() else { return };
    let text = std::fs::read_to_string(folder().join("scale-smoke-test.yml")).unwrap();
    let workflow: Value = serde_yaml::from_str(&text).unwrap();
    for (name, value) in workflow["env"].as_mapping().unwrap() {
        // The test's own project is another one.
        if name != "COMPOSE_PROJECT_NAME" {
            project.set(name.as_str().unwrap(), value.as_str().unwrap());
        }
    }
    let steps = workflow["jobs"]["scale"]["steps"].as_sequence().unwrap();
    let mut run = Vec::new();
    for step in steps {
        let (Some(name), Some(script)) = (step["name"].as_str(), step["run"].as_str()) else {
            continue;
        };
        // The rscale of this build is installed already.
        if name == "install rscale" {
            continue;
        }
        // As the runner does it.
        let mut command = with_rscale(project.command("bash"), &project);
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        Ran::of(command).succeeded();
        run.push(name);
    }
    assert_eq!(run.len(), steps.len() - 2, "{run:?}");
    assert!(project.containers().is_empty());
}
