//! What is run, and in which order, when all goes well.

use std::time::Duration;

use crate::pipeline::selection::Asked;
use crate::project::target::Count;

use super::agreed;
use super::container::Container;
use super::scenario::Scenario;
use super::simulation::Fate;

const SHOP: &str = "
services:
  db: {image: postgres}
  cache: {image: redis}
  web: {image: app, depends_on: {db: {condition: service_started, required: true}}}
  worker: {image: app}
";

fn shop() -> Scenario {
    Scenario::new(SHOP)
        .running("db", 2)
        .running("cache", 1)
        .running("web", 1)
        .running("worker", 3)
}

#[tokio::test(start_paused = true)]
async fn up_creates_with_every_dependency_pinned_then_starts_several_at_a_time() {
    let story = shop().asks("web=4").run().await;
    agreed(
        "order/up_creates_with_every_dependency_pinned_then_starts_several_at_a_time",
        &story.told(),
    );
    for service in ["db", "cache", "worker"] {
        story.keeps(service);
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_replicas_are_started_in_eight_shares() {
    let story = shop().asks("worker=23").run().await;
    assert_eq!(
        story
            .changes()
            .iter()
            .filter(|line| line.starts_with("docker start "))
            .count(),
        7
    );
    assert_eq!(
        story
            .after
            .iter()
            .filter(|one| one.service == "worker" && one.state == "running")
            .count(),
        23
    );
    agreed(
        "order/twenty_replicas_are_started_in_eight_shares",
        &story.changes().join("\n"),
    );
}

#[tokio::test(start_paused = true)]
async fn down_stops_the_highest_numbers_and_keeps_the_rest() {
    let story = shop().asks("worker=1").run().await;
    agreed(
        "order/down_stops_the_highest_numbers_and_keeps_the_rest",
        &story.told(),
    );
}

#[tokio::test(start_paused = true)]
async fn down_to_nothing_verifies_nothing() {
    let story = shop().asks("worker=0").run().await;
    agreed("order/down_to_nothing_verifies_nothing", &story.told());
}

#[tokio::test(start_paused = true)]
async fn broken_replicas_go_before_good_ones() {
    let story = Scenario::new(SHOP)
        .container(Container::new("worker", 1, "exited").exit_code(1))
        .container(Container::new("worker", 2, "running").health("unhealthy"))
        .container(Container::new("worker", 3, "running").health("healthy"))
        .container(Container::new("worker", 4, "dead"))
        .container(Container::new("worker", 5, "running").health("healthy"))
        .asks("worker=2")
        .run()
        .await;
    agreed("order/broken_replicas_go_before_good_ones", &story.told());
}

#[tokio::test(start_paused = true)]
async fn outdated_replicas_go_before_current_ones_and_none_is_recreated() {
    let with_hash = |number, hash: &str| {
        let mut container = Container::new("worker", number, "running");
        container.config_hash = hash.into();
        container
    };
    let story = Scenario::new(SHOP)
        .hash("worker", "new")
        .container(with_hash(1, "old"))
        .container(with_hash(2, "new"))
        .container(with_hash(3, "old"))
        .container(with_hash(4, "new"))
        .asks("worker=2")
        .run()
        .await;
    agreed(
        "order/outdated_replicas_go_before_current_ones_and_none_is_recreated",
        &story.told(),
    );
    let ids: Vec<&str> = story.after.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["shop-worker-2-first", "shop-worker-4-first"]);
}

#[tokio::test(start_paused = true)]
async fn what_grows_is_verified_before_anything_that_runs_goes() {
    let story = shop().asks("web=3 worker=1").run().await;
    agreed(
        "order/what_grows_is_verified_before_anything_that_runs_goes",
        &story.told(),
    );
}

#[tokio::test(start_paused = true)]
async fn steps_are_verified_one_by_one_with_a_rest_between() {
    let story = shop()
        .asks("web=6 worker=1")
        .with(|scaling| {
            scaling.plan.step = Some(2);
            scaling.plan.pause = Duration::from_secs(30);
        })
        .run()
        .await;
    agreed(
        "order/steps_are_verified_one_by_one_with_a_rest_between",
        &story.told(),
    );
    // Two rests, and each wave of new replicas is watched for a second.
    assert!((62..70).contains(&story.took.as_secs()), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn start_hooks_are_left_to_compose() {
    let services = "services: {web: {image: app, post_start: [{command: [warm, up]}]}}";
    let story = Scenario::new(services)
        .running("web", 1)
        .asks("web=3")
        .run()
        .await;
    agreed("order/start_hooks_are_left_to_compose", &story.told());
}

#[tokio::test(start_paused = true)]
async fn replicas_behind_a_port_range_are_not_started_at_the_same_time() {
    let services =
        "services: {web: {image: app, ports: [{target: 80, published: 8000-8019, protocol: tcp}]}}";
    let story = Scenario::new(services)
        .running("web", 1)
        .asks("web=4")
        .run()
        .await;
    let changes = story.changes();
    let starts = changes
        .iter()
        .filter(|line| line.starts_with("docker start "))
        .count();
    assert!(
        starts <= 1,
        "the engine hands out the ports of a range one after another: {changes:?}"
    );
    assert_eq!(
        story.there(),
        "web: 1 running, 2 running, 3 running, 4 running\n"
    );
    story.keeps_first("web", 1);
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_does_not_run_is_started_and_told() {
    for db in [None, Some(Container::new("db", 1, "exited"))] {
        let mut scenario = Scenario::new(SHOP).running("cache", 1).asks("web=2");
        if let Some(db) = db {
            scenario = scenario.container(db);
        }
        let story = scenario.run().await;
        assert_eq!(
            story.changes(),
            ["docker compose up --detach --no-recreate --scale web=2 --scale db=1 web"]
        );
        assert_eq!(
            story.notes,
            ["starting `db` (1) as well: it is a dependency and does not run"]
        );
        assert_eq!(
            story.there(),
            "cache: 1 running\ndb: 1 running\nweb: 1 running, 2 running\n"
        );
        story.keeps("cache");
    }
}

#[tokio::test(start_paused = true)]
async fn without_deps_a_dependency_that_is_missing_stays_missing() {
    let story = Scenario::new(SHOP)
        .asks("web=2")
        .with(|scaling| scaling.plan.no_deps = true)
        .run()
        .await;
    assert_eq!(
        story.changes(),
        [
            "docker compose up --no-start --no-recreate --scale web=2 --scale db=0 web",
            "docker start shop-web-1",
            "docker start shop-web-2"
        ]
    );
    assert_eq!(story.there(), "web: 1 running, 2 running\n");
}

#[tokio::test(start_paused = true)]
async fn stopped_replicas_that_are_kept_are_started() {
    let story = Scenario::new(SHOP)
        .running("worker", 1)
        .container(Container::new("worker", 2, "exited").exit_code(1))
        .container(Container::new("worker", 3, "created"))
        .asks("worker=4")
        .run()
        .await;
    agreed(
        "order/stopped_replicas_that_are_kept_are_started",
        &story.told(),
    );
}

#[tokio::test(start_paused = true)]
async fn holes_in_the_numbers_are_not_refilled() {
    let story = Scenario::new(SHOP)
        .container(Container::new("worker", 2, "running"))
        .container(Container::new("worker", 5, "running"))
        .asks("worker=3")
        .run()
        .await;
    assert_eq!(story.there(), "worker: 2 running, 5 running, 6 running\n");
    assert_eq!(story.changes().last(), Some(&"docker start shop-worker-6"));
}

#[tokio::test(start_paused = true)]
async fn health_is_waited_for() {
    let story = Scenario::new(SHOP)
        .running("worker", 1)
        .fate("shop-worker-2", Fate::Healthy(Duration::from_secs(40)))
        .asks("worker=2")
        .run()
        .await;
    assert_eq!(story.document().outcome.to_string(), "scaled");
    assert_eq!(story.document().services[0].healthy, Some(1));
    assert!((40..45).contains(&story.took.as_secs()), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn without_waiting_it_returns_at_once() {
    let story = Scenario::new(SHOP)
        .fate("shop-worker-1", Fate::Healthy(Duration::from_secs(40)))
        .asks("worker=1")
        .with(|scaling| scaling.plan.verify = false)
        .run()
        .await;
    agreed("order/without_waiting_it_returns_at_once", &story.told());
    assert_eq!(story.took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do_runs_nothing_that_changes() {
    let story = shop().asks("web=1 worker=3").run().await;
    assert_eq!(story.did, Vec::<String>::new());
    assert_eq!(story.document().outcome.to_string(), "unchanged");
}

#[tokio::test(start_paused = true)]
async fn hooks_run_in_every_replica_that_goes() {
    let services = "services: {worker: {image: app, stop_grace_period: 1m30s, pre_stop: [{command: [drain, now], user: root}]}}";
    let story = Scenario::new(services)
        .running("worker", 3)
        .asks("worker=1")
        .run()
        .await;
    agreed("order/hooks_run_in_every_replica_that_goes", &story.told());
}

#[tokio::test(start_paused = true)]
async fn all_that_can_be_scaled_is_scaled_in_one_call() {
    let services = "
services:
  api: {image: app}
  beat: {image: app, command: celery -A app beat}
  db: {image: 'postgres:16', volumes: [{type: volume, source: data, target: /var/lib/postgresql/data}]}
  worker: {image: app}
";
    let story = Scenario::new(services)
        .running("api", 1)
        .running("beat", 1)
        .running("db", 1)
        .running("worker", 3)
        .with(|scaling| {
            scaling.asked = Asked::All {
                count: Count::Exactly(2),
                only: Vec::new(),
                except: Vec::new(),
            }
        })
        .run()
        .await;
    agreed(
        "order/all_that_can_be_scaled_is_scaled_in_one_call",
        &story.told(),
    );
    let document = story.document();
    let left_alone: Vec<&str> = document
        .left_alone
        .iter()
        .map(|item| item.name.as_str())
        .collect();
    assert_eq!(left_alone, ["beat", "db"]);
    story.keeps("beat");
    story.keeps("db");
}

/// A scenario for what is asked, made anew for each run.
type Make = fn(&str) -> Scenario;

/// What `--dry-run` prints is what is run: command by command.
#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_the_very_commands() {
    let scenarios: &[(&str, Make)] = &[
        ("web=4", |asks| shop().asks(asks)),
        ("worker=23", |asks| shop().asks(asks)),
        ("web=3 worker=1", |asks| shop().asks(asks)),
        ("web=0 worker=0", |asks| shop().asks(asks)),
        ("web=6 worker=1", |asks| {
            shop()
                .asks(asks)
                .with(|scaling| scaling.plan.step = Some(2))
        }),
        ("web=2", |asks| Scenario::new(SHOP).asks(asks)),
        ("web=3 worker=4", |asks| {
            Scenario::new(SHOP)
                .running("db", 1)
                .container(Container::new("web", 1, "exited"))
                .container(Container::new("worker", 2, "exited"))
                .container(Container::new("worker", 4, "dead"))
                .asks(asks)
        }),
    ];
    for (asks, scenario) in scenarios {
        let planned = scenario(asks)
            .with(|scaling| scaling.dry_run = true)
            .run()
            .await;
        assert_eq!(
            planned.did,
            Vec::<String>::new(),
            "{asks}: a dry run changed something"
        );
        assert_eq!(planned.after.len(), planned.before.len());
        let done = scenario(asks).run().await;
        assert_eq!(done.document().outcome.to_string(), "scaled", "{asks}");
        assert!(!done.changes().is_empty());
        assert_eq!(
            planned.document().commands,
            done.changes(),
            "{asks}: planned (left), done (right)"
        );
        assert_eq!(
            done.document().commands,
            done.changes(),
            "{asks}: told (left), done (right)"
        );
    }
}

/// Each service has its own time: one that is up at once does not wait for one that takes long.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_service_is_its_own() {
    let story = shop()
        .fate("shop-web-2", Fate::Healthy(Duration::from_secs(20)))
        .asks("web=2 worker=4")
        .run()
        .await;
    let seconds = |name: &str| {
        let services = &story.document().services;
        services
            .iter()
            .find(|one| one.name == name)
            .unwrap()
            .seconds
    };
    assert!(seconds("worker") < 3.0, "{}", seconds("worker"));
    assert!(seconds("web") >= 20.0, "{}", seconds("web"));
}
