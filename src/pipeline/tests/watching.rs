//! How long replicas are watched and waited for, where nothing is typed: it follows from what is known of them.

use std::time::Duration;

use super::container::Container;
use super::scenario::{Scenario, Story};
use super::simulation::Fate;
use crate::plan::outcome::Outcome;

const SHOP: &str = "
services:
  worker: {image: app}
  checked: {image: app, healthcheck: {test: [CMD, 'true'], start_period: 5m, interval: 10s, timeout: 10s, retries: 3}}
  quick: {image: app, healthcheck: {test: [CMD, 'true'], interval: 1s, timeout: 1s, retries: 3}}
";

fn shop() -> Scenario {
    Scenario::new(SHOP).with(|scaling| {
        scaling.apply.stable = None;
        scaling.apply.wait_timeout = None;
    })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn watched(story: &Story) -> Option<f64> {
    story.document().services[0].watched_seconds
}

/// A Python worker whose imports fail after three seconds.
fn crashes_late() -> Fate {
    Fate::Exits(1, seconds(3))
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_late_is_rolled_back_where_none_of_its_kind_is_known_to_stay_up() {
    let story = shop()
        .fate("shop-worker-1", crashes_late())
        .asks("worker=1")
        .run()
        .await;
    assert_eq!(story.scaled().outcome(), Outcome::RolledBack);
    assert_eq!(
        story.document().error.as_deref(),
        Some("`shop-worker-1` exited with code 1")
    );
    assert_eq!(story.after.len(), 0, "{}", story.there());
}

#[tokio::test(start_paused = true)]
async fn a_replica_of_a_kind_that_crashed_before_is_watched_for_longer() {
    let crashed = Container::new("worker", 2, "exited").exit_code(1);
    let story = shop()
        .running("worker", 1)
        .container(crashed)
        .fate("shop-worker-3", crashes_late())
        .asks("worker=3")
        .run()
        .await;
    assert_eq!(story.scaled().outcome(), Outcome::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn what_is_watched_for_longer_is_said_with_how_long() {
    let story = shop().asks("worker=2").run().await;
    assert_eq!(story.scaled().outcome(), Outcome::Scaled);
    assert_eq!(watched(&story), Some(5.0));
    assert!(story.took >= seconds(5), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_have_been_up_for_long_vouch_for_one_more() {
    let story = shop().running("worker", 1).asks("worker=2").run().await;
    assert_eq!(story.scaled().outcome(), Outcome::Scaled);
    assert_eq!(watched(&story), None);
    assert!(story.took < seconds(3), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn replicas_of_an_older_configuration_vouch_for_nobody() {
    let story = shop()
        .running("worker", 1)
        .hash("worker", "newer")
        .asks("worker=2")
        .run()
        .await;
    assert_eq!(story.scaled().outcome(), Outcome::Scaled);
    assert_eq!(watched(&story), Some(5.0));
}

#[tokio::test(start_paused = true)]
async fn a_time_that_is_typed_is_the_time() {
    let story = shop()
        .asks("worker=2")
        .with(|scaling| scaling.apply.stable = Some(seconds(1)))
        .run()
        .await;
    assert_eq!(watched(&story), None);
    assert!(story.took < seconds(3), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn a_healthcheck_that_allows_more_is_waited_for_as_long() {
    // 5 m and three times 10 s and 10 s: 6 m.
    for (service, healthy_after, outcome, least) in [
        ("checked", 350, Outcome::Scaled, 350),
        ("checked", 9999, Outcome::RolledBack, 360),
        ("quick", 110, Outcome::Scaled, 110),
        ("quick", 9999, Outcome::RolledBack, 120),
    ] {
        let name = format!("shop-{service}-1");
        let story = shop()
            .fate(&name, Fate::Healthy(seconds(healthy_after)))
            .asks(&format!("{service}=1"))
            .run()
            .await;
        assert_eq!(story.scaled().outcome(), outcome, "{service}");
        let took = story.took.as_secs();
        assert!((least..least + 30).contains(&took), "{service}: {took} s");
        assert_eq!(watched(&story), None, "{service}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_timeout_that_is_typed_outweighs_what_the_healthcheck_allows() {
    let story = shop()
        .fate("shop-checked-1", Fate::Healthy(seconds(100)))
        .asks("checked=1")
        .with(|scaling| scaling.apply.wait_timeout = Some(seconds(20)))
        .run()
        .await;
    assert_eq!(story.scaled().outcome(), Outcome::RolledBack);
    assert_eq!(
        story.document().error.as_deref(),
        Some("`shop-checked-1` is not healthy yet after 20s")
    );
}
