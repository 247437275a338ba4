//! The example rabbitmq-workers, on a real engine: its Makefile, and that no task is lost or done twice.

use std::collections::BTreeMap;
use std::process::Command;

use rustix::process::Signal;

use crate::support::engine::{Engine, Project, Running, entry};
use crate::support::turn::Exclusive;

/// A nap that is longer than Docker's 10 seconds of grace.
const NAP: u64 = 15;
/// One that leaves more than these when replicas are told to go, on a slow machine too.
const LONG_NAP: u64 = 30;

const TARGETS: &[&str] = &[
    "up",
    "down",
    "scale",
    "scale-all",
    "status",
    "load-test",
    "monitor",
    "ps",
    "logs",
    "clean",
    "help",
];

/// The example, started by its Makefile. One at a time, so that the image is built once.
fn started() -> Option<Project> {
    let project = Engine::example("rabbitmq-workers")?;
    up(&project);
    Some(project)
}

/// Starts the example in a project that is a copy of it.
pub fn up(project: &Project) {
    let _building = Exclusive::wait("building-rabbitmq-workers");
    project.make(&["up"]).succeeded();
    project.assert_running(&[
        ("rabbitmq", 1),
        ("redis", 1),
        ("worker-a", 1),
        ("worker-b", 1),
    ]);
}

/// Sends tasks, waits for them, and gives what was said; fails unless each was done exactly once.
fn dispatch(project: &Project, args: &[&str]) -> String {
    let run = ["run", "--rm", "-T", "dispatch"];
    project.compose(&[run.as_slice(), args].concat()).stdout
}

/// Sends naps, and waits until as many workers are at one; the ids.
fn naps(project: &Project, count: usize, seconds: u64) -> Vec<String> {
    let said = dispatch(
        project,
        &[
            "--no-wait",
            "--nap",
            &count.to_string(),
            "--seconds",
            &seconds.to_string(),
        ],
    );
    let ids: Vec<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("nap "))
        .map(str::to_owned)
        .collect();
    assert_eq!(ids.len(), count, "{said}");
    project.wait_until("every nap has begun", || {
        ids.iter()
            .all(|id| runs(project, id, "started").as_deref() == Some("1"))
    });
    ids
}

fn redis(project: &Project, args: &[&str]) -> Option<String> {
    let exec = ["exec", "-T", "redis", "redis-cli"];
    let said = project.compose(&[exec.as_slice(), args].concat()).stdout;
    Some(said.trim().to_owned()).filter(|said| !said.is_empty())
}

/// Tasks that have begun, of all that there ever were.
fn begun(project: &Project) -> usize {
    let keys = redis(project, &["--raw", "KEYS", "runs:*"]);
    keys.map_or(0, |keys| keys.lines().count())
}

/// How often a task was `started` or `done`.
fn runs(project: &Project, id: &str, what: &str) -> Option<String> {
    redis(project, &["HGET", &format!("runs:{id}"), what])
}

/// The result of a task, if it has one.
fn status(project: &Project, id: &str) -> Option<String> {
    let result = redis(project, &["GET", &format!("celery-task-meta-{id}")])?;
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    Some(result["status"].as_str().unwrap().to_owned())
}

/// The identities of everything but one service's replicas.
fn others(project: &Project, scaled: &str) -> BTreeMap<(String, u32), String> {
    let mut all = project.all_ids();
    all.retain(|(service, _), _| service != scaled);
    all
}

fn leftovers(project: &Project, kind: &str) -> String {
    let label = format!("label=com.docker.compose.project={}", project.name());
    project.docker(&[kind, "ls", "--quiet", "--filter", &label])
}

/// Fails unless the Makefile has the targets above and no others, and lists them.
fn assert_its_targets(project: &Project) {
    let help = project.make(&["help"]).succeeded().stdout;
    let listed: Vec<&str> = help
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(listed, TARGETS, "`make help`");
    let makefile = project.read("Makefile");
    let targets: Vec<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['.', '#', '\t']))
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .collect();
    assert_eq!(targets, TARGETS, "the Makefile has other targets");
}

fn assert_the_other_targets_say_what_they_should(project: &Project) {
    let said = project.make(&["status"]).succeeded().stdout;
    assert!(
        said.lines()
            .any(|line| line.starts_with("worker-b") && line.contains("3/3")),
        "{said}"
    );
    let said = project.make(&["ps"]).succeeded().stdout;
    assert!(said.contains("worker-a-3"), "{said}");
    let said = project.make(&["logs"]).succeeded().stdout;
    assert!(said.contains("rabbitmq-1"), "{said}");
    let said = monitor(project);
    assert!(
        said.contains("task_a") && !said.contains("rabbitmq-1"),
        "{said}"
    );
    project
        .make(&["scale", "COUNT=3"])
        .exited(2)
        .says("QUEUE=worker-a");
}

