//! The example bullmq-api, on a real engine: an API of several replicas, and jobs that outlive the
//! scaling of their workers.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::engine::{Engine, Project, Ran, entry, free_ports, names};
use crate::support::http::{get, post};
use crate::support::turn::Exclusive;

/// A job that is longer than Docker's 10 seconds of grace.
const JOB: u64 = 15;
/// One that leaves more than these when replicas are told to go, on a slow machine too.
const LONG_JOB: u64 = 30;
/// Host ports of the API.
const PORTS: u16 = 4;
/// Jobs of the flow take about 40 seconds, and a job whose worker was killed begins again after 20.
const PATIENCE: Duration = Duration::from_secs(120);

/// The example with host ports of its own, and the first of them; nothing of it runs yet.
fn example(concurrency: u32) -> Option<(Project, u16)> {
    let project = Engine::example("bullmq-api")?;
    let first = free_ports(PORTS);
    project.set("API_PORTS", &format!("{first}-{}", first + PORTS - 1));
    project.set("BULLMQ_CONCURRENCY", &concurrency.to_string());
    Some((project, first))
}

/// Builds the image and starts the replicas. One at a time, so that later builds find the layers.
fn build(project: &Project, targets: &[&str]) -> Ran {
    let _building = Exclusive::wait("building-bullmq-api");
    let ran = project.json(&[&["--build"], targets].concat()).succeeded();
    project.started();
    ran
}

/// Host port of a replica of the API.
fn port(project: &Project, number: u32) -> u16 {
    let index = number.to_string();
    let said = project.compose(&["port", "--index", &index, "api", "3000"]);
    said.stdout
        .trim()
        .rsplit_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap()
}

