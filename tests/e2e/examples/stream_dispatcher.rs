//! The example stream-dispatcher, on a real engine.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::engine::{Engine, Project, entry, free_ports};
use crate::support::http::{Load, assert_all_good, get, post};

/// Within which all tasks of a test are done, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(150);
/// SHA-256 of `hello`.
const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// The example, up, with its queue in a list or in a stream. `None` when end-to-end tests are skipped.
fn started(queue: &str) -> Option<Project> {
    let project = Engine::example("stream-dispatcher")?;
    let first = free_ports(10);
    project.set("CONTROLLER_PORTS", &format!("{first}-{}", first + 9));
    project.write(".env", &format!("QUEUE_SOURCE={queue}\n"));
    project.compose(&["up", "-d", "--build", "--wait"]);
    Some(project)
}

/// The host port of a controller.
fn port(project: &Project, number: u32) -> u16 {
    let address = project.docker(&["port", &project.container("controller", number), "8000"]);
    let (_, port) = address.rsplit_once(':').unwrap();
    port.parse().unwrap()
}

/// Gives a controller tasks; their ids.
#[track_caller]
fn give(port: u16, number: u32, pull_seconds: f64, seconds: f64) -> Vec<u64> {
    let wish = json!({
        "text": "hello", "number": number, "pull_seconds": pull_seconds, "seconds": seconds,
    });
    let answer = post(port, "/tasks", &wish.to_string());
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let ids = answer["ids"].as_array().unwrap().iter();
    ids.map(|id| id.as_u64().unwrap()).collect()
}

