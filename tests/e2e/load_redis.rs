//! `rscale load-test` over Redis: BullMQ on Node, a list and a stream, each with the real workers of its example,
//! and what is refused, left behind and survived.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::certificates;
use crate::support::engine::{Engine, Project, Ran, entry, free_ports};
use crate::support::http::{get, post};
use crate::support::turn::Exclusive;

const URL: &str = "redis://redis:6379/0";
/// A Redis, and nobody who works on anything in it.
const REDIS: &str = "services: {redis: {image: 'redis:7', command: redis-server}}\n";

/// Runs redis-cli in the project's Redis.
fn cli(project: &Project, args: &[&str]) -> String {
    let exec = ["exec", "-T", "redis", "redis-cli"];
    let ran = project.compose(&[exec.as_slice(), args].concat());
    ran.stdout.trim().to_owned()
}

fn load_test(project: &Project, args: &[&str]) -> Ran {
    project.json(&[&["load-test"], args].concat())
}

/// The example bullmq-api with so many workers, of so many jobs at a time.
fn bullmq(workers: u32, concurrency: u32) -> Option<Project> {
    let project = Engine::example("bullmq-api")?;
    let first = free_ports(2);
    project.set("API_PORTS", &format!("{first}-{}", first + 1));
    project.set("BULLMQ_CONCURRENCY", &concurrency.to_string());
    let _building = Exclusive::wait("building-bullmq-api");
    let scale = format!("worker={workers}");
    project.compose(&["up", "-d", "--build", "--wait", "--scale", &scale]);
    Some(project)
}

/// Hashes of jobs with ids of BullMQ's own counter.
fn job_keys(project: &Project) -> Vec<String> {
    let keys = cli(project, &["--raw", "KEYS", "bull:jobs:[0-9]*"]);
    let own = |key: &&str| key.split(':').nth(2).unwrap().parse::<u64>().is_ok();
    keys.lines().filter(own).map(str::to_owned).collect()
}

#[test]
fn jobs_of_bullmq_are_shared_by_workers_retried_and_counted_by_their_error() {
    let Some(project) = bullmq(3, 2) else { return };
    let nap = [
        "--bullmq",
        URL,
        "--job",
        "nap@jobs",
        "--data",
        r#"{"seconds": 0.1, "fail": 0}"#,
    ];
    let ran = load_test(
        &project,
        &[nap.as_slice(), &["--tasks=120", "--warmup=6"]].concat(),
    )
    .succeeded()
    .says("jobs: 3 workers listen");
    let result = ran.document();
    assert_eq!(
        (&result["completed"], &result["lost"]),
        (&json!(120), &json!(0)),
        "{ran}"
    );
    let mut done = 0;
    for number in 1..=3 {
        let share = entry(&result["replicas"], &project.container("worker", number));
        assert_eq!(share["service"], "worker", "{ran}");
        assert!(share["completed"].as_u64().unwrap() > 0, "{ran}");
        done += share["completed"].as_u64().unwrap();
    }
    assert_eq!(done, 120, "{ran}");
    let task = &result["tasks"][0];
    for (figure, least) in [
        ("execution_seconds", 0.1),
        ("queue_wait_seconds", 0.0),
        ("end_to_end_seconds", 0.1),
    ] {
        assert_eq!(task[figure]["samples"], 120, "{figure}: {ran}");
        assert!(
            task[figure]["mean"].as_f64().unwrap() >= least,
            "{figure}: {ran}"
        );
    }
    // Six at a time: 20 rounds of 0.1 s, and the last ones waited for 19 of these.
    assert!(
        task["queue_wait_seconds"]["max"].as_f64().unwrap() > 1.5,
        "{ran}"
    );
    assert!(result["total_seconds"].as_f64().unwrap() >= 2.0, "{ran}");
    // Those of the warm-up too.
    assert_eq!(job_keys(&project), [""; 0]);
    assert_eq!(cli(&project, &["ZCARD", "bull:jobs:completed"]), "0");

    count_attempts_and_errors(&project);
}