/// Puts a job into the queue; its id.
#[track_caller]
fn enqueue(api: u16, job: &Value) -> String {
    let answer = post(api, "/jobs", &job.to_string());
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    answer["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn look(api: u16, path: &str) -> Value {
    let answer = get(api, path);
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

fn job(api: u16, id: &str) -> Value {
    look(api, &format!("/jobs/{id}"))
}

/// Waits until a page of the API is as it should be, and gives it.
#[track_caller]
fn wait_until(api: u16, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = look(api, path);
        if is_so(&page) {
            return page;
        }
        assert!(Instant::now() < deadline, "{what}: {page}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[track_caller]
fn wait_until_completed(api: u16, id: &str) -> Value {
    let done = |page: &Value| page["state"] == "completed";
    wait_until(api, &format!("/jobs/{id}"), "the job is completed", done)
}

/// Two long jobs, each of which is at another worker.
fn long_jobs(api: u16, seconds: u64) -> Vec<String> {
    let ids: Vec<String> = (0..2)
        .map(|_| enqueue(api, &json!({"seconds": seconds})))
        .collect();
    let workers: BTreeSet<String> = ids
        .iter()
        .map(|id| {
            let begun = |page: &Value| page["state"] == "active" && page["started"] == 1;
            let page = wait_until(api, &format!("/jobs/{id}"), "the job has begun", begun);
            page["worker"].to_string()
        })
        .collect();
    assert_eq!(workers.len(), 2, "both jobs are at one worker");
    ids
}

fn rules(ran: &Ran) -> Vec<String> {
    let document = ran.document();
    let findings = document["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn workers_and_a_stateless_api_are_scaled_together() {
    let Some((project, first)) = example(2) else {
        return;
    };
    let document = build(&project, &["worker=3", "api=2"]).document();
    assert_eq!(names(&document["services"]), ["api", "worker"]);
    project.assert_running(&[("api", 2), ("redis", 1), ("worker", 3)]);

    // Every replica of the API answers, and knows the jobs that the other one took.
    let apis = [port(&project, 1), port(&project, 2)];
    assert_ne!(apis[0], apis[1]);
    for api in apis {
        assert!((first..first + PORTS).contains(&api), "{api}");
        assert_eq!(look(api, "/health"), json!({"ok": true}));
    }
    let one = enqueue(apis[0], &json!({}));
    let other = enqueue(apis[1], &json!({}));
    wait_until_completed(apis[1], &one);
    wait_until_completed(apis[0], &other);
    for bad in ["{", r#"{"seconds": -1}"#, r#"{"seconds": "many"}"#] {
        assert_eq!(post(apis[0], "/jobs", bad).status, 400, "{bad}");
    }
    assert_eq!(get(apis[0], "/jobs/none").status, 404);

    // Three workers, two jobs at a time each: six are active, the others wait.
    let ids: Vec<String> = (0..12)
        .map(|number| enqueue(apis[number % 2], &json!({"seconds": 8})))
        .collect();
    wait_until(apis[1], "/counts", "six jobs are active", |counts| {
        counts["active"] == 6 && counts["waiting"] == 6
    });
    let workers: BTreeSet<String> = ids
        .iter()
        .map(|id| wait_until_completed(apis[0], id)["worker"].to_string())
        .collect();
    assert_eq!(
        workers.len(),
        3,
        "the jobs are not spread over three workers"
    );

    // Retries wait longer and longer, and end.
    let recovers = enqueue(apis[0], &json!({"fail": 3}));
    let fails = enqueue(apis[0], &json!({"fail": 9}));
    wait_until(apis[0], "/counts", "a retry is delayed", |counts| {
        counts["delayed"] != 0
    });
    let page = wait_until_completed(apis[0], &recovers);
    assert_eq!(page["attempts"], 4, "{page}");
    assert_eq!(page["done"], 1, "{page}");
    wait_until(apis[0], "/counts", "a job has failed for good", |counts| {
        counts["failed"] == 1
    });
    let page = job(apis[0], &fails);
    assert_eq!(page["attempts"], 5, "{page}");
    assert_eq!(page["failedReason"], "failure 5 of 9", "{page}");
    let counts = look(apis[0], "/counts");
    let expected = json!({"waiting": 0, "active": 0, "delayed": 0, "completed": 15, "failed": 1});
    assert_eq!(counts, expected);

    // A load test measures the workers and leaves no job behind.
    let ran = super::load_test(&project, &["Nap", "Counts"]);
    for number in 1..=3 {
        assert!(
            ran.stdout.contains(&project.container("worker", number)),
            "{ran}"
        );
    }
    assert_eq!(look(apis[0], "/counts"), expected, "{ran}");

    // The queue's Redis is one, and the range of ports has an end.
    let before = project.all_ids();
    let ran = project.json(&["redis=2"]).exited(3);
    assert_eq!(rules(&ran), ["stateful"], "{ran}");
    let ran = project.json(&["api=5"]).exited(3);
    assert_eq!(rules(&ran), ["port-range"], "{ran}");
    assert_eq!(project.all_ids(), before);

    // Built again, and only the new replica is new.
    let ran = build(&project, &["worker=4"]);
    let document = ran.document();
    assert_eq!(
        entry(&document["services"], "worker")["created"],
        json!([project.container("worker", 4)]),
        "{ran}"
    );
    let mut after = project.all_ids();
    after.remove(&("worker".into(), 4));
    assert_eq!(after, before, "{ran}");
}

#[test]
fn no_job_is_lost_or_done_twice_while_workers_come_and_go() {
    let Some((project, _)) = example(1) else {
        return;
    };
    build(&project, &["worker=2", "api=1"]);
    let api = port(&project, 1);

    // With the policy of the file: the replica that goes ends its job first.
    let ids = long_jobs(api, JOB);
    let ran = project.json(&["worker=1"]).succeeded();
    assert_eq!(rules(&ran), [""; 0], "{ran}");
    let commands = ran.document()["commands"].to_string();
    assert!(commands.contains("docker stop -t 75 "), "{ran}");
    for id in &ids {
        let page = wait_until_completed(api, id);
        assert_eq!(
            (&page["started"], &page["done"]),
            (&json!(1), &json!(1)),
            "{page}"
        );
    }

    // 120 jobs, some of which are retried, while workers come and go: new ones before each scale, so that there
    // is work at each, however long the one before took.
    let mut ids = Vec::new();
    for count in [4, 1, 3, 2] {
        ids.extend((0..30).map(|number| {
            let fail = u32::from(number % 10 == 0) * 2;
            enqueue(api, &json!({"seconds": 0.4, "fail": fail}))
        }));
        project.rscale(&[&format!("worker={count}")]).succeeded();
    }
    for (number, id) in ids.iter().enumerate() {
        let page = wait_until_completed(api, id);
        let starts = if number % 10 == 0 { 3 } else { 1 };
        assert_eq!(
            (&page["started"], &page["done"]),
            (&json!(starts), &json!(1)),
            "{page}"
        );
    }

    // Without the policy: warned, and the run is lost. BullMQ notices that the worker is gone and starts
    // the job once more elsewhere, so what it did in its first run is done twice.
    let file = project.read("compose.yaml");
    let without: Vec<&str> = file
        .lines()
        .filter(|line| !line.trim_start().starts_with("stop-timeout:"))
        .collect();
    assert_ne!(
        without.len(),
        file.lines().count(),
        "no policy to leave out"
    );
    project.write("compose.yaml", &without.join("\n"));
    let ids = long_jobs(api, LONG_JOB);
    let ran = project.json(&["worker=1"]).succeeded();
    assert_eq!(rules(&ran), ["short-grace"], "{ran}");
    let mut starts: Vec<Value> = ids
        .iter()
        .map(|id| wait_until_completed(api, id)["started"].clone())
        .collect();
    starts.sort_by_key(Value::as_u64);
    assert_eq!(
        starts,
        [json!(1), json!(2)],
        "a run should be lost without the policy"
    );
}