#[track_caller]
fn page(port: u16, path: &str) -> Value {
    let answer = get(port, path);
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

/// How many tasks went through each dispatcher.
fn shares(stats: &Value) -> BTreeMap<String, u64> {
    let shares = stats["dispatchers"].as_object().unwrap().iter();
    shares
        .map(|(name, count)| (name.clone(), count.as_u64().unwrap()))
        .collect()
}

/// Waits until the stats are so; the stats.
#[track_caller]
fn wait_for_stats(port: u16, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = page(port, "/stats");
        if is_so(&stats) {
            return stats;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: not within {PATIENCE:?}; {stats:#}"
        );
        thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until this many tasks are done, and fails when one was lost or done twice.
#[track_caller]
fn wait_until_each_is_done_once(port: u16, count: u64) -> Value {
    let stats = wait_for_stats(port, &format!("{count} tasks done"), |stats| {
        // A dispatcher may still have to say that it is done with the last one.
        stats["tasks"]["done"] == count && stats["queue_length"] == 0
    });
    assert_eq!(
        (&stats["tasks"]["all"], &stats["tasks"]["most_deliveries"]),
        (&json!(count), &json!(1)),
        "a task was delivered twice: {stats:#}"
    );
    stats
}

/// The names under which dispatchers sign, by the number of their containers.
fn dispatchers(project: &Project) -> BTreeMap<u32, String> {
    let ids = project.ids("dispatcher").into_iter();
    ids.map(|(number, id)| (number, id[..12].to_owned()))
        .collect()
}

/// Runs rscale, which must succeed and leave every container alone that was there and stays, except those
/// that went.
#[track_caller]
fn scale(project: &Project, targets: &[&str], gone: &[(&str, u32)]) {
    let mut expected = project.all_ids();
    for (service, number) in gone {
        expected.remove(&((*service).to_owned(), *number)).unwrap();
    }
    let ran = project.rscale(targets).succeeded();
    let now = project.all_ids();
    for (replica, id) in &expected {
        assert_eq!(
            now.get(replica),
            Some(id),
            "{replica:?} was touched by\n{ran}"
        );
    }
    let named: BTreeSet<&str> = targets
        .iter()
        .filter_map(|target| target.split('=').next())
        .collect();
    for replica in now.keys().filter(|replica| !expected.contains_key(replica)) {
        assert!(
            named.contains(replica.0.as_str()),
            "{replica:?} is new after\n{ran}"
        );
    }
}

/// Established connections at PgBouncer's port, by the address of the client.
fn pgbouncer_connections(project: &Project) -> BTreeMap<String, usize> {
    let table = project.docker(&[
        "exec",
        &project.container("pgbouncer", 1),
        "cat",
        "/proc/net/tcp",
    ]);
    let mut counts = BTreeMap::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        // Local address, remote address, state: 1920 is 6432, 01 is established.
        if columns[1].ends_with(":1920") && columns[3] == "01" {
            let (client, _) = columns[2].split_once(':').unwrap();
            *counts.entry(client.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// How many tasks of the list a dispatcher is at.
fn in_hand(project: &Project) -> u64 {
    let redis = project.container("redis", 1);
    let count = project.docker(&["exec", &redis, "redis-cli", "llen", "tasks:in-hand"]);
    count.parse().unwrap()
}

/// What a dispatcher that crashed had in hand is not lost: it puts it back when it starts again.
fn dispatcher_crashes(project: &Project, first: u16) {
    give(first, 12, 5.0, 0.0);
    let dispatcher = project.container("dispatcher", 1);
    project.wait_until("it has something in hand", || in_hand(project) > 0);
    project.docker(&["kill", &dispatcher]);
    assert_ne!(
        in_hand(project),
        0,
        "the dispatcher was killed with nothing in hand"
    );
    project.docker(&["start", &dispatcher]);
    wait_until_each_is_done_once(first, 97);
}

/// The refusal has a reason: a second one puts back what the first is working on.
fn second_dispatcher_is_forced(project: &Project, first: u16) {
    give(first, 24, 4.0, 0.0);
    project.wait_until("it has something in hand", || in_hand(project) > 0);
    project.rscale(&["dispatcher=2", "--force"]).succeeded();
    wait_for_stats(first, "a task that is delivered twice", |stats| {
        stats["tasks"]["most_deliveries"].as_u64() > Some(1)
    });
    scale(project, &["dispatcher=1"], &[("dispatcher", 2)]);
}

#[test]
fn a_list_has_one_dispatcher_and_pgbouncer_a_budget() {
    let Some(project) = started("redis-list") else {
        return;
    };
    let first = port(&project, 1);

    // A task goes all the way.
    let id = give(first, 1, 0.0, 0.0)[0];
    wait_until_each_is_done_once(first, 1);
    let task = page(first, &format!("/tasks/{id}"));
    assert_eq!(
        (&task["digest"], &task["dispatcher"]),
        (&json!(DIGEST), &json!(dispatchers(&project)[&1])),
        "{task:#}"
    );

    // A second dispatcher is refused, and so is a queue that does not exist.
    let before = project.all_ids();
    let document = project.json(&["dispatcher=2"]).exited(3).document();
    let finding = &document["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["service"], &finding["severity"]),
        (&json!("limits"), &json!("dispatcher"), &json!("error")),
        "{document:#}"
    );
    project
        .rscale(&["dispatcher=2"])
        .exited(3)
        .says("`x-rscale` says `scalable: false`: exactly 1");
    project.set("QUEUE_SOURCE", "redis-steam");
    project
        .rscale(&["dispatcher=2"])
        .exited(4)
        .says("redis-steam");
    project.unset("QUEUE_SOURCE");
    assert_eq!(project.all_ids(), before, "a refusal touched containers");

    // What is stateless grows, and nothing else changes; each new replica works.
    scale(&project, &["controller=3", "celery-dispatch=2"], &[]);
    let ports: Vec<u16> = (1..=3).map(|number| port(&project, number)).collect();
    let loads: Vec<Load> = ports
        .iter()
        .map(|port| Load::start(*port, "/stats", 8, Duration::from_millis(20)))
        .collect();
    for port in &ports {
        give(*port, 20, 0.0, 0.1);
    }
    wait_until_each_is_done_once(first, 61);
    for index in ["1", "2"] {
        let log = project.compose(&["logs", "--index", index, "celery-dispatch"]);
        assert!(
            log.stdout.contains("succeeded") || log.stderr.contains("succeeded"),
            "worker {index} did nothing\n{log}"
        );
    }

    // The budget is true: no replica holds more than it says, while eight clients ask each controller. The
    // least of several looks: one may see a connection that is being replaced beside the new one.
    let looks = (0..5).map(|_| {
        thread::sleep(Duration::from_millis(200));
        let connections = pgbouncer_connections(&project);
        connections.values().max().copied().unwrap_or_default()
    });
    let most = looks.min().unwrap();
    for load in loads {
        assert_all_good(&load.stop());
    }
    assert!(
        (5..=8).contains(&most),
        "a controller holds 8 connections at most, and this one {most}"
    );
    super::load_test(&project, &["Stats", "Run", "tasks"]);
    project
        .rscale(&["controller=7"])
        .exited(3)
        .says("error[connections]: all replicas would hold 66 connections to `pgbouncer`, which takes 60; 6 replicas of `controller` would fit");
    project.rscale(&["check", "controller=6"]).succeeded();

    // Workers and controllers that go finish what they have.
    give(first, 24, 0.0, 1.0);
    wait_for_stats(first, "the first of 24 done", |stats| {
        stats["tasks"]["done"].as_u64() > Some(61)
    });
    scale(
        &project,
        &["celery-dispatch=1", "controller=1"],
        &[("celery-dispatch", 2), ("controller", 2), ("controller", 3)],
    );
    wait_until_each_is_done_once(first, 85);

    dispatcher_crashes(&project, first);
    second_dispatcher_is_forced(&project, first);

    // The other queue of the workers.
    wait_for_stats(first, "all done", |stats| stats["tasks"]["done"] == 121);
    assert_eq!(post(first, "/cleanup", r#"{"older_than": 0}"#).status, 202);
    wait_for_stats(first, "all tasks deleted", |stats| {
        stats["tasks"]["all"] == 0
    });
    project.assert_a_later_up_recreates_nothing();
}

#[test]
fn a_stream_is_shared_by_several_dispatchers() {
    let Some(project) = started("redis-stream") else {
        return;
    };
    // Long enough for what is in hand of a live dispatcher, short enough for a test.
    project.set("CLAIM_AFTER", "20");
    project.compose(&["up", "-d", "--wait"]);
    let first = port(&project, 1);
    let consumers = || {
        let redis = project.container("redis", 1);
        let table = project.docker(&[
            "exec",
            &redis,
            "redis-cli",
            "--json",
            "xinfo",
            "consumers",
            "tasks:stream",
            "dispatchers",
        ]);
        let table: Vec<Value> = serde_json::from_str(&table).unwrap();
        let names = table
            .iter()
            .map(|consumer| consumer["name"].as_str().unwrap().to_owned());
        names.collect::<BTreeSet<String>>()
    };

    scale(&project, &["dispatcher=3"], &[]);
    let three = dispatchers(&project);
    let status = project.json(&["status"]).succeeded().document();
    assert_eq!(
        entry(&status["services"], "dispatcher")["max"],
        8,
        "the policy of the stream"
    );
    project.rscale(&["dispatcher=9"]).exited(3);

    // All three share the work.
    give(first, 100, 0.5, 0.0);
    let stats = wait_for_stats(first, "work for each of three", |stats| {
        shares(stats).len() == 3
    });
    let signed: BTreeSet<String> = shares(&stats).into_keys().collect();
    assert_eq!(signed, three.values().cloned().collect());

    // In the middle of it two of them go, and one comes: nothing is lost and nothing doubled.
    give(first, 200, 1.0, 0.0);
    scale(
        &project,
        &["dispatcher=1"],
        &[("dispatcher", 2), ("dispatcher", 3)],
    );
    let waiting = page(first, "/stats")["queue_length"].as_u64().unwrap();
    assert!(waiting > 0, "all was done before the dispatchers went");
    scale(&project, &["dispatcher=2"], &[]);
    let stats = wait_until_each_is_done_once(first, 300);
    let shares = shares(&stats);
    assert_eq!(shares.values().sum::<u64>(), 300, "{shares:?}");
    let two = dispatchers(&project);
    assert_eq!(
        consumers(),
        two.values().cloned().collect(),
        "who went signed off"
    );

    let ran = super::load_test(&project, &["Stats", "Run", "tasks:stream"]);
    for number in two.keys() {
        assert!(
            ran.stdout
                .contains(&project.container("dispatcher", *number)),
            "{ran}"
        );
    }

    // Redis stands still while tasks come and go: an answer that is late is no reason to say it again.
    give(first, 10, 0.5, 0.0);
    let redis = project.container("redis", 1);
    project.docker(&["pause", &redis]);
    let giving = thread::spawn(move || give(first, 10, 0.0, 0.0));
    thread::sleep(Duration::from_secs(7));
    project.docker(&["unpause", &redis]);
    giving.join().unwrap();
    wait_until_each_is_done_once(first, 320);

    // What a dispatcher that was killed had in hand is taken over by the other.
    give(first, 12, 5.0, 0.0);
    project.wait_until("the second one has something in hand", || {
        let pending = ["redis-cli", "xpending", "tasks:stream", "dispatchers"];
        let said = project.docker(&[["exec", redis.as_str()].as_slice(), &pending].concat());
        said.contains(&two[&2])
    });
    project.docker(&["kill", &project.container("dispatcher", 2)]);
    assert!(consumers().contains(&two[&2]), "it could not sign off");
    wait_until_each_is_done_once(first, 332);
    project.rscale(&["dispatcher=1"]).succeeded();

    // Back to the list: the policy follows.
    project.make(&["list"]).succeeded();
    project.rscale(&["dispatcher=2"]).exited(3);
    give(port(&project, 1), 3, 0.0, 0.0);
    wait_until_each_is_done_once(port(&project, 1), 335);
}

#[test]
fn temporal_is_in_a_profile() {
    let Some(project) = Engine::example("stream-dispatcher") else {
        return;
    };
    let services = |profile: &[&str]| {
        let args = [profile, &["config", "--services"]].concat();
        let listing = project.compose(&args).stdout;
        listing
            .lines()
            .map(str::to_owned)
            .collect::<BTreeSet<String>>()
    };
    let (without, with) = (services(&[]), services(&["--profile", "temporal"]));
    let more: Vec<&str> = with.difference(&without).map(String::as_str).collect();
    assert_eq!(more, ["temporal", "temporal-worker"]);
    // Its policy holds.
    let check = ["--profile", "temporal", "check", "temporal-worker=11"];
    let document = project.json(&check).exited(3).document();
    let finding = &document["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["service"]),
        (&json!("limits"), &json!("temporal-worker")),
        "{document:#}"
    );
}