/// Attempts that failed, and errors by their class.
fn count_attempts_and_errors(project: &Project) {
    // In the place of the tasks that the example sends, which are at its end.
    let file = project.read("compose.yaml");
    let (kept, rest) = file.split_once("    tasks:\n").unwrap();
    let volumes = &rest[rest.find("\nvolumes:").unwrap()..];
    project.write(
        "compose.yaml",
        &format!(
            "{kept}    tasks:
      Again: {{queue: &queue {{driver: bullmq, broker: '{URL}', name: jobs}}, job: nap, data: {{seconds: 0, fail: 2}}, attempts: 3}}
      Broken: {{queue: *queue, job: nap, data: {{seconds: 0, fail: 9}}, attempts: 2}}
{volumes}"
        ),
    );
    let ran = load_test(project, &["--tasks=10"]).succeeded();
    let result = ran.document();
    let (again, broken) = (
        entry(&result["tasks"], "Again"),
        entry(&result["tasks"], "Broken"),
    );
    assert_eq!(
        (&again["completed"], &again["retried"], &again["errors"]),
        (&json!(10), &json!(20), &json!([])),
        "{ran}"
    );
    assert_eq!(
        (&broken["failed"], &broken["retried"], &broken["errors"]),
        (
            &json!(10),
            &json!(10),
            &json!([{"class": "Error", "count": 10}])
        ),
        "{ran}"
    );
    assert_eq!(job_keys(project), [""; 0]);
    assert_eq!(cli(project, &["ZCARD", "bull:jobs:failed"]), "0");
}