#[test]
fn its_makefile_scales_the_workers_and_leaves_the_broker_alone() {
    let Some(project) = started() else { return };

    assert_its_targets(&project);

    let before = others(&project, "worker-a");
    project
        .make(&["scale", "QUEUE=worker-a", "COUNT=3"])
        .succeeded();
    assert_eq!(project.numbers("worker-a"), [1, 2, 3]);
    assert_eq!(
        others(&project, "worker-a"),
        before,
        "scaling worker-a changed others"
    );

    let said = dispatch(&project, &["--task-a", "30"]);
    assert!(
        said.contains("task_a: 30 sent, 30 done, 0 done twice"),
        "{said}"
    );
    let shares: Vec<u32> = said
        .lines()
        .filter_map(|line| line.trim().split_once(" by celery@"))
        .map(|(count, _)| count.parse().unwrap())
        .collect();
    assert_eq!(shares.len(), 3, "not spread over three workers: {said}");
    assert!(
        shares.iter().all(|share| *share >= 2),
        "not spread evenly: {said}"
    );

    let before = others(&project, "worker-b");
    project.make(&["scale-all", "COUNT=3"]).succeeded();
    project.assert_running(&[
        ("rabbitmq", 1),
        ("redis", 1),
        ("worker-a", 3),
        ("worker-b", 3),
    ]);
    assert_eq!(
        others(&project, "worker-b"),
        before,
        "scale-all changed more than worker-b"
    );
    let document = project.json(&["scale-all", "3"]).succeeded().document();
    for store in ["rabbitmq", "redis"] {
        assert!(
            entry(&document["left_alone"], store)["reason"].is_string(),
            "{document:#}"
        );
    }
    project
        .make(&["scale", "QUEUE=rabbitmq", "COUNT=2"])
        .exited(2)
        .says("error[stateful]");

    let said = dispatch(&project, &["--shaky", "3", "--failures", "3"]);
    assert!(
        said.contains("shaky: 3 sent, 3 done, 0 done twice, 9 retries"),
        "{said}"
    );
    let log = project.compose(&["logs", "worker-a"]).stdout;
    assert!(
        log.contains("Retry in"),
        "no retry waited before it ran: {log}"
    );

    assert_the_other_targets_say_what_they_should(&project);
    assert_the_load_test_measures_the_workers(&project);

    project.make(&["down"]).succeeded();
    project.assert_running(&[]);
    assert!(
        !leftovers(&project, "volume").is_empty(),
        "`down` removed the queues"
    );
    project.make(&["clean"]).succeeded();
    assert_eq!(leftovers(&project, "volume"), "", "volumes after `clean`");
    assert_eq!(leftovers(&project, "network"), "", "networks after `clean`");
}

/// `make load-test` with three workers of each kind, whose tasks take 0.1 and 0.2 seconds.
fn assert_the_load_test_measures_the_workers(project: &Project) {
    let ran = super::load_test(project, &["Task A", "Task B"]);
    let said = |what: &str| {
        let mut lines = ran.stdout.lines();
        let line = lines.find_map(|line| line.strip_prefix(what));
        line.unwrap_or_else(|| panic!("no `{what}`\n{ran}")).trim()
    };
    assert_eq!(said("  Total tasks sent:"), "40");
    let seconds = |what: &str| said(what).trim_end_matches('s').parse::<f64>().unwrap();
    let total = seconds("  Total time:");
    for (task, least) in [("Task A", 0.1), ("Task B", 0.2)] {
        let average = seconds(&format!("  {task} average execution:"));
        assert!(
            (least..total).contains(&average),
            "{task}: {average}\n{ran}"
        );
        // The busiest of three workers has seven of the twenty.
        assert!(total >= 7.0 * least, "{total}\n{ran}");
    }
    let throughput = said("  Overall throughput:")
        .trim_end_matches(" tasks/sec")
        .parse::<f64>()
        .unwrap();
    assert!((throughput - 40.0 / total).abs() < 0.1, "{ran}");
    for service in ["worker-a", "worker-b"] {
        let done: Vec<u32> = (1..=3)
            .map(|number| {
                let row = said(&project.container(service, number));
                row.split_whitespace().next().unwrap().parse().unwrap()
            })
            .collect();
        assert_eq!(done.iter().sum::<u32>(), 20, "{ran}");
        assert!(done.iter().all(|count| *count >= 1), "{done:?}\n{ran}");
    }
    // It leaves nothing behind.
    assert_eq!(redis(project, &["KEYS", "celery-task-meta-000000*"]), None);
    for worker in ["worker-a", "worker-b"] {
        let log = project.compose(&["logs", "--tail", "20", worker]).stdout;
        assert!(log.contains("Events of group {task} disabled"), "{log}");
    }
}

