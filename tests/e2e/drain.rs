//! `drain` and `stop-timeout`: replicas that go finish first; what cannot be drained stays.

use rustix::process::Signal;

use crate::support::engine::{Engine, Project};

/// A worker that notes down, in a file of the project, when it was drained and when it was told to stop;
/// told so, it takes three seconds to end.
fn worker(policy: &str) -> String {
    format!(
        r#"
services:
  worker:
    image: busybox:1
    volumes: ['./log:/log']
    command:
      - sh
      - -c
      - |
        note() {{ echo "$$1 $$(hostname) $$(cut -d . -f 1 /proc/uptime)" >> /log/all; }}
        trap 'note term; sleep 3; note end; exit 0' TERM
        note start
        while true; do sleep 1; done
    x-rscale: {policy}
"#
    )
}

const DRAIN: &str =
    r#"[sh, -c, 'echo "drain $$(hostname) $$(cut -d . -f 1 /proc/uptime)" >> /log/all']"#;

fn up(policy: &str, count: usize) -> Option<Project> {
    let project = Engine::project(&worker(policy))?;
    let scale = format!("worker={count}");
    project.compose(&["up", "-d", "--scale", &scale]);
    project.wait_until("every worker has begun", || {
        project.read("log/all").matches("start").count() == count
    });
    Some(project)
}

/// What was noted of each replica, by host name: word and second.
fn noted(project: &Project, word: &str) -> Vec<(String, u64)> {
    let log = project.read("log/all");
    let lines = log.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0] == word).then(|| (words[1].to_owned(), words[2].parse().unwrap()))
    });
    lines.collect()
}

#[test]
fn drain_wait_term_and_grace_come_in_this_order_and_only_where_a_replica_goes() {
    let Some(project) = up(
        &format!("{{stop-timeout: 20s, drain: {{exec: {DRAIN}, wait: 4s}}}}"),
        3,
    ) else {
        return;
    };
    project.rscale(&["worker=1"]).succeeded();
    let (drains, terms, ends) = (
        noted(&project, "drain"),
        noted(&project, "term"),
        noted(&project, "end"),
    );
    assert_eq!(
        (drains.len(), terms.len(), ends.len()),
        (2, 2, 2),
        "{}",
        project.read("log/all")
    );
    for (host, term) in &terms {
        let at = |notes: &[(String, u64)]| notes.iter().find(|(other, _)| other == host).unwrap().1;
        assert!(*term >= at(&drains) + 4, "{}", project.read("log/all"));
        assert!(at(&ends) >= *term + 3, "{}", project.read("log/all"));
    }
    assert_eq!(project.numbers("worker"), [1]);
    // Growing drains nothing.
    project.rscale(&["worker=2"]).succeeded();
    assert_eq!(noted(&project, "drain").len(), 2);
}

#[test]
fn a_drain_that_fails_keeps_every_replica_unless_forced() {
    // It fails in the second replica only.
    let exec = r#"[sh, -c, 'echo "drain $$(hostname) 0" >> /log/all; test ! -e /fails || { echo busy with job 7; exit 9; }']"#;
    let Some(project) = up(&format!("{{drain: {{exec: {exec}}}}}"), 3) else {
        return;
    };
    let before = project.all_ids();
    let failing = project.container("worker", 2);
    project.docker(&["exec", &failing, "touch", "/fails"]);
    let ran = project
        .rscale(&["worker=1"])
        .exited(1)
        .says(&format!("error: the drain command failed in `{failing}`"))
        .says("  | busy with job 7")
        .says(&format!(
            "docker restart {} ",
            project.container("worker", 3)
        ))
        .says("hint: stop them all the same: rscale --force");
    assert!(
        !ran.stderr
            .contains("drain command failed in `{failing}`; going on")
    );
    assert_eq!(project.all_ids(), before);
    assert_eq!(project.running()["worker"], 3);
    assert_eq!(noted(&project, "term"), []);
    project
        .rscale(&["worker=1", "--force"])
        .succeeded()
        .says(&format!("the drain command failed in `{failing}`"));
    assert_eq!(project.numbers("worker"), [1]);
}

#[test]
fn interrupted_while_it_drains_every_replica_stays() {
    let Some(project) = up(&format!("{{drain: {{exec: {DRAIN}, wait: 1h}}}}"), 2) else {
        return;
    };
    let before = project.all_ids();
    let run = project.start(&["worker=1"]);
    project.wait_until("it drains", || !noted(&project, "drain").is_empty());
    run.signal(Signal::INT);
    run.ended().exited(130).says("docker restart");
    assert_eq!(project.all_ids(), before);
    assert_eq!(noted(&project, "term"), []);
}

#[test]
fn interrupted_in_the_grace_it_says_what_it_waits_for_and_brings_the_replica_back() {
    let Some(project) = up("{stop-timeout: 20s}", 2) else {
        return;
    };
    let before = project.all_ids();
    let run = project.start(&["worker=1"]);
    project.wait_until("it stops", || !noted(&project, "term").is_empty());
    run.signal(Signal::INT);
    run.ended()
        .exited(130)
        .says("interrupted: what stops of `worker` was told so already");
    project.wait_until("it is back", || project.running()["worker"] == 2);
    // Its job was done, and it came back as it was or as a new one.
    assert_eq!(noted(&project, "end").len(), 1);
    assert_eq!(project.all_ids().len(), before.len());
}

#[test]
fn a_replica_that_stays_after_all_takes_work_again() {
    let policy = "{drain: {exec: [touch, /draining], wait: 60s, undo: [rm, /draining]}}";
    let Some(project) = up(policy, 2) else { return };
    let name = project.container("worker", 2);
    let is_draining = || {
        let looked = project.docker(&[
            "exec",
            &name,
            "sh",
            "-c",
            "ls /draining 2>/dev/null || true",
        ]);
        !looked.is_empty()
    };
    let run = project.start(&["worker=1"]);
    project.wait_until("it drains", is_draining);
    run.signal(Signal::INT);
    let ran = run.ended().exited(130);
    assert!(!ran.stderr.contains("docker restart"), "{ran}");
    assert!(!is_draining(), "{ran}");
}

#[test]
fn a_long_wait_is_told_where_there_is_no_bar() {
    let Some(project) = up(&format!("{{drain: {{exec: {DRAIN}, wait: 11s}}}}"), 2) else {
        return;
    };
    project
        .rscale(&["worker=1"])
        .succeeded()
        .says("worker: 1 replica drained, waiting 10s of 11s");
}

#[test]
fn a_roll_back_drains_what_it_takes_away() {
    let policy = format!("{{stop-timeout: 20s, drain: {{exec: {DRAIN}, wait: 1s}}}}");
    let Some(project) = up(&policy, 1) else {
        return;
    };
    let before = project.all_ids();
    // The third one finds the file that the first new one wrote, and gives up.
    project.compose_file(&worker(&policy).replace(
        "note start",
        "note start; test $$(grep -c start /log/all) -lt 3 || exit 7",
    ));
    project.rscale(&["worker=3", "--step", "1"]).exited(1);
    assert_eq!(project.all_ids(), before);
    let (drains, ends) = (noted(&project, "drain"), noted(&project, "end"));
    assert!(
        !drains.is_empty() && !ends.is_empty(),
        "{}",
        project.read("log/all")
    );
}
