//! What is done when something fails: logs, roll-back, and what is said of it.

use std::time::Duration;

use crate::apply::{Aftermath, Event};
use crate::plan::outcome::Outcome;

use super::agreed;
use super::container::Container;
use super::scenario::{Scenario, Story};
use super::simulation::{Effect, Fate, Fault};

const SHOP: &str = "
services:
  db: {image: postgres}
  web: {image: app, depends_on: {db: {condition: service_started, required: true}}}
  worker: {image: app}
";

fn shop() -> Scenario {
    Scenario::new(SHOP)
        .running("db", 2)
        .running("web", 1)
        .running("worker", 3)
}

fn crash() -> Fate {
    Fate::Exits(3, Duration::from_millis(300))
}

/// Everything is as it was: the same containers, none more.
#[track_caller]
fn as_before(story: &Story) {
    for service in ["db", "web", "worker"] {
        story.keeps(service);
    }
    assert_eq!(story.after.len(), story.before.len());
    assert!(
        story.after.iter().all(|one| one.state == "running"),
        "{}",
        story.there()
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_rolled_back_with_the_log_of_the_replica() {
    let story = shop()
        .fate("shop-web-3", crash())
        .log("shop-web-3", "no such table\n")
        .asks("web=3")
        .run()
        .await;
    agreed(
        "failure/a_crash_is_rolled_back_with_the_log_of_the_replica",
        &story.told(),
    );
    as_before(&story);
    let failure = story.scaled().failure().unwrap();
    assert_eq!(
        failure.logs,
        [("shop-web-3".to_owned(), "no such table".to_owned())]
    );
    assert_eq!(
        (failure.service.as_deref(), &failure.aftermath),
        (Some("web"), &Aftermath::RolledBack)
    );
    assert!(
        story
            .events
            .iter()
            .any(|event| matches!(event, Event::RollingBack { .. }))
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_second_wave_takes_the_first_wave_back_too() {
    let story = shop()
        .fate("shop-web-4", crash())
        .asks("web=7")
        .with(|scaling| scaling.plan.step = Some(2))
        .run()
        .await;
    agreed(
        "failure/a_crash_in_the_second_wave_takes_the_first_wave_back_too",
        &story.told(),
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_it_is_watched_counts_even_after_others_are_ready() {
    let story = shop()
        .fate("shop-web-2", Fate::Healthy(Duration::from_secs(20)))
        .fate("shop-web-3", Fate::Exits(0, Duration::from_secs(10)))
        .asks("web=3")
        .run()
        .await;
    assert_eq!(story.document().outcome.to_string(), "rolled_back");
    assert_eq!(
        story.document().error.as_deref(),
        Some("`shop-web-3` exited with code 0")
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_replica_is_rolled_back() {
    let story = shop()
        .fate("shop-web-2", Fate::Unhealthy(Duration::from_secs(9)))
        .asks("web=2")
        .run()
        .await;
    agreed("failure/an_unhealthy_replica_is_rolled_back", &story.told());
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_never_gets_healthy_is_given_up_after_the_wait_timeout() {
    let story = shop()
        .fate("shop-web-2", Fate::Healthy(Duration::from_secs(9999)))
        .asks("web=2")
        .with(|scaling| scaling.apply.wait_timeout = Some(Duration::from_secs(90)))
        .run()
        .await;
    assert_eq!(
        story.document().error.as_deref(),
        Some("`shop-web-2` is not healthy yet after 1m30s")
    );
    assert!((90..95).contains(&story.took.as_secs()), "{:?}", story.took);
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_cannot_be_started_do_not_stay() {
    let story = shop()
        .fate(
            "shop-web-3",
            Fate::WillNotStart("Bind for 0.0.0.0:80 failed: port is already allocated"),
        )
        .asks("web=3")
        .run()
        .await;
    agreed(
        "failure/replicas_that_cannot_be_started_do_not_stay",
        &story.told(),
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_up_left_behind_is_removed() {
    let story = shop()
        .fault(Fault {
            needle: " up ",
            stderr: "Error response from daemon: no space left on device",
            effect: Effect::Everything,
        })
        .asks("web=3")
        .run()
        .await;
    agreed(
        "failure/what_a_failed_up_left_behind_is_removed",
        &story.told(),
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn what_compose_created_and_did_not_start_is_removed() {
    let services = "services: {web: {image: app, post_start: [{command: [warm, up]}]}}";
    let story = Scenario::new(services)
        .running("web", 1)
        .fault(Fault {
            needle: " up ",
            stderr: "Error response from daemon: all ports are allocated",
            effect: Effect::CreatedOnly,
        })
        .asks("web=3")
        .run()
        .await;
    agreed(
        "failure/what_compose_created_and_did_not_start_is_removed",
        &story.told(),
    );
    story.keeps("web");
}

#[tokio::test(start_paused = true)]
async fn an_up_that_did_nothing_leaves_nothing_to_take_back() {
    let story = shop()
        .fault(Fault {
            needle: " up ",
            stderr: "Error response from daemon: No such image: app:latest",
            effect: Effect::Nothing,
        })
        .asks("web=3")
        .run()
        .await;
    agreed(
        "failure/an_up_that_did_nothing_leaves_nothing_to_take_back",
        &story.told(),
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_service_takes_the_others_back_too() {
    let story = shop()
        .fate("shop-worker-4", crash())
        .asks("web=3 worker=4")
        .run()
        .await;
    agreed(
        "failure/a_failure_of_one_service_takes_the_others_back_too",
        &story.told(),
    );
    as_before(&story);
    let services = &story.document().services;
    assert!(
        services
            .iter()
            .all(|service| service.outcome == Outcome::RolledBack)
    );
    assert!(
        services[0].error.is_none() && services[1].error.is_some(),
        "only the one that failed is blamed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_finds_the_old_replicas_still_there() {
    let story = shop()
        .fate("shop-web-2", crash())
        .asks("web=2 worker=1")
        .run()
        .await;
    assert!(
        !story
            .changes()
            .iter()
            .any(|line| line.starts_with("docker stop ")),
        "{:?}",
        story.changes()
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_were_removed_are_brought_back_as_new_ones() {
    // With --step the worker has lost a replica already when the second wave of web crashes.
    let story = shop()
        .fate("shop-web-3", crash())
        .asks("web=3 worker=1")
        .with(|scaling| scaling.plan.step = Some(1))
        .run()
        .await;
    agreed(
        "failure/replicas_that_were_removed_are_brought_back_as_new_ones",
        &story.told(),
    );
    assert_eq!(
        story.there(),
        "db: 1 running, 2 running\nweb: 1 running\nworker: 1 running, 2 running, 3 running\n"
    );
    story.keeps("db");
    story.keeps("web");
}

/// The count is the former one, the replica is not: it is of the configuration of now.
#[tokio::test(start_paused = true)]
async fn what_was_brought_back_from_another_configuration_is_said() {
    for (hash, said) in [("newer", true), ("", false)] {
        let story = shop()
            .hash("worker", hash)
            .fate("shop-web-3", crash())
            .asks("web=3 worker=1")
            .with(|scaling| scaling.plan.step = Some(1))
            .run()
            .await;
        assert_eq!(story.document().outcome.to_string(), "rolled_back");
        let told = story.events.iter().any(|event| match event {
            Event::Note(note) => {
                note.contains("`worker` has its former count again, but not its former")
            }
            _ => false,
        });
        assert_eq!(told, said, "{:?}", story.events);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_was_started_along_goes_again() {
    let story = Scenario::new(SHOP)
        .running("worker", 1)
        .fate("shop-web-1", crash())
        .asks("web=1")
        .run()
        .await;
    assert_eq!(story.there(), "worker: 1 running\n");
    assert_eq!(story.document().outcome.to_string(), "rolled_back");
    story.keeps("worker");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_stopped_for_removal_is_started_again() {
    let story = shop()
        .fault(Fault {
            needle: "docker rm ",
            stderr: "Error response from daemon: device or resource busy",
            effect: Effect::Nothing,
        })
        .asks("worker=2")
        .run()
        .await;
    agreed(
        "failure/a_replica_that_was_stopped_for_removal_is_started_again",
        &story.told(),
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn keep_leaves_everything_for_inspection() {
    let story = shop()
        .fate("shop-web-3", crash())
        .asks("web=3")
        .with(|scaling| scaling.apply.keep = true)
        .run()
        .await;
    agreed(
        "failure/keep_leaves_everything_for_inspection",
        &story.told(),
    );
    assert_eq!(story.scaled().failure().unwrap().aftermath, Aftermath::Kept);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_told_with_its_reason() {
    let story = shop()
        .fate("shop-web-2", crash())
        .fault(Fault {
            needle: "docker rm ",
            stderr: "Error response from daemon: device or resource busy",
            effect: Effect::Nothing,
        })
        .asks("web=2")
        .run()
        .await;
    let scaled = story.scaled();
    assert_eq!(
        (
            story.document().outcome.to_string().as_str(),
            scaled.exit().code()
        ),
        ("failed", 1)
    );
    assert!(
        matches!(&scaled.failure().unwrap().aftermath, Aftermath::RollbackFailed(why) if !why.is_empty())
    );
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_unhealthy_before_fails_the_run_but_rolls_nothing_back() {
    let story = Scenario::new(SHOP)
        .container(Container::new("worker", 1, "running").health("unhealthy"))
        .asks("worker=2")
        .run()
        .await;
    agreed(
        "failure/a_replica_that_was_unhealthy_before_fails_the_run_but_rolls_nothing_back",
        &story.told(),
    );
    assert_eq!(story.scaled().failure().unwrap().aftermath, Aftermath::Kept);
    assert_eq!(story.there(), "worker: 1 running unhealthy, 2 running\n");
}

#[tokio::test(start_paused = true)]
async fn an_unsuccessful_look_is_told_and_rolled_back() {
    let story = shop()
        .fault(Fault {
            needle: "docker inspect ",
            stderr: "Error response from daemon: broken pipe",
            effect: Effect::Nothing,
        })
        .asks("web=2")
        .run()
        .await;
    assert_eq!(story.document().outcome.to_string(), "rolled_back");
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_disappears_is_told() {
    // Compose says that it is done, and has made one too few.
    let story = shop()
        .fault(Fault {
            needle: " up ",
            stderr: "",
            effect: Effect::SilentlyNothing,
        })
        .asks("web=2")
        .run()
        .await;
    assert_eq!(
        story.document().error.as_deref(),
        Some("`web` has 1 of the 2 replicas wanted")
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_keeps_the_replica() {
    let services = "services: {worker: {image: app, pre_stop: [{command: [drain]}]}}";
    let story = Scenario::new(services)
        .running("worker", 2)
        .fault(Fault {
            needle: "docker exec ",
            stderr: "drain: queue busy",
            effect: Effect::Nothing,
        })
        .asks("worker=1")
        .run()
        .await;
    assert_eq!(story.there(), "worker: 1 running, 2 running\n");
    let error = story.scaled().why().unwrap();
    assert!(
        error.starts_with("a pre_stop hook failed in `shop-worker-2`: "),
        "{error}"
    );
    story.keeps("worker");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_gives_what_runs_its_drain_and_its_grace() {
    let services =
        "services: {worker: {image: app, stop_grace_period: 45s, pre_stop: [{command: [drain]}]}}";
    let story = Scenario::new(services)
        .running("worker", 1)
        .fate("shop-worker-4", crash())
        .asks("worker=4")
        .with(|scaling| scaling.plan.step = Some(2))
        .run()
        .await;
    agreed(
        "failure/a_rollback_gives_what_runs_its_drain_and_its_grace",
        &story.told(),
    );
    story.keeps("worker");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_does_not_hold_up_a_rollback() {
    let services = "services: {worker: {image: app, pre_stop: [{command: [drain]}]}}";
    let story = Scenario::new(services)
        .running("worker", 1)
        .fate("shop-worker-3", crash())
        .fault(Fault {
            needle: "docker exec ",
            stderr: "drain: queue busy",
            effect: Effect::Nothing,
        })
        .asks("worker=3")
        .run()
        .await;
    assert_eq!(story.document().outcome.to_string(), "rolled_back");
    assert_eq!(story.there(), "worker: 1 running\n");
    story.keeps("worker");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_brings_back_what_it_can() {
    let story = shop()
        .fate("shop-web-3", crash())
        .fault(Fault {
            needle: "--volumes shop-web-3",
            stderr: "Error response from daemon: device or resource busy",
            effect: Effect::Nothing,
        })
        .asks("web=3 worker=1")
        .with(|scaling| scaling.plan.step = Some(1))
        .run()
        .await;
    let aftermath = &story.scaled().failure().unwrap().aftermath;
    assert!(
        matches!(aftermath, Aftermath::RollbackFailed(_)),
        "{aftermath:?}"
    );
    assert_eq!(
        story.there(),
        "db: 1 running, 2 running\nweb: 1 running, 3 exited\nworker: 1 running, 2 running, 3 running\n"
    );
}

/// The engine goes on with what it was asked after Compose gave up.
#[tokio::test(start_paused = true)]
async fn what_appears_after_a_failed_up_is_removed_too() {
    for distance in [300, 1500] {
        let story = shop()
            .fault(Fault {
                needle: " up ",
                stderr: "Error response from daemon: no space left on device",
                effect: Effect::Late(Duration::from_millis(distance)),
            })
            .asks("web=4")
            .run()
            .await;
        assert_eq!(story.document().outcome.to_string(), "rolled_back");
        let removed: Vec<&str> = story.changes().into_iter().skip(1).collect();
        let each =
            ["2", "3", "4"].map(|number| format!("docker rm --force --volumes shop-web-{number}"));
        assert_eq!(removed, each, "{distance}");
        as_before(&story);
    }
}
