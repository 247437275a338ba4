//! `rscale load-test` against real Celery workers: over RabbitMQ with results in Redis and over rpc://, and
//! over Redis. A stack takes a while to start, so that each test goes through many things one after another.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::certificates;
use crate::support::engine::{Engine, Project, Ran, entry};

/// The example, with its compose file changed.
fn started(change: impl Fn(String) -> String) -> Option<Project> {
    let project = Engine::example("rabbitmq-workers")?;
    project.write("compose.yaml", &change(project.read("compose.yaml")));
    // Celery needs it for Redis as a broker.
    let requirements = project.read("requirements.txt");
    project.write("requirements.txt", &format!("{requirements}packaging\n"));
    up(&project, &["--build"]);
    Some(project)
}

fn up(project: &Project, more: &[&str]) {
    project.compose(&[["up", "--detach", "--wait"].as_slice(), more].concat());
}

/// One type of task instead of those of the compose file.
fn only<'a>(task: &'a str, args: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let only = ["load-test", "--task", task, "--args", args];
    [only.as_slice(), more].concat()
}

/// Says what all workers reply to `enable_events` or `disable_events`, once all have.
fn control(project: &Project, command: &str) -> String {
    let containers = project.containers().into_iter();
    let workers: Vec<String> = containers
        .filter(|one| one.service.starts_with("worker-") && one.state == "running")
        .map(|one| format!("celery@{}", &one.id[..12]))
        .collect();
    let celery = ["exec", "-T", "worker-b", "celery", "--app=tasks", "control"];
    let whom = [
        "--destination",
        &workers.join(","),
        "--timeout=120",
        command,
    ];
    project.compose(&[celery.as_slice(), &whom].concat()).stdout
}

/// How many workers send no events now; they do afterwards.
fn without_events(project: &Project) -> usize {
    let said = control(project, "enable_events");
    said.lines()
        .filter(|line| line.trim() == "task events enabled")
        .count()
}

fn redis(project: &Project, args: &[&str]) -> String {
    let redis = ["exec", "-T", "redis", "redis-cli"];
    let said = project.compose(&[redis.as_slice(), args].concat()).stdout;
    said.trim().to_owned()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no count: {value}"))
}

/// Completed tasks of a service's replicas.
fn shares(document: &Value, service: &str) -> Vec<u64> {
    let replicas = document["replicas"].as_array().unwrap().iter();
    let of_service = replicas.filter(|replica| replica["service"] == service);
    of_service
        .map(|replica| number(&replica["completed"]))
        .collect()
}

/// Fails unless everything was sent and done, with what workers say of it.
#[track_caller]
fn assert_complete(ran: &Ran, count: u64) -> Value {
    let document = ran.document();
    for task in document["tasks"].as_array().unwrap() {
        let counts = ["sent", "completed"].map(|field| number(&task[field]));
        assert_eq!(counts, [count, count], "{ran}");
        for field in [
            "execution_seconds",
            "queue_wait_seconds",
            "end_to_end_seconds",
        ] {
            assert_eq!(task[field]["samples"], count, "{field} {ran}");
        }
    }
    assert_eq!(document["events"], true);
    document
}

/// Messages that nobody has taken out of a service's queue yet; `None` where the broker is too busy to say.
fn ready(project: &Project, service: &str) -> Option<u64> {
    let status = project.json(&["status"]).document();
    entry(&status["services"], service)["queue"]["ready"].as_u64()
}

/// Waits until workers have taken some of these messages, and others wait.
fn in_the_middle(project: &Project, service: &str, sent: u64) {
    project.wait_until("the workers are in the middle of it", || {
        ready(project, service).is_some_and(|ready| ready > 0 && ready + 5 < sent)
    });
}

/// Tasks that have begun, of all that there ever were.
fn begun(project: &Project) -> usize {
    redis(project, &["--raw", "KEYS", "runs:*"]).lines().count()
}

/// Waits until a worker that was started again listens: its file for the healthcheck is there from before.
fn listens(project: &Project, service: &str, workers: u64) {
    project.wait_until("the workers listen", || {
        let status = project.json(&["status"]).document();
        let mut services = status["services"].as_array().unwrap().iter();
        services.any(|of| of["name"] == service && of["queue"]["consumers"] == workers)
    });
}

