//! What does not come up is told back.

use rustix::process::Signal;

use crate::cli::schema::is_valid;
use crate::support::swarm::Swarm;

#[test]
fn a_replica_that_crashes_is_rolled_back_with_its_log() {
    let Some(swarm) = Swarm::shared() else { return };
    // The second replica crashes, and every later one.
    let stack = swarm.stack(
        "
services:
  web:
    image: busybox:1
    init: true
    command: sh -c 'case $$SLOT in 1) exec sleep 900;; *) echo broken in slot $$SLOT; exit 3;; esac'
    environment: {SLOT: '{{.Task.Slot}}'}
    deploy: {<<: *deploy, replicas: 1}
  other: {<<: *app, deploy: {<<: *deploy, replicas: 1}}
",
    );
    let before = (stack.tasks("web"), stack.tasks("other"));
    let ran = stack.json(&["web=2", "other=2"]).exited(1);
    let document = ran.document();
    is_valid("scale", &document);
    assert_eq!(document["outcome"], "rolled_back");
    let web = stack.object("web");
    let ran = ran
        .says(&format!(
            "error: `{web}.2` failed: non-zero exit (3), 3 times"
        ))
        .says("broken in slot 2");
    assert!(!ran.stderr.contains("slot 1"), "{ran}");
    stack.assert_counts(&[("web", 1), ("other", 1)]);
    assert_eq!((stack.tasks("web"), stack.tasks("other")), before);
}

#[test]
fn what_crashed_before_is_no_failure_of_another_service() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack_on_its_way(
        "
services:
  web: {<<: *app, deploy: {<<: *deploy, replicas: 1}}
  broken: {image: 'busybox:1', command: 'false', deploy: {<<: *deploy, replicas: 1}}
",
    );
    stack.wait_until("web runs", || stack.services()["web"] == (1, 1));
    stack.rscale(&["web=2"]).succeeded();
    stack.assert_counts(&[("web", 2)]);
    assert_eq!(stack.wishes()["broken"], 1);
}

#[test]
fn an_interruption_brings_the_old_count_back() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack(
        "
services:
  web:
    <<: *app
    healthcheck: {test: [CMD, test, -e, /tmp/well], interval: 1s, start_period: 60s}
    deploy: {<<: *deploy, replicas: 0}
  other: {<<: *app, deploy: {<<: *deploy, replicas: 1}}
",
    );
    let others = stack.tasks("other");
    let running = stack.start(&["web=3", "-v"]);
    stack.wait_until("three are told", || stack.wishes()["web"] == 3);
    running.signal(Signal::INT);
    running.ended().exited(130);
    assert_eq!(stack.wishes()["web"], 0);
    assert_eq!(stack.tasks("other"), others);
}