/// `make monitor` goes on for ever; what it says until it has come to a task.
fn monitor(project: &Project) -> String {
    // It passes signals on to everything that it starts.
    let mut command = Command::new("timeout");
    command
        .args(["600", "make", "monitor"])
        .current_dir(project.folder())
        .env("COMPOSE_PROJECT_NAME", project.name());
    let monitor = Running::of(command);
    monitor.wait_until_it_says("task_a");
    monitor.signal(Signal::TERM);
    monitor.ended().stdout
}

#[test]
fn no_task_is_lost_or_done_twice_while_workers_come_and_go() {
    let Some(project) = started() else { return };

    // With the policy of the file: the replica that goes ends its nap first.
    project.rscale(&["worker-a=2"]).succeeded();
    let ids = naps(&project, 2, NAP);
    // Each worker has taken one of these ahead.
    let behind = dispatch(&project, &["--no-wait", "--task-a", "4"]);
    let ran = project.json(&["worker-a=1"]).succeeded();
    let document = ran.document();
    let commands = document["commands"].to_string();
    assert!(commands.contains("docker stop -t 75 "), "{ran}");
    assert!(
        !document["findings"].to_string().contains("short-grace"),
        "{ran}"
    );
    assert_eq!(project.numbers("worker-a"), [1]);
    for id in &ids {
        project.wait_until("the nap is done", || {
            status(&project, id).as_deref() == Some("SUCCESS")
        });
    }
    let behind = behind
        .lines()
        .filter_map(|line| line.strip_prefix("task_a "));
    let all: Vec<&str> = ids.iter().map(String::as_str).chain(behind).collect();
    assert_eq!(all.len(), 6);
    for id in all {
        project.wait_until("the task is done", || {
            runs(&project, id, "done").as_deref() == Some("1")
        });
        assert_eq!(
            runs(&project, id, "started").as_deref(),
            Some("1"),
            "started more than once"
        );
    }

    // 200 tasks, some of which wait for a retry inside a worker, while workers come and go: new ones before each
    // scale, so that there is work at each, however long the one before took.
    let mut flows = Vec::new();
    for count in [4, 1, 3, 2] {
        let before = begun(&project);
        let flow = project.compose(&[
            "run",
            "--detach",
            "dispatch",
            "--nap",
            "45",
            "--seconds",
            "0.4",
            "--shaky",
            "5",
        ]);
        flows.push(flow.stdout.trim().to_owned());
        project.wait_until("its first tasks have begun", || begun(&project) > before);
        project.rscale(&[&format!("worker-a={count}")]).succeeded();
    }
    for flow in &flows {
        let ended = project.docker(&["wait", flow]);
        let said = project.docker(&["logs", flow]);
        project.docker(&["rm", flow]);
        assert_eq!(ended, "0", "{said}");
        assert!(
            said.contains("nap: 45 sent, 45 done, 0 done twice, 0 retries"),
            "{said}"
        );
        assert!(
            said.contains("shaky: 5 sent, 5 done, 0 done twice, 10 retries"),
            "{said}"
        );
    }

    // Without the policy: warned, and the nap is lost, because Celery acknowledges a task as it begins.
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
    let ids = naps(&project, 2, LONG_NAP);
    project
        .rscale(&["worker-a=1"])
        .succeeded()
        .says("warning[short-grace]");
    let done = |id: &String| status(&project, id).as_deref() == Some("SUCCESS");
    project.wait_until("the nap of the other replica is done", || {
        ids.iter().any(done)
    });
    // The queue is empty: nobody will take up the other one.
    let said = dispatch(&project, &["--task-a", "1"]);
    assert!(said.contains("1 done"), "{said}");
    let lost: Vec<&String> = ids.iter().filter(|id| !done(id)).collect();
    assert_eq!(lost.len(), 1, "a nap should be lost without the policy");
    assert_eq!(runs(&project, lost[0], "started").as_deref(), Some("1"));
    assert_eq!(runs(&project, lost[0], "done"), None);
}
