//! The example django-celery-nginx, on a real engine.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::engine::{Engine, Project, Ran, entry, free_ports};
use crate::support::http::{Answer, Load, assert_all_good, get, post};

/// How long a long request takes, in seconds.
const LONG: u32 = 10;
/// How long the naps of the workers take, in seconds.
const NAP: u32 = 8;

/// The stack, with the port that nginx listens on.
fn up() -> Option<(Project, u16)> {
    let project = Engine::example("django-celery-nginx")?;
    let port = free_ports(1);
    project.set("HTTP_PORT", &port.to_string());
    project.make(&["up"]).succeeded();
    Some((project, port))
}

/// The numbers of the replicas that answer the next 60 requests, which all have to be good.
#[track_caller]
fn who_answers(project: &Project, port: u16) -> BTreeSet<u32> {
    let answers: Vec<Answer> = (0..60).map(|_| get(port, "/")).collect();
    assert_all_good(&answers);
    let ids = project.ids("web-django");
    let number = |answer: &Answer| {
        let replica = answer.body.split(':').next().unwrap();
        let found = ids.iter().find(|(_, id)| id.starts_with(replica));
        *found
            .unwrap_or_else(|| panic!("`{}` is from none of {ids:?}", answer.body))
            .0
    };
    answers.iter().map(number).collect()
}

/// A load as it goes on while replicas go: four clients that hardly rest.
fn load(port: u16) -> Load {
    Load::start(port, "/", 4, Duration::from_millis(20))
}

/// For so long nginx leaves a replica alone that has refused a connection (`fail_timeout`).
const REMEMBERED: Duration = Duration::from_secs(10);

/// What nginx has said of replicas that did not even refuse it: each holds a request up for as long as
/// `proxy_connect_timeout`, which on a slow machine nobody could tell from other reasons by the clock.
fn silent(project: &Project) -> Vec<String> {
    let log = project.compose(&["logs", "--no-log-prefix", "nginx"]);
    let lines = log.stdout.lines().chain(log.stderr.lines());
    // Timed out, no route to host.
    let silent = |line: &&str| line.contains("(110:") || line.contains("(113:");
    lines.filter(silent).map(str::to_owned).collect()
}

/// Fails unless the run was refused by this rule for this service, and nothing was touched.
#[track_caller]
fn assert_refused(project: &Project, target: &str, rule: &str) {
    let before = project.all_ids();
    let ran = project.json(&[target]).exited(3);
    let document = ran.document();
    let errors: Vec<&str> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect();
    assert_eq!(errors, [rule], "{ran}");
    assert_eq!(project.all_ids(), before, "{ran}");
}

#[track_caller]
fn assert_scaled(ran: &Ran, service: &str, from: u32, to: u32) {
    let document = ran.document();
    let scaled = entry(&document["services"], service);
    assert_eq!(scaled["outcome"], "scaled", "{ran}");
    assert_eq!(scaled["from"], from, "{ran}");
    assert_eq!(scaled["running"], to, "{ran}");
    assert_eq!(scaled["healthy"], to, "{ran}");
    assert_eq!(
        document["untouched"]["changed"].as_array().unwrap().len(),
        0
    );
}

/// How many naps the workers have recorded.
fn naps(port: u16) -> u64 {
    let answer = get(port, "/runs");
    let runs: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
    let runs = runs["runs"].as_array().unwrap();
    runs.iter()
        .filter(|run| run["task"] == "nap")
        .map(|run| run["ended"].as_u64().unwrap())
        .sum()
}

#[test]
fn web_and_workers_grow_and_shrink_without_losing_a_request_or_a_task() {
    let Some((project, port)) = up() else { return };
    let before = project.all_ids();

    let ran = project
        .json(&["web-django=3", "celery_worker=4"])
        .succeeded();
    assert_scaled(&ran, "web-django", 1, 3);
    assert_scaled(&ran, "celery_worker", 1, 4);
    let after = project.all_ids();
    assert!(
        before
            .iter()
            .all(|(replica, id)| after.get(replica) == Some(id)),
        "containers that were there changed: {before:?} {after:?}"
    );
    assert_eq!(
        who_answers(&project, port),
        BTreeSet::from([1, 2, 3]),
        "nginx was not told of the new replicas"
    );

    assert_refused(&project, "celery_beat=2", "scheduler");
    assert_refused(&project, "backend-db=2", "stateful");
    // 8 x 4 + 4 x 2 connections are more than the 36 that PostgreSQL has for them, and 7 x 4 + 4 x 2 are not.
    assert_refused(&project, "web-django=8", "connections");
    project.rscale(&["check", "web-django=7"]).succeeded();

    // Pages go through nginx to all replicas, tasks to all workers, and every task is recorded.
    let ran = super::load_test(&project, &["Page", "Nap"]);
    for number in 1..=3 {
        assert!(
            ran.stdout
                .contains(&project.container("web-django", number)),
            "{ran}"
        );
    }
    assert_eq!(naps(port), 20, "{ran}");

    assert_connections_are_as_the_policy_says(&project, port);
    assert_no_request_suffers(&project, port, &[]);
    project.rscale(&["web-django=2"]).succeeded();
    assert_no_request_suffers(&project, port, &[2]);
    assert_no_task_is_lost(&project, port);
}

