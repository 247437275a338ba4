//! `rscale load-test`: what is refused before anything is sent, without an engine.

use crate::support::fake::{Fake, running};

const QUEUES: &str = "
services:
  worker:
    image: app
    command: celery -A p worker -Q jobs
    environment: {BROKER_URL: 'redis://:s3cret@redis/0'}
    x-rscale: {queue: {driver: celery, broker: 'redis://:s3cret@redis/0', name: jobs}}
  redis: {image: redis}
x-rscale:
  load-test:
    tasks:
      Add: {service: worker, task: tasks.add}
";
const PLAIN: &str = "
services:
  worker: {image: app, command: celery -A p worker -Q jobs, environment: {BROKER_URL: 'redis://:s3cret@redis/0'}}
  redis: {image: redis}
";

/// The line of arguments, the exit status, and what is said.
const REFUSED: &[(&str, i32, &str)] = &[
    ("--task tasks.add", 2, "`--task tasks.add` names no queue"),
    (
        "--celery redis://redis",
        2,
        "`--celery` needs a task to send",
    ),
    ("--task a@b --args 5", 2, "`--args` is no JSON list"),
    ("--http ftp://redis", 2, "is no URL of a web server"),
    (
        "--warmup soon",
        2,
        "`--warmup soon` is neither a number of tasks nor a duration",
    ),
    ("--rate 0", 2, "invalid value '0' for '--rate <R>'"),
    ("--tasks 5 --duration 5s", 2, "cannot be used with"),
    ("--rate 5 --concurrency 5", 2, "cannot be used with"),
    ("--fail-if throughput", 2, "--fail-if"),
    ("--fail-if throughptu<5", 2, "throughput"),
    (
        "--fail-if sub.p95_seconds>5",
        2,
        "there is no task type `sub`",
    ),
    ("--compare nowhere.json", 2, "`nowhere.json` cannot be read"),
    ("--save nowhere/result.json", 2, "there is no such folder"),
    ("--sweep worker", 2, "worker"),
    ("--sweep worker=0..3", 2, "0"),
    ("--sweep wroker=1..3", 2, "did you mean `worker`?"),
    // Redis does not run.
    ("", 4, "`redis` does not run"),
];

#[test]
fn what_cannot_be_is_one_clear_line_and_nothing_is_sent_or_scaled() {
    for (line, status, said) in REFUSED {
        let ran = Fake::new(QUEUES)
            .containers(running("worker", 1))
            .line(&format!("load-test {line}"))
            .output();
        assert_eq!(ran.status, *status, "{line}: {ran:#?}");
        assert!(ran.stderr.contains(said), "{line}: {ran:#?}");
        assert!(
            !ran.stderr.contains("s3cret") && ran.stdout.is_empty(),
            "{ran:#?}"
        );
        assert!(ran.changes().is_empty(), "{ran:#?}");
    }
}

#[test]
fn nothing_to_send_says_what_can_be_typed_and_what_the_workers_use() {
    let ran = Fake::new(PLAIN)
        .containers(running("worker", 1))
        .line("load-test")
        .output();
    assert_eq!(ran.status, 2, "{ran:#?}");
    for said in [
        "nothing says what is to be sent",
        "`worker` has BROKER_URL=redis://:***@redis/0",
        "rscale load-test --http",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran:#?}");
    }
    assert!(!ran.stderr.contains("s3cret"), "{ran:#?}");
}

#[test]
fn where_the_broker_is_comes_from_the_workers_and_is_said_without_its_password() {
    let ran = Fake::new(PLAIN)
        .containers(running("worker", 1))
        .line("load-test --task tasks.add@jobs")
        .output();
    assert_eq!(ran.status, 4, "{ran:#?}");
    assert!(
        ran.stderr
            .contains("took the broker from `worker`: BROKER_URL=redis://:***@redis/0"),
        "{ran:#?}"
    );
    assert!(!ran.stderr.contains("s3cret"), "{ran:#?}");
}

#[test]
fn a_wrong_queue_in_the_compose_file_stops_every_command_and_names_its_place() {
    let wrong = QUEUES.replace("driver: celery", "driver: clery");
    let ran = Fake::new(&wrong).line("status").output();
    assert_eq!(ran.status, 4, "{ran:#?}");
    assert!(
        ran.stderr.contains("services.worker.x-rscale.queue.driver"),
        "{ran:#?}"
    );
    assert!(ran.stderr.contains("did you mean `celery`?"), "{ran:#?}");
}
