//! Ctrl-C at any moment: new steps stop, what runs is ended, and the former state comes back.

use std::time::Duration;

use super::agreed;
use super::scenario::{Scenario, Story};
use super::simulation::Fate;

const SHOP: &str = "
services:
  db: {image: postgres}
  web: {image: app, depends_on: {db: {condition: service_started, required: true}}}
  worker: {image: app}
";

fn shop() -> Scenario {
    Scenario::new(SHOP)
        .running("db", 1)
        .running("web", 1)
        .running("worker", 2)
}

#[track_caller]
fn as_before(story: &Story) {
    let scaled = story.scaled();
    assert_eq!(
        (
            story.document().outcome.to_string().as_str(),
            scaled.exit().code()
        ),
        ("interrupted", 130),
        "{}",
        story.told()
    );
    assert_eq!(
        story.there(),
        "db: 1 running\nweb: 1 running\nworker: 1 running, 2 running\n"
    );
    story.keeps("db");
    story.keeps("web");
}

#[tokio::test(start_paused = true)]
async fn while_replicas_are_created_they_are_removed_again() {
    let story = shop().asks("web=3").interrupted_at(" up ").run().await;
    agreed(
        "interruption/while_replicas_are_created_they_are_removed_again",
        &story.told(),
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn while_replicas_are_started_they_are_removed_again() {
    let story = shop()
        .asks("web=3")
        .interrupted_at("docker start ")
        .run()
        .await;
    agreed(
        "interruption/while_replicas_are_started_they_are_removed_again",
        &story.told(),
    );
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn while_health_is_waited_for_it_ends_at_once() {
    let story = shop()
        .fate("shop-web-2", Fate::Healthy(Duration::from_secs(60)))
        .asks("web=2")
        .interrupted_at("docker inspect ")
        .run()
        .await;
    as_before(&story);
    assert!(story.took < Duration::from_secs(1), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn while_replicas_are_stopped_they_come_back() {
    let story = shop()
        .asks("web=2 worker=1")
        .interrupted_at("docker stop ")
        .run()
        .await;
    agreed(
        "interruption/while_replicas_are_stopped_they_come_back",
        &story.told(),
    );
    assert_eq!(story.scaled().exit().code(), 130);
}

#[tokio::test(start_paused = true)]
async fn between_two_steps_the_first_is_taken_back() {
    let story = shop()
        .asks("web=4 worker=1")
        .with(|scaling| scaling.plan.step = Some(1))
        .interrupted_at("docker rm ")
        .run()
        .await;
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn with_keep_it_stays_as_it_is() {
    let story = shop()
        .asks("web=3")
        .with(|scaling| scaling.apply.keep = true)
        .interrupted_at(" up ")
        .run()
        .await;
    assert_eq!(
        story.there(),
        "db: 1 running\nweb: 1 running, 2 created, 3 created\nworker: 1 running, 2 running\n"
    );
    assert_eq!(
        (
            story.document().outcome.to_string().as_str(),
            story.scaled().exit().code()
        ),
        ("interrupted", 130)
    );
}

#[tokio::test(start_paused = true)]
async fn before_the_first_change_nothing_is_done() {
    let story = shop()
        .asks("web=3")
        .interrupted_at("docker ps ")
        .run()
        .await;
    assert!(story.changes().is_empty(), "{:?}", story.changes());
    as_before(&story);
}

#[tokio::test(start_paused = true)]
async fn while_the_project_is_read_nothing_is_done() {
    for needle in [" config", "docker ps "] {
        let story = shop().asks("web=3").interrupted_at(needle).run().await;
        assert!(
            story.changes().is_empty(),
            "{needle}: {:?}",
            story.changes()
        );
        as_before(&story);
    }
}

#[tokio::test(start_paused = true)]
async fn while_another_run_is_waited_for_nothing_is_done() {
    let scenario = shop()
        .asks("web=3")
        .with(|scaling| scaling.lock_timeout = Duration::from_secs(3600));
    let _lock = scenario.other_run();
    let story = scenario.interrupted_at(" config").run().await;
    assert_eq!(story.error.map(|error| error.exit().code()), Some(130));
}

/// A second one, while the first is answered: what runs is ended, nothing else is begun, and what is left is said.
#[tokio::test(start_paused = true)]
async fn a_second_one_ends_the_roll_back() {
    for (needle, there) in [
        // Before anything is removed, and while it is.
        ("docker ps ", "web: 1 running, 2 created, 3 created\n"),
        ("docker rm ", "web: 1 running\n"),
    ] {
        let story = shop()
            .asks("web=3")
            .interrupted_at(" up ")
            .interrupted_at(needle)
            .run()
            .await;
        let scaled = story.scaled();
        assert_eq!(scaled.exit().code(), 130, "{needle}: {}", story.told());
        let last = story.changes().last().map(ToString::to_string);
        let last = last.unwrap_or_default();
        assert!(
            last.contains(" up ") || last.contains(needle),
            "{needle}: {last}"
        );
        assert!(story.there().contains(there), "{needle}: {}", story.there());
        assert!(story.took < Duration::from_secs(10), "{:?}", story.took);
    }
}