/// More requests at a time than all threads can serve, and no replica holds more than its budget.
fn assert_connections_are_as_the_policy_says(project: &Project, port: u16) {
    let database = project.container("backend-db", 1);
    let most = || {
        project.docker(&[
            "exec",
            &database,
            "psql",
            "--username=shop",
            "--tuples-only",
            "--no-align",
            "--command=SELECT count(*) FROM pg_stat_activity WHERE client_addr IS NOT NULL \
             AND datname = 'shop' GROUP BY client_addr ORDER BY 1 DESC LIMIT 1",
        ])
    };
    let rush = Load::start(port, "/", 40, Duration::ZERO);
    project.wait_until("a replica is busy with all its threads", || {
        most().parse::<u32>().is_ok_and(|most| most >= 4)
    });
    thread::sleep(Duration::from_secs(2));
    assert_eq!(most(), "4", "connections of a busy replica");
    rush.stop();
}

/// Down to one replica, with a load on all of them, and a long request to each of those that are `busy`.
fn assert_no_request_suffers(project: &Project, port: u16, busy: &[u32]) {
    let replicas = u32::try_from(project.numbers("web-django").len()).unwrap();
    let silent_before = silent(project);
    let under_way = load(port);
    let nginx = project.container("nginx", 1);
    let long = busy.iter().map(|number| {
        let replica = project.container("web-django", *number);
        let url = format!("http://{replica}:8000/slow?seconds={LONG}");
        Command::new("docker")
            .args(["exec", &nginx, "curl", "-fsS", "-H", "Host: localhost"])
            .arg(url)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    });
    let long: Vec<_> = long.collect();
    project.wait_until("the long requests are under way", || {
        let processes = project.docker(&["top", &nginx]);
        processes.matches("slow?seconds").count() >= busy.len()
    });
    thread::sleep(Duration::from_secs(1));
    let ran = project.json(&["web-django=1"]).succeeded();
    thread::sleep(Duration::from_secs(1));
    let answers = under_way.stop();
    assert_scaled(&ran, "web-django", replicas, 1);
    for mut request in long {
        assert!(
            request.wait().unwrap().success(),
            "a request that had begun was cut off"
        );
    }
    assert_all_good(&answers);
    // The limit that the README tells of: a machine that is slower than this.
    if ran.took < REMEMBERED {
        assert_eq!(silent(project), silent_before, "a request was held up");
    }
}

/// Four workers to one while they are at work: those that go end what they have begun.
fn assert_no_task_is_lost(project: &Project, port: u16) {
    let before = naps(port);
    for _ in 0..8 {
        let answer = post(port, "/naps", &format!(r#"{{"seconds": {NAP}}}"#));
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    project.wait_until("every nap is at a worker", || {
        let status = project.json(&["status"]).succeeded().document();
        entry(&status["services"], "celery_worker")["queue"]["ready"] == 0
    });
    let ran = project.json(&["celery_worker=1"]).succeeded();
    assert_scaled(&ran, "celery_worker", 4, 1);
    project.wait_until("8 naps", || naps(port) >= before + 8);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(naps(port), before + 8, "a nap was recorded twice");
}

#[test]
fn nginx_knows_the_replicas_that_a_refresh_tells_it_of() {
    let Some((project, port)) = up() else { return };
    let written = project.read("compose.yaml");
    let (above, rest) = written.split_once("      refresh:\n").unwrap();
    let (_, below) = rest.split_once('\n').unwrap();

    // Without the refresh the new replicas get nothing, and rscale says so.
    project.write("compose.yaml", &format!("{above}{below}"));
    let ran = project.json(&["web-django=3"]).succeeded();
    assert_scaled(&ran, "web-django", 1, 3);
    let rules = ran.document()["findings"][0]["rule"].clone();
    assert_eq!(rules, "stale-upstream", "{ran}");
    assert_eq!(
        who_answers(&project, port),
        BTreeSet::from([1]),
        "nginx knows of new replicas by itself: the refresh is for nothing"
    );

    project.write("compose.yaml", &written);
    let ran = project.json(&["web-django=1"]).succeeded();
    assert_eq!(ran.document()["findings"].as_array().unwrap().len(), 0);

    // New replicas that cannot log in at the database never get healthy. Somebody else reloads nginx while they
    // are there, so that it knows their addresses; the roll-back has to take them out of it again.
    let old = project.ids("web-django");
    project.set("DB_PASSWORD", "wrong");
    let limit = ["--wait-timeout", "12s"];
    let failing =
        project.start(&[["web-django=3", "--format", "json"].as_slice(), &limit].concat());
    project.wait_until("three of web-django run", || {
        let states = project.states("web-django");
        states.len() == 3 && states.values().all(|state| state == "running")
    });
    let nginx = project.container("nginx", 1);
    project.docker(&["exec", &nginx, "nginx", "-s", "reload"]);
    let ran = failing.ended().exited(1);
    assert_eq!(ran.document()["outcome"], "rolled_back", "{ran}");
    assert_eq!(project.ids("web-django"), old);
    // The command ends before nginx has changed its workers.
    project.wait_until("nginx has changed its workers", || {
        !project.docker(&["top", &nginx]).contains("shutting down")
    });
    let silent_before = silent(&project);
    assert_eq!(who_answers(&project, port), BTreeSet::from([1]));
    assert_eq!(
        silent(&project),
        silent_before,
        "nginx knows of replicas that are gone"
    );
}