#[test]
fn a_queue_of_bullmq_that_would_measure_nothing_is_refused() {
    let Some(project) = bullmq(1, 1) else { return };
    let run = |url: &str, job: &str, args: &[&str]| {
        let begin = ["--bullmq", url, "--job", job, "--tasks=2"];
        let rest = ["--data", r#"{"seconds": 0, "fail": 0}"#];
        load_test(&project, &[&begin, args, &rest].concat())
    };
    run(URL, "nap@mails", &[])
        .exited(3)
        .says_one_error("there is no BullMQ queue `mails` in Redis at `redis://redis:6379/0`")
        .says("there are: jobs");
    cli(&project, &["SET", "bull:odd:meta", "x"]);
    run(URL, "nap@odd", &[])
        .exited(3)
        .says_one_error("`bull:odd:meta` in Redis at `redis://redis:6379/0` is a string");

    cli(&project, &["HSET", "bull:jobs:meta", "paused", "1"]);
    run(URL, "nap@jobs", &[])
        .exited(3)
        .says_one_error("queue `jobs` is paused")
        .says("await queue.resume()");
    cli(&project, &["HDEL", "bull:jobs:meta", "paused"]);

    // In some hundred years.
    cli(&project, &["ZADD", "bull:jobs:delayed", "9e16", "later"]);
    run(URL, "nap@jobs", &[])
        .exited(3)
        .says_one_error("1 message waits in queue `jobs` already")
        .says("--force");
    run(URL, "nap@jobs", &["--force"]).succeeded();
    cli(&project, &["ZREM", "bull:jobs:delayed", "later"]);

    // Those that are connected stay so.
    cli(&project, &["CONFIG", "SET", "requirepass", "s3cret"]);
    let ran = run(URL, "nap@jobs", &[]).exited(4);
    ran.says_one_error("Redis at `redis://redis:6379/0` wants a password");
    let ran = run("redis://:wr0ng@redis:6379/0", "nap@jobs", &[]).exited(4);
    assert!(!ran.stderr.contains("wr0ng"), "{ran}");
    ran.says_one_error("Redis at `redis://:***@redis:6379/0` does not accept");
    let ran = run("redis://:s3cret@redis:6379/0", "nap@jobs", &[]).succeeded();
    assert!(
        !ran.stderr.contains("s3cret") && !ran.stdout.contains("s3cret"),
        "{ran}"
    );
    cli(
        &project,
        &["-a", "s3cret", "CONFIG", "SET", "requirepass", ""],
    );

    project.compose(&["stop", "worker"]);
    run(URL, "nap@jobs", &[])
        .exited(3)
        .says_one_error("no worker listens on queue `jobs`");
}

#[test]
fn purging_jobs_of_bullmq_leaves_those_of_others() {
    let Some(project) = bullmq(1, 1) else { return };
    for _ in 0..2 {
        let ask = ["exec", "-T", "api", "node", "ask.js", "/jobs"];
        project.compose(&[ask.as_slice(), &[r#"{"seconds": 60}"#]].concat());
    }
    project.wait_until("one job is active and one waits", || {
        cli(&project, &["LLEN", "bull:jobs:active"]) == "1"
            && cli(&project, &["LLEN", "bull:jobs:wait"]) == "1"
    });
    let stranger = cli(&project, &["LINDEX", "bull:jobs:wait", "0"]);
    let run = project.start(&[
        "load-test",
        "--bullmq",
        URL,
        "--job=nap@jobs",
        "--tasks=700",
        "--force",
        "--purge",
        "--format=json",
    ]);
    project.wait_until("all jobs are in the queue", || {
        cli(&project, &["LLEN", "bull:jobs:wait"]) == "701"
    });
    assert_eq!(job_keys(&project).len(), 700);
    run.signal(Signal::INT);
    let ran = run.ended().exited(130);
    let task = &ran.document()["tasks"][0];
    assert_eq!(
        (&task["purged"], &task["queued"]),
        (&json!(700), &json!(0)),
        "{ran}"
    );
    assert_eq!(
        cli(&project, &["LRANGE", "bull:jobs:wait", "0", "-1"]),
        stranger
    );
    assert_eq!(job_keys(&project), [""; 0]);
    let key = format!("bull:jobs:{stranger}");
    assert_eq!(cli(&project, &["EXISTS", &key]), "1");
}

#[test]
fn a_redis_that_dies_or_falls_silent_ends_the_run() {
    let Some(project) = bullmq(1, 1) else { return };
    let start = |tasks: &str| {
        project.start(&[
            "load-test",
            "--bullmq",
            URL,
            "--job=nap@jobs",
            r#"--data={"seconds": 0.5, "fail": 0}"#,
            "--timeout=10m",
            tasks,
            "--force",
            "--format=json",
        ])
    };
    let redis = project.container("redis", 1);
    for (verb, what) in [("pause", "does not answer within 10s"), ("kill", "is lost")] {
        let waiting = || cli(&project, &["LLEN", "bull:jobs:wait"]).parse::<u32>();
        let before = waiting().unwrap();
        let run = start("--tasks=300");
        project.wait_until("the jobs are sent", || {
            waiting().is_ok_and(|now| now > before + 250)
        });
        if verb == "pause" {
            // The second run waits behind what the first one leaves.
            project.wait_until("some are done", || {
                cli(&project, &["ZCARD", "bull:jobs:completed"]) != "0"
            });
        }
        project.docker(&[verb, &redis]);
        let ran = run.ended();
        assert_ne!(ran.status, 0, "{ran}");
        let result = ran.document();
        let said = result["error"].as_str().unwrap_or_default().to_owned();
        assert!(said.contains(what), "{verb}: {ran}");
        // What was learned before is reported.
        assert_eq!(result["sent"], 300, "{ran}");
        if verb == "pause" {
            assert!(result["completed"].as_u64().unwrap() > 0, "{ran}");
            project.docker(&["unpause", &redis]);
        }
    }
}

/// The example stream-dispatcher, and the id of a task that is done: it may be done as often as one likes.
fn dispatcher(source: &str) -> Option<(Project, u16)> {
    let project = Engine::example("stream-dispatcher")?;
    let first = free_ports(2);
    project.set("CONTROLLER_PORTS", &format!("{first}-{}", first + 1));
    project.write(".env", &format!("QUEUE_SOURCE={source}\n"));
    project.compose(&["up", "-d", "--build", "--wait"]);
    let address = project.docker(&["port", &project.container("controller", 1), "8000"]);
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let answer = post(port, "/tasks", r#"{"text": "hello"}"#);
    assert_eq!(answer.status, 202, "{answer:?}");
    project.wait_until("the first task is done", || {
        stats(port)["tasks"]["done"] == 1
    });
    Some((project, port))
}

fn stats(port: u16) -> Value {
    serde_json::from_str(&get(port, "/stats").body).unwrap()
}

#[test]
fn a_list_is_drained_by_its_dispatcher() {
    let Some((project, port)) = dispatcher("redis-list") else {
        return;
    };
    let message = r#"{"id": 1, "pull_seconds": 0.05, "load_test": "{id}"}"#;
    let list = ["--redis-list", URL, "--key=tasks", "--payload", message];
    let ran = load_test(&project, &[list.as_slice(), &["--tasks=60"]].concat())
        .succeeded()
        .says("clients of this Redis wait for messages of a list");
    let result = ran.document();
    assert_eq!(
        (&result["completed"], &result["lost"]),
        (&json!(60), &json!(0)),
        "{ran}"
    );
    // Four at a time, and the last four are still in hand when the list is empty.
    assert!(result["total_seconds"].as_f64().unwrap() >= 0.5, "{ran}");
    // Nothing is invented.
    let task = &result["tasks"][0];
    for figure in [
        "execution_seconds",
        "queue_wait_seconds",
        "end_to_end_seconds",
    ] {
        assert_eq!(task[figure], Value::Null, "{figure}: {ran}");
    }
    project.wait_until("the dispatcher has finished them", || {
        stats(port)["queue_length"] == 0
    });
}

/// Field and value of an entry that a dispatcher takes.
const ENTRY: &str = r#"task={"id": 1, "pull_seconds": 0.05, "load_test": "{id}"}"#;

#[test]
fn entries_of_a_stream_are_done_when_they_are_acknowledged() {
    let Some((project, port)) = dispatcher("redis-stream") else {
        return;
    };
    project.compose(&["up", "-d", "--wait", "--scale", "dispatcher=2"]);
    let stream = [
        "--redis-stream",
        URL,
        "--key=tasks:stream",
        "--field",
        ENTRY,
    ];
    let stream = |args: &[&str]| load_test(&project, &[&stream, args].concat());
    let ran = stream(&["--tasks=100"])
        .succeeded()
        .says("in group `dispatchers`");
    let result = ran.document();
    assert_eq!(
        (&result["completed"], &result["lost"]),
        (&json!(100), &json!(0)),
        "{ran}"
    );
    let task = &result["tasks"][0];
    assert_eq!(task["end_to_end_seconds"]["samples"], 100, "{ran}");
    assert!(
        task["end_to_end_seconds"]["max"].as_f64().unwrap() > 0.5,
        "{ran}"
    );
    for number in 1..=2 {
        let share = entry(
            &result["replicas"],
            &project.container("dispatcher", number),
        );
        assert!(share["completed"].as_u64().unwrap() > 0, "{ran}");
    }
    assert_eq!(cli(&project, &["XLEN", "tasks:stream"]), "0");

    // Refused.
    stream(&["--group=others"])
        .exited(3)
        .says_one_error("stream `tasks:stream` has no consumer group `others`")
        .says("there are: dispatchers");
    load_test(
        &project,
        &["--redis-list", URL, "--key=tasks:stream", "--payload=x"],
    )
    .exited(3)
    .says_one_error("`tasks:stream` in Redis at `redis://redis:6379/0` is a stream")
    .says("driver: redis-stream");
    cli(
        &project,
        &["XGROUP", "CREATE", "tasks:stream", "others", "0"],
    );
    stream(&[])
        .exited(3)
        .says_one_error("stream `tasks:stream` has several consumer groups")
        .says("there are: dispatchers, others");
    stream(&["--group=others"])
        .exited(3)
        .says_one_error("nobody reads `tasks:stream` for the consumer group `others`");

    cli(&project, &["XGROUP", "DESTROY", "tasks:stream", "others"]);
    purge_a_stream(&project);
    project.wait_until("the rest is done", || stats(port)["queue_length"] == 0);
}

/// A purge takes what nobody was handed, and only that.
fn purge_a_stream(project: &Project) {
    project.compose(&["pause", "dispatcher"]);
    let stranger = cli(
        project,
        &[
            "XADD",
            "tasks:stream",
            "*",
            "task",
            r#"{"id": 1, "pull_seconds": 0}"#,
        ],
    );
    let run = project.start(&[
        "load-test",
        "--redis-stream",
        URL,
        "--key=tasks:stream",
        "--field",
        ENTRY,
        "--tasks=2500",
        "--force",
        "--purge",
        "--format=json",
    ]);
    project.wait_until("all entries are in the stream", || {
        cli(project, &["XLEN", "tasks:stream"]) == "2501"
    });
    run.signal(Signal::INT);
    let ran = run.ended().exited(130);
    let task = &ran.document()["tasks"][0];
    assert_eq!(task["queued"], 0, "{ran}");
    // What Redis had handed to a dispatcher that is paused is that one's.
    let left: u64 = cli(project, &["XLEN", "tasks:stream"]).parse().unwrap();
    assert!(left < 60, "{left}: {ran}");
    assert_eq!(task["purged"].as_u64().unwrap() + left, 2501, "{ran}");
    let first = cli(
        project,
        &["--raw", "XRANGE", "tasks:stream", "-", "+", "COUNT", "1"],
    );
    assert!(first.starts_with(&stranger), "{first}");
    project.compose(&["unpause", "dispatcher"]);
}

#[test]
fn messages_in_a_list_are_counted_and_only_own_ones_purged() {
    let Some(project) = Engine::project(REDIS) else {
        return;
    };
    project.compose(&["up", "-d"]);
    project.wait_until("Redis answers", || {
        let ping = ["exec", "-T", "redis", "redis-cli", "PING"];
        project.try_compose(&ping).stdout.contains("PONG")
    });
    for side in ["left", "right"] {
        cli(&project, &["RPUSH", "tasks", "a", "b"]);
        let task = format!(
            "{REDIS}x-rscale: {{load-test: {{tasks: {{Message: {{queue: {{driver: redis-list, broker: '{URL}', name: tasks}}, payload: 'me {{id}}', push: {side}}}}}}}}}\n"
        );
        project.compose_file(&task);
        load_test(&project, &["--tasks=5"])
            .exited(3)
            .says_one_error("2 messages wait in list `tasks` already");
        // Nobody takes anything.
        let args = ["--tasks=2500", "--force", "--timeout=5s"];
        let ran = load_test(&project, &args);
        let ran = ran.says("no client of this Redis waits for messages of a list");
        assert_ne!(ran.status, 0, "{ran}");
        let result = &ran.document()["tasks"][0];
        assert_eq!(
            (&result["lost"], &result["queued"]),
            (&json!(2500), &json!(2500)),
            "{ran}"
        );
        assert_eq!(cli(&project, &["LLEN", "tasks"]), "2502");
        let left = cli(&project, &["LPOP", "tasks", "5000"]);
        assert_eq!(left.matches("me 000").count(), 2500);

        cli(&project, &["RPUSH", "tasks", "a", "b"]);
        let ran = load_test(&project, &[args.as_slice(), &["--purge"]].concat());
        let result = &ran.document()["tasks"][0];
        assert_eq!(
            (&result["purged"], &result["queued"]),
            (&json!(2500), &json!(0)),
            "{ran}"
        );
        assert_eq!(
            cli(&project, &["--raw", "LRANGE", "tasks", "0", "-1"]),
            "a\nb"
        );
        cli(&project, &["DEL", "tasks"]);
        purges_a_long_list(&project, side);
    }
}

/// Own messages are found behind any number of others, which stay as they are.
fn purges_a_long_list(project: &Project, side: &str) {
    let run = project.start(&[
        "load-test",
        "--tasks=20000",
        "--timeout=10m",
        "--purge",
        "--format=json",
    ]);
    project.wait_until("all messages are in the list", || {
        cli(project, &["LLEN", "tasks"]) == "20000"
    });
    let push = if side == "left" { "LPUSH" } else { "RPUSH" };
    let script = format!(
        "for i = 1, 400000 do redis.call('{push}', KEYS[1], 'other ' .. i) end return 'pushed'"
    );
    assert_eq!(cli(project, &["EVAL", &script, "1", "tasks"]), "pushed");
    run.signal(Signal::INT);
    let ran = run.ended().exited(130);
    let task = &ran.document()["tasks"][0];
    assert_eq!(
        (&task["purged"], &task["queued"]),
        (&json!(20_000), &json!(0)),
        "{ran}"
    );
    assert!(!ran.stderr.contains("warning"), "{ran}");
    assert_eq!(cli(project, &["LLEN", "tasks"]), "400000");
    let (newest, oldest) = if side == "left" {
        ("0", "-1")
    } else {
        ("-1", "0")
    };
    assert_eq!(cli(project, &["LINDEX", "tasks", newest]), "other 400000");
    assert_eq!(cli(project, &["LINDEX", "tasks", oldest]), "other 1");
    cli(project, &["DEL", "tasks"]);
}

#[test]
fn an_encrypted_redis_is_used_and_its_certificate_checked() {
    let Some(project) = Engine::project(
        "
services:
  redis:
    image: redis:7
    volumes: ['./tls:/tls:ro']
    command: redis-server --port 0 --tls-port 6379 --tls-cert-file /tls/server.pem --tls-key-file /tls/server.key --tls-ca-cert-file /tls/ca.pem --tls-auth-clients no
  worker:
    image: redis:7
    volumes: ['./tls:/tls:ro']
    command: sh -c 'while sleep 0.01; do redis-cli --tls --cacert /tls/ca.pem -h redis -r 1000 BLPOP tasks 0; done'
",
    ) else {
        return;
    };
    certificates::make(&project, "tls", "redis");
    certificates::make(&project, "other", "redis");
    project.compose(&["up", "-d"]);
    let run = |url: &str| {
        let args = [
            "--redis-list",
            url,
            "--key=tasks",
            "--payload={id}",
            "--tasks=50",
        ];
        load_test(&project, &args)
    };
    certificates::trust(&project, "tls");
    project.wait_until("a worker waits", || {
        let clients = [
            "exec",
            "-T",
            "redis",
            "redis-cli",
            "--tls",
            "--cacert",
            "/tls/ca.pem",
        ];
        // At first it does not even answer.
        project
            .try_compose(&[clients.as_slice(), &["-h", "redis", "CLIENT", "LIST"]].concat())
            .stdout
            .contains("cmd=blpop")
    });
    let ran = run("rediss://redis:6379/0").succeeded();
    assert_eq!(ran.document()["completed"], 50, "{ran}");

    certificates::trust(&project, "other");
    run("rediss://redis:6379/0")
        .exited(4)
        .says_one_error("no encrypted connection to `redis`")
        .says("SSL_CERT_FILE=");
    // Not encrypted, where Redis wants it to be.
    run(URL).exited(4);
}
