//! What the policy adds to a scale: drain and its wait before replicas go, refresh after the set changed.

use std::time::Duration;

use crate::apply::{Aftermath, Event, WaitingFor};

use super::agreed;
use super::container::Container;
use super::scenario::{Scenario, Story};
use super::simulation::{Effect, Fate, Fault};

const SHOP: &str = "
services:
  front: {image: 'nginx:1'}
  web:
    image: app
    x-rscale:
      stop-timeout: 45s
      drain: {exec: [touch, /tmp/draining], wait: 5s}
      refresh: [{service: front, exec: [nginx, -s, reload]}]
  worker: {image: app}
";

fn shop(web: u32) -> Scenario {
    Scenario::new(SHOP)
        .running("front", 1)
        .running("web", web)
        .running("worker", 2)
}

fn fails(needle: &'static str) -> Fault {
    Fault {
        needle,
        stderr: "no such thing\n",
        effect: Effect::Nothing,
    }
}

/// How long replicas of a service were waited for, by what for.
fn waited(story: &Story, what: WaitingFor) -> Option<Duration> {
    let waits = story.events.iter().filter_map(|event| match event {
        Event::Waiting(waiting) if waiting.what == what => Some(waiting.elapsed),
        _ => None,
    });
    waits.max()
}

#[tokio::test(start_paused = true)]
async fn after_growing_balancers_are_told_once_every_replica_is_up() {
    let story = shop(1).asks("web=3").run().await;
    agreed(
        "policy/after_growing_balancers_are_told_once_every_replica_is_up",
        &story.told(),
    );
    story.keeps("front");
    story.keeps("worker");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_go_are_drained_then_stopped_then_balancers_are_told() {
    let story = shop(3).asks("web=1").run().await;
    agreed(
        "policy/replicas_that_go_are_drained_then_stopped_then_balancers_are_told",
        &story.told(),
    );
    // The whole wait is kept, and said every second.
    let waits = waited(&story, WaitingFor::DrainWait).unwrap();
    assert!(waits >= Duration::from_secs(4), "{waits:?}");
    assert!(story.took >= Duration::from_secs(5), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn every_wave_is_told_so_that_its_replicas_serve() {
    let story = shop(1)
        .asks("web=3")
        .with(|scaling| scaling.plan.step = Some(1))
        .run()
        .await;
    let told = story.changes().into_iter();
    let told: Vec<&str> = told.filter(|line| line.contains("reload")).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("RSCALE_REPLICAS=shop-web-1 shop-web-2'"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_runs_is_told_and_told_of() {
    let broken = |service: &str, number| Container::new(service, number, "exited");
    let story = shop(1)
        .container(broken("front", 2))
        .container(broken("web", 2))
        .fate("shop-web-2", Fate::WillNotStart("no"))
        .asks("web=3")
        .run()
        .await;
    // The roll-back leaves the broken one as it was.
    let changes = story.changes();
    let told: Vec<&&str> = changes
        .iter()
        .filter(|line| line.contains("reload"))
        .collect();
    let [told] = told.as_slice() else {
        panic!("{changes:?}")
    };
    assert!(told.contains("RSCALE_REPLICAS=shop-web-1 "), "{told}");
    assert!(told.contains("shop-front-1"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn services_without_a_policy_run_nothing_else() {
    let story = shop(1).asks("worker=1").run().await;
    assert!(!story.told().contains("exec"), "{}", story.told());
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_fails_stops_the_scale_down_and_nothing_goes() {
    let story = shop(3)
        .fault(fails("shop-web-2 touch"))
        .asks("web=1")
        .run()
        .await;
    agreed(
        "policy/a_drain_that_fails_stops_the_scale_down_and_nothing_goes",
        &story.told(),
    );
    story.keeps("web");
    let error = &story.scaled().failure().unwrap().error;
    assert_eq!(error.detail.as_deref(), Some("no such thing"));
    assert_eq!(
        error.hints,
        [
            "stop them all the same: rscale --force ...",
            "drained and still there, so it may take no more work: docker restart shop-web-3 (or write `drain.undo`)",
        ]
    );
}

/// The shop with a way back from the drain.
fn shop_with_undo() -> Scenario {
    let services = SHOP.replace("wait: 5s}", "wait: 5s, undo: [rm, -f, /tmp/draining]}");
    Scenario::new(&services)
        .running("front", 1)
        .running("web", 3)
}

#[tokio::test(start_paused = true)]
async fn replicas_that_stay_after_all_take_work_again() {
    let story = shop_with_undo()
        .fault(fails("shop-web-2 touch"))
        .asks("web=1")
        .run()
        .await;
    let changes = story.changes();
    assert_eq!(
        changes.last(),
        Some(&"docker exec shop-web-3 rm -f /tmp/draining"),
        "{changes:?}"
    );
    let hints = &story.scaled().failure().unwrap().error.hints;
    assert_eq!(hints.len(), 1, "{hints:?}");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_were_stopped_and_come_back_take_work_again() {
    let story = shop_with_undo()
        .interrupted_at("docker stop")
        .asks("web=1")
        .run()
        .await;
    let changes = story.changes();
    let at = |what: &str| changes.iter().position(|line| line.contains(what));
    for name in ["shop-web-2", "shop-web-3"] {
        let (started, undone) = (at("docker start"), at(&format!("{name} rm -f")));
        let removed = at(&format!("docker rm --force {name}"));
        assert!(
            removed.is_some() || (started.is_some() && undone > started),
            "{changes:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_fails_keeps_the_replicas_of_other_services_as_well() {
    let story = shop(2)
        .fault(fails("shop-web-2 touch"))
        .asks("web=1 worker=1")
        .run()
        .await;
    assert_eq!(story.scaled().exit().code(), 1);
    assert!(!story.told().contains("docker stop"), "{}", story.told());
    story.keeps("web");
    story.keeps("worker");
}

#[tokio::test(start_paused = true)]
async fn with_force_a_drain_that_fails_is_said_and_the_rest_is_done() {
    let story = shop(2)
        .fault(fails("shop-web-2 touch"))
        .asks("web=1")
        .with(|scaling| scaling.apply.force = true)
        .run()
        .await;
    assert_eq!(
        story.there(),
        "front: 1 running\nweb: 1 running\nworker: 1 running, 2 running\n"
    );
    let noted = |event: &Event| matches!(event, Event::Note(note) if note.contains("drain command failed in `shop-web-2`"));
    assert!(story.events.iter().any(noted), "{:?}", story.events);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_ended_meanwhile_needs_no_drain() {
    let gone = Fault {
        stderr: "Error response from daemon: Container 0123 is not running\n",
        ..fails("shop-web-2 touch")
    };
    let story = shop(2).fault(gone).asks("web=1").run().await;
    assert_eq!(story.scaled().exit().code(), 0, "{}", story.told());
}

/// A worker that exits once it is told to finish takes the command along that told it so; the engine says a moment
/// later that it has ended.
#[tokio::test(start_paused = true)]
async fn a_drain_that_ends_its_replica_is_no_failure() {
    for later in [Duration::ZERO, Duration::from_millis(700)] {
        let ends = Fault {
            effect: Effect::EndsIt(later),
            ..fails("shop-web-2 touch")
        };
        let story = shop(2).fault(ends).asks("web=1").run().await;
        assert_eq!(story.scaled().exit().code(), 0, "{}", story.told());
        let stays = |one: &Container| one.id == "shop-web-1-first";
        assert!(story.after.iter().any(stays), "{}", story.told());
        assert_eq!(
            story.there(),
            "front: 1 running\nweb: 1 running\nworker: 1 running, 2 running\n"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_killed_in_a_replica_that_lives_on_is_a_failure() {
    let killed = Fault {
        effect: Effect::EndsIt(Duration::from_secs(3600)),
        ..fails("shop-web-2 touch")
    };
    let story = shop(2).fault(killed).asks("web=1").run().await;
    assert_eq!(story.scaled().exit().code(), 1, "{}", story.told());
    story.keeps("web");
}

/// Two replicas were to go; one ended in its drain, and in the other it failed.
#[tokio::test(start_paused = true)]
async fn what_ended_in_its_drain_runs_again_when_nothing_goes_after_all() {
    let ends = Fault {
        effect: Effect::EndsIt(Duration::from_millis(300)),
        ..fails("shop-web-2 touch")
    };
    let story = shop(3)
        .fault(ends)
        .fault(fails("shop-web-3 touch"))
        .asks("web=1")
        .run()
        .await;
    assert_eq!(story.document().outcome.to_string(), "rolled_back");
    assert!(
        story
            .there()
            .contains("web: 1 running, 2 running, 3 running"),
        "{}",
        story.there()
    );
    story.keeps("web");
}

#[tokio::test(start_paused = true)]
async fn interrupted_while_it_drains_nothing_goes() {
    let story = shop(3)
        .interrupted_at("shop-web-2 touch")
        .asks("web=1")
        .run()
        .await;
    let scaled = story.scaled();
    assert_eq!(scaled.exit().code(), 130, "{}", story.told());
    assert!(!story.told().contains("docker stop"), "{}", story.told());
    // It does not rest for the drain's 5 seconds before it gives up.
    assert!(story.took < Duration::from_secs(5), "{:?}", story.took);
    story.keeps("web");
    let hints = &scaled.failure().unwrap().error.hints;
    assert!(
        hints.iter().any(|hint| hint.contains("docker restart")),
        "{hints:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_fails_the_run_and_rolls_nothing_back() {
    let story = shop(1).fault(fails("reload")).asks("web=3").run().await;
    agreed(
        "policy/a_refresh_that_fails_fails_the_run_and_rolls_nothing_back",
        &story.told(),
    );
    let failure = story.scaled().failure().unwrap();
    assert_eq!(failure.aftermath, Aftermath::Kept);
    assert_eq!(failure.error.detail.as_deref(), Some("no such thing"));
    assert!(
        failure.error.hints[0].ends_with("shop-front-1 nginx -s reload"),
        "{:?}",
        failure.error.hints
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_keeps_further_waves_from_going() {
    let story = shop(3)
        .fault(fails("reload"))
        .asks("web=1")
        .with(|scaling| scaling.plan.step = Some(1))
        .run()
        .await;
    assert_eq!(story.scaled().exit().code(), 1);
    assert!(
        story.there().contains("web: 1 running, 2 running\n"),
        "{}",
        story.there()
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_roll_back_balancers_are_told_of_what_is_left() {
    let story = shop(1)
        .fate("shop-web-3", Fate::Exits(3, Duration::from_millis(300)))
        .asks("web=3")
        .run()
        .await;
    agreed(
        "policy/after_a_roll_back_balancers_are_told_of_what_is_left",
        &story.told(),
    );
    story.keeps("web");
}

#[tokio::test(start_paused = true)]
async fn what_a_roll_back_takes_away_goes_whatever_its_drain_says() {
    let story = shop(1)
        .fate("shop-web-3", Fate::Exits(3, Duration::from_millis(300)))
        .fault(fails("shop-web-2 touch"))
        .asks("web=3")
        .run()
        .await;
    let failure = story.scaled().failure().unwrap();
    assert_eq!(failure.aftermath, Aftermath::RolledBack);
    story.keeps("web");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_drain_and_refresh_and_runs_neither() {
    let story = shop(2)
        .asks("web=1")
        .with(|scaling| scaling.dry_run = true)
        .run()
        .await;
    assert!(story.changes().is_empty());
    let commands = &story.document().commands;
    assert_eq!(commands[0], "docker exec shop-web-2 touch /tmp/draining");
    assert_eq!(
        commands[3],
        "docker exec --env RSCALE_PROJECT=shop --env RSCALE_REPLICAS=shop-web-1 --env RSCALE_SERVICE=web \
         shop-front-1 nginx -s reload"
    );
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_does_not_run_is_a_word_and_no_failure_when_forced() {
    let story = Scenario::new(SHOP)
        .running("web", 1)
        .asks("web=2")
        .with(|scaling| scaling.force = true)
        .run()
        .await;
    assert_eq!(story.scaled().exit().code(), 0, "{}", story.told());
    let noted =
        |event: &Event| matches!(event, Event::Note(note) if note.contains("`front` does not run"));
    assert!(story.events.iter().any(noted), "{:?}", story.events);
}