/// Waits until nothing of the queue waits or runs.
fn idle(project: &Project, service: &str) {
    project.wait_until("the queue is empty", || {
        let status = project.json(&["status"]).document();
        let services = status["services"].as_array().unwrap().iter();
        let queue = services
            .filter(|of| of["name"] == service)
            .map(|of| of["queue"].clone())
            .next();
        queue.is_some_and(|queue| queue["ready"] == 0 && queue["running"] == 0)
    });
}

#[test]
fn over_rabbitmq_every_task_is_counted_and_everything_left_as_it_was() {
    let Some(project) = started(|file| file) else {
        return;
    };
    project.rscale(&["worker-a=3"]).succeeded();

    // The tasks of the compose file; who did them.
    let ran = project
        .json(&["load-test", "--tasks", "30", "--warmup", "3"])
        .succeeded();
    let ran = ran.says("queue_a: 3 workers listen, 3 processes");
    let document = assert_complete(&ran, 30);
    // One worker does thirty of these one after another: most of the time they wait.
    let half = |figure: &str| document["tasks"][1][figure]["p50"].as_f64().unwrap();
    let execution = half("execution_seconds");
    assert!(execution >= 0.2, "{ran}");
    assert!(execution * 2.0 < half("end_to_end_seconds"), "{ran}");
    let by_replica = shares(&document, "worker-a");
    assert_eq!(
        (by_replica.len(), by_replica.iter().sum()),
        (3, 30_u64),
        "{ran}"
    );
    assert!(by_replica.iter().all(|count| *count > 0), "{ran}");
    assert_eq!(redis(&project, &["KEYS", "celery-task-meta-*"]), "");

    // Events were off and are; when they are on, they stay on.
    assert_eq!(without_events(&project), 4);
    project.json(&["load-test", "--tasks", "2"]).succeeded();
    assert_eq!(without_events(&project), 0);
    control(&project, "disable_events");

    // Failures by their class, and retries.
    let failing = only("tasks.shaky@queue_a", r#"["x"]"#, &["--tasks", "3"]);
    let document = project.json(&failing).document();
    let errors = &document["tasks"][0]["errors"];
    assert_eq!(
        (&errors[0]["class"], &errors[0]["count"]),
        (&"TypeError".into(), &3.into()),
        "{document}"
    );
    let shaky = only("tasks.shaky@queue_a", "[1]", &["--tasks", "4"]);
    let ran = project.json(&shaky).succeeded();
    assert_eq!(ran.document()["tasks"][0]["retried"], 4, "{ran}");
    assert_complete(&ran, 4);

    refuses_what_would_measure_nothing(&project);

    // Ctrl-C: what is left in the queue goes, events too.
    let running = project.start(&[
        "load-test",
        "--tasks",
        "1000",
        "--purge",
        "--format",
        "json",
    ]);
    running.wait_until_it_says("Starting load test");
    in_the_middle(&project, "worker-a", 1000);
    running.signal(Signal::INT);
    let ran = running.ended().exited(130);
    let document = ran.document();
    let task = &document["tasks"][0];
    assert!(number(&task["purged"]) > 0 && task["queued"] == 0, "{ran}");
    // What workers have is theirs; its results cannot be removed yet.
    let ran = ran.says("still with");
    assert!(ran.stderr.contains("celery-task-meta-"), "{ran}");
    assert_eq!(without_events(&project), 4);
    control(&project, "disable_events");
    idle(&project, "worker-b");

    waits_for_a_worker_that_stands_still(&project);
    loses_only_what_a_killed_worker_had(&project);
    purges_only_its_own(&project, "worker-a", 3);

    // The broker goes in the middle; then it is not there.
    project.compose(&["kill", "worker-a"]);
    let running = project.start(&[
        "load-test",
        "--task",
        "tasks.task_b@queue_b",
        "--tasks",
        "300",
        "--timeout",
        "10m",
    ]);
    running.wait_until_it_says("Starting load test");
    in_the_middle(&project, "worker-b", 300);
    project.compose(&["kill", "rabbitmq"]);
    running
        .ended()
        .exited(1)
        .says("the connection to the broker was lost");
    let ran = project.rscale(&["load-test", "--tasks", "1"]).exited(4);
    ran.says_one_error("`rabbitmq` does not run");
}

fn refuses_what_would_measure_nothing(project: &Project) {
    let ran = project
        .rscale(&only("tasks.task_c@queue_a", "[]", &[]))
        .exited(3);
    ran.says("does not know the task `tasks.task_c`")
        .says("did you mean `tasks.task_");
    let ran = project
        .rscale(&only("tasks.task_a@queue_aa", "[]", &[]))
        .exited(3);
    ran.says("there is no queue `queue_aa`")
        .says("did you mean `queue_a`?");
    project.compose(&["stop", "worker-b"]);
    let ran = project.rscale(&["load-test", "--tasks", "1"]).exited(3);
    ran.says("no worker listens on `queue_b`");
    project.compose(&["start", "worker-b"]);
    listens(project, "worker-b", 1);
}

/// A worker that cannot answer for a moment: it listens all the same, and its events are switched off again.
fn waits_for_a_worker_that_stands_still(project: &Project) {
    idle(project, "worker-b");
    let worker = project.container("worker-b", 1);
    let stands_still = || {
        thread::sleep(Duration::from_secs(3));
        project.docker(&["kill", "--signal=CONT", &worker]);
    };
    project.docker(&["kill", "--signal=STOP", &worker]);
    let running = project.start(&only(
        "tasks.task_b@queue_b",
        "[]",
        &["--tasks", "300", "--purge", "--format", "json"],
    ));
    stands_still();
    in_the_middle(project, "worker-b", 300);
    project.docker(&["kill", "--signal=STOP", &worker]);
    running.signal(Signal::INT);
    stands_still();
    let ran = running.ended().exited(130);
    assert!(!ran.stderr.contains("warning"), "{ran}");
    assert_eq!(ran.document()["events"], true, "{ran}");
    let workers = 1 + project.numbers("worker-a").len();
    assert_eq!(without_events(project), workers, "{ran}");
    control(project, "disable_events");
}

/// A worker is killed at a task, which it had acknowledged.
fn loses_only_what_a_killed_worker_had(project: &Project) {
    let naps = only(
        "tasks.nap@queue_a",
        "[15]",
        &["--tasks", "4", "--timeout", "25s", "--format", "json"],
    );
    let third = project.container("worker-a", 3);
    let before = begun(project);
    let running = project.start(&naps);
    running.wait_until_it_says("Starting load test");
    project.wait_until("each of the three is at one", || {
        begun(project) == before + 3
    });
    project.docker(&["kill", &third]);
    let ran = running.ended().exited(1);
    let document = ran.document();
    let counts = ["completed", "lost"].map(|field| number(&document[field]));
    assert_eq!(counts, [3, 1], "{ran}");
    assert_eq!(
        document["died"],
        serde_json::json!([project.container("worker-a", 3)]),
        "{ran}"
    );
    project.compose(&["start", "worker-a"]);
    listens(project, "worker-a", 3);
}

/// Tasks of somebody else wait: refused without `--force`, and left where they are by `--purge`.
fn purges_only_its_own(project: &Project, service: &str, workers: u64) {
    idle(project, service);
    let others = (workers * 2 + 3).to_string();
    let send = [
        "run",
        "--rm",
        "-T",
        "dispatch",
        "--no-wait",
        "--seconds",
        "55",
        "--nap",
        &others,
    ];
    project.compose(&send);
    project.wait_until("every worker has what it takes", || {
        ready(project, service) == Some(3)
    });
    let one = only("tasks.task_a@queue_a", "[]", &["--tasks", "500"]);
    let ran = project.rscale(&one).exited(3).says("--force");
    assert!(ran.stderr.contains(" wait in `queue_a`"), "{ran}");
    let forced = ["--force", "--purge", "--timeout", "10s", "--format", "json"];
    let ran = project
        .rscale(&[one.as_slice(), &forced].concat())
        .exited(1);
    assert_eq!(number(&ran.document()["tasks"][0]["purged"]), 500, "{ran}");
    let mut left = None;
    project.wait_until("the broker says what is left", || {
        left = ready(project, service);
        left.is_some()
    });
    assert_eq!(
        left,
        Some(3),
        "tasks of others are gone, or own ones are left"
    );
}

#[test]
fn over_rpc_and_over_redis_it_is_the_same() {
    let rpc = |file: String| file.replace("redis://redis:6379/0", "rpc://");
    // The tasks count their runs in the result backend, which rpc:// cannot do.
    let Some(project) = started(rpc) else { return };
    let tasks = project.read("tasks.py");
    project.write(
        "tasks.py",
        &tasks.replace(
            "        # In the Redis that",
            "        return\n        # In the Redis that",
        ),
    );
    up(&project, &["--build"]);
    let ran = project.json(&["load-test", "--tasks", "20"]).succeeded();
    assert_complete(&ran, 20);
    let failing = only("tasks.shaky@queue_a", r#"["x"]"#, &["--tasks", "3"]);
    let document = project.json(&failing).document();
    assert_eq!(
        document["tasks"][0]["errors"][0]["class"], "TypeError",
        "{document}"
    );

    // The same workers, now with Redis for everything.
    let file = project
        .read("compose.yaml")
        .replace("rpc://", "redis://redis:6379/2");
    let file = file.replace("amqp://guest:guest@rabbitmq:5672//", "redis://redis:6379/1");
    project.write("compose.yaml", &file);
    up(&project, &["--scale", "worker-a=2"]);
    let ran = project.json(&["load-test", "--tasks", "20"]).succeeded();
    let document = assert_complete(&ran, 20);
    let by_replica = shares(&document, "worker-a");
    assert_eq!(
        (by_replica.len(), by_replica.iter().sum()),
        (2, 20_u64),
        "{ran}"
    );
    assert_eq!(redis(&project, &["-n", "2", "KEYS", "*"]), "");
    assert_eq!(redis(&project, &["-n", "1", "KEYS", "*reply*"]), "");
    assert_eq!(without_events(&project), 3);
    control(&project, "disable_events");
    let document = project.json(&failing).document();
    assert_eq!(
        document["tasks"][0]["errors"][0]["class"], "TypeError",
        "{document}"
    );
    let shaky = only("tasks.shaky@queue_a", "[1]", &["--tasks", "4"]);
    let ran = project.json(&shaky).succeeded();
    assert_eq!(ran.document()["tasks"][0]["retried"], 4, "{ran}");
    refuses_what_would_measure_nothing(&project);
    waits_for_a_worker_that_stands_still(&project);
    project.rscale(&["worker-a=1"]).succeeded();
    purges_only_its_own(&project, "worker-a", 1);

    let running = project.start(&[
        "load-test",
        "--task",
        "tasks.task_b@queue_b",
        "--tasks",
        "300",
        "--timeout",
        "10m",
    ]);
    running.wait_until_it_says("Starting load test");
    in_the_middle(&project, "worker-b", 300);
    project.compose(&["kill", "redis"]);
    running.ended().exited(1).says("was lost");
    let ran = project.rscale(&["load-test", "--tasks", "1"]).exited(4);
    ran.says_one_error("`redis` does not run");
}

#[test]
fn an_encrypted_rabbitmq_is_used_and_its_certificate_checked() {
    let Some(project) = Engine::project(
        "
services:
  worker:
    image: busybox:1
    command: sleep 900
    x-rscale: {queue: {driver: celery, broker: 'amqps://guest:guest@rabbitmq//', name: queue_a}}
  rabbitmq:
    image: rabbitmq:3
    hostname: rabbitmq
    volumes: ['./tls:/tls:ro', './tls.conf:/tls.conf:ro']
    # The image gives its own configuration to its user, which a mount from here would not allow.
    command: sh -c 'cp /tls.conf /etc/rabbitmq/conf.d/20-tls.conf && exec docker-entrypoint.sh rabbitmq-server'
    healthcheck: {test: [CMD, bash, -c, 'exec 3<>/dev/tcp/127.0.0.1/5671'], interval: 1s, retries: 60}
",
    ) else {
        return;
    };
    project.write(
        "tls.conf",
        "listeners.tcp = none\nlisteners.ssl.default = 5671\nssl_options.cacertfile = /tls/ca.pem\n\
         ssl_options.certfile = /tls/server.pem\nssl_options.keyfile = /tls/server.key\n\
         ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n",
    );
    certificates::make(&project, "tls", "rabbitmq");
    certificates::make(&project, "other", "rabbitmq");
    up(&project, &[]);
    let queue = || {
        let ran = project.json(&["status", "worker"]).succeeded();
        ran.document()["services"][0]["queue"]["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    certificates::trust(&project, "tls");
    // What only a server that was spoken to can know.
    assert_eq!(queue(), "there is no queue `queue_a`");
    project
        .rscale(&["load-test", "--task=tasks.add@queue_a"])
        .exited(3)
        .says_one_error("there is no queue `queue_a`");
    certificates::trust(&project, "other");
    let said = queue();
    assert!(said.to_lowercase().contains("certificate"), "{said}");
    assert!(!said.contains("guest:guest"), "{said}");
}
