//! Runs that are killed with SIGKILL on the real engine, and what the next command says and does.

use rustix::process::Signal;

use crate::support::engine::{Engine, Project};

/// Two workers that are drained by a file, which a drain's `undo` takes away.
fn workers() -> Option<Project> {
    let project = Engine::project(
        "services:
  worker:
    <<: *app
    x-rscale: {drain: {exec: [touch, /draining], wait: 1h, undo: [rm, /draining]}}
  other: *app
",
    )?;
    project.compose(&["up", "-d", "--scale", "worker=2"]);
    Some(project)
}

fn is_draining(project: &Project, name: &str) -> bool {
    let look = "ls /draining 2>/dev/null || true";
    !project
        .docker(&["exec", name, "sh", "-c", look])
        .trim()
        .is_empty()
}

#[test]
fn what_was_drained_by_a_killed_run_takes_work_again() {
    let Some(project) = workers() else { return };
    let name = project.container("worker", 2);
    let run = project.start(&["worker=1"]);
    project.wait_until("it drains", || is_draining(&project, &name));
    run.signal(Signal::KILL);
    run.ended();
    // Nothing of it can be seen in the engine but the file; the journal knows.
    let before = project.all_ids();
    let ran = project.rscale(&["worker=2", "--dry-run"]).succeeded();
    assert!(ran.stdout.contains("rm /draining"), "{ran}");
    project.rscale(&["worker=2"]).succeeded();
    assert!(!is_draining(&project, &name));
    assert_eq!(project.all_ids(), before);
    let ran = project.rscale(&["worker=2"]).succeeded();
    assert!(!ran.stdout.contains("/draining"), "{ran}");
}

#[test]
fn what_a_killed_run_began_is_told_and_undone_by_what_is_told() {
    let Some(project) = Engine::project("services: {web: *app, other: *app}") else {
        return;
    };
    project.compose(&["up", "-d"]);
    let before = project.all_ids();
    let run = project.start(&["web=3", "--step", "1", "--pause", "1h"]);
    run.wait_until_it_says("pausing");
    run.signal(Signal::KILL);
    run.ended();
    let new = project.container("web", 2);
    let told = format!("`web` 1 -> 3, now 2, new since: {new}");
    let ran = project.rscale(&["status"]).succeeded().says(&told);
    assert!(
        ran.stderr
            .contains("hint: to finish it: rscale web=3; to undo it: rscale web=1"),
        "{ran}"
    );
    let killed = &project.json(&["status"]).document()["killed_runs"][0];
    assert_eq!(killed["undo"], "rscale web=1");
    let undo = killed["undo"].as_str().unwrap();
    let words: Vec<&str> = undo.split(' ').skip(1).collect();
    project.rscale(&words).succeeded();
    assert_eq!(project.all_ids(), before);
    let ran = project.rscale(&["status"]).succeeded();
    assert!(!ran.stderr.contains("killed"), "{ran}");
    assert_eq!(project.locks(), [""; 0]);
}
