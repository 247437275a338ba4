//! `rscale load-test` with requests through nginx, and with commands of the user's.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::engine::{Engine, Project, entry, free_ports, names};

fn task<'v>(document: &'v Value, name: &str) -> &'v Value {
    entry(&document["tasks"], name)
}

/// How often tasks of a type ended with this class of error.
fn errors(task: &Value, class: &str) -> u64 {
    let errors = task["errors"].as_array().unwrap();
    let of_class = errors.iter().find(|error| error["class"] == class);
    of_class.map_or(0, |error| error["count"].as_u64().unwrap())
}

#[test]
fn requests_through_nginx_are_counted_by_the_replica_that_answered() {
    let Some(project) = Engine::example("django-celery-nginx") else {
        return;
    };
    project.set("HTTP_PORT", &free_ports(1).to_string());
    project.make(&["up"]).succeeded();
    project.rscale(&["web-django=3"]).succeeded();

    let ran = project
        .json(&[
            "load-test",
            "--http=http://nginx/",
            "--header=Host: localhost",
            "--replica-header=X-Replica",
            "--tasks=300",
            "--concurrency=6",
        ])
        .succeeded();
    let document = ran.document();
    let home = task(&document, "GET /");
    assert_eq!(
        (&home["completed"], &home["failed"], &home["driver"]),
        (&300.into(), &0.into(), &"http".into()),
        "{ran}"
    );
    assert_eq!(home["end_to_end_seconds"]["samples"], 300);
    // What the workers of a queue would tell.
    assert!(home["execution_seconds"].is_null() && home["queue_wait_seconds"].is_null());
    let replicas = document["replicas"].as_array().unwrap();
    let mut expected: Vec<String> = (1..=3)
        .map(|number| project.container("web-django", number))
        .collect();
    expected.sort();
    let mut found = names(&document["replicas"]);
    found.sort_unstable();
    assert_eq!(found, expected, "{ran}");
    let total: u64 = replicas
        .iter()
        .map(|replica| replica["completed"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 300);
    for replica in replicas {
        assert_eq!(replica["service"], "web-django");
        assert!(replica["share"].as_f64().unwrap() > 0.1, "{ran}");
    }
    // A page that is not there.
    let ran = project
        .json(&[
            "load-test",
            "--http=http://nginx/nowhere",
            "--header=Host: localhost",
            "--tasks=5",
        ])
        .succeeded();
    let document = ran.document();
    let nowhere = &document["tasks"][0];
    assert_eq!(
        (nowhere["failed"].as_u64(), errors(nowhere, "HTTP 404")),
        (Some(5), 5),
        "{ran}"
    );
}

#[test]
fn a_server_that_stops_in_the_middle_ends_in_errors_that_are_counted() {
    let port = free_ports(1);
    let yaml = format!(
        "services:\n  web:\n    image: nginx:1\n    stop_grace_period: 1s\n    ports: ['127.0.0.1:{port}:80']\n"
    );
    let Some(project) = Engine::project(&yaml) else {
        return;
    };
    let url = "--http=http://web/";
    project
        .rscale(&["load-test", url])
        .exited(4)
        .says_one_error("`web` does not run");
    project.compose(&["up", "-d"]);
    project.wait_until("nginx answers", || {
        project
            .rscale(&["load-test", url, "--tasks=1", "--fail-if=failed>0"])
            .status
            == 0
    });

    let web = project.container("web", 1);
    let served = || project.docker(&["logs", &web]).lines().count();
    let before = served();
    let running = project.start(&[
        "load-test",
        url,
        "--duration=30s",
        "--concurrency=4",
        "--fail-if=failed>0",
        "--format=json",
    ]);
    project.wait_until("requests are answered", || served() > before + 500);
    project.docker(&["stop", "--time=1", &web]);
    let ran = running.ended().exited(5);
    let document = ran.document();
    let task = &document["tasks"][0];
    assert!(task["completed"].as_u64().unwrap() > 100, "{ran}");
    assert!(errors(task, "connection refused") > 0, "{ran}");
    assert_eq!(task["lost"], 0, "{ran}");
    // Each connection rests after it was refused.
    let refused = errors(task, "connection refused");
    assert!(refused < 4 * 10 * 35, "hammered: {ran}");

    project
        .rscale(&["load-test", url])
        .exited(4)
        .says_one_error("`web` does not run");
}

/// nginx ends the connections that it keeps when it is told of new replicas.
#[test]
fn a_server_that_reloads_costs_no_request() {
    let Some(project) =
        Engine::project("services:\n  web:\n    image: nginx:1\n    ports: ['127.0.0.1::80']\n")
    else {
        return;
    };
    project.compose(&["up", "-d"]);
    let url = "--http=http://web/";
    project.wait_until("nginx answers", || {
        let once = ["load-test", url, "--tasks=1", "--fail-if=failed>0"];
        project.rscale(&once).status == 0
    });
    let again = "while sleep 0.2; do nginx -s reload; done";
    let web = project.container("web", 1);
    project.docker(&["exec", "--detach", &web, "sh", "-c", again]);
    let load = |more: &[&str]| {
        let load = ["load-test", url, "--duration=8s", "--concurrency=8"];
        let ran = project.json(&[load.as_slice(), more].concat()).succeeded();
        let task = ran.document()["tasks"][0].clone();
        let ended = errors(&task, "connection closed") + errors(&task, "connection reset");
        (ended, task["failed"].clone(), task["retried"].clone(), ran)
    };
    let (ended, failed, retried, ran) = load(&[]);
    assert_eq!((ended, failed), (0, 0.into()), "{ran}");
    assert!(retried.as_u64() > Some(0), "{ran}");
    // What nobody may send twice is what one loses otherwise.
    let (ended, _, retried, ran) = load(&["--method=POST", "--body=x"]);
    assert!(ended > 0, "{ran}");
    assert_eq!(retried, 0, "{ran}");
}

const COMMANDS: &str = r#"
services:
  app:
    <<: *app
x-rscale:
  load-test:
    tasks:
      Local:
        command: [sh, -c, 'echo "$$RSCALE_TASK_ID {id}" >> ids']
      Exec:
        service: app
        exec: [sh, -c, 'test -n "$$RSCALE_TASK_ID" && test -e /seen || { touch /seen; exit 3; }']
      Run:
        service: app
        once: true
        run:
          - sh
          - -c
          - |
            echo "{count} to do"
            for i in $$(seq $$RSCALE_COUNT); do
              echo "{\"id\": $$i, \"ok\": true, \"seconds\": 0.5, \"replica\": \"worker-$$i\"}"
            done
"#;

/// Containers of `docker compose run` in the project, in any state.
fn one_offs(project: &Project) -> String {
    let label = format!("label=com.docker.compose.project={}", project.name());
    project.docker(&[
        "ps",
        "--all",
        "--quiet",
        "--filter",
        &label,
        "--filter",
        "label=com.docker.compose.oneoff=True",
    ])
}

#[test]
fn commands_run_here_in_a_replica_and_in_a_container_of_their_own() {
    let Some(project) = Engine::project(COMMANDS) else {
        return;
    };
    project
        .rscale(&["load-test"])
        .exited(4)
        .says_one_error("`app` does not run");
    project.compose(&["up", "-d"]);
    let before = project.all_ids();
    let ran = project
        .json(&["load-test", "--tasks=4", "--concurrency=1"])
        .succeeded();
    let document = ran.document();
    for (name, completed, failed) in [("Local", 4, 0), ("Exec", 3, 1), ("Run", 4, 0)] {
        let task = task(&document, name);
        assert_eq!(
            (task["completed"].as_u64(), task["failed"].as_u64()),
            (Some(completed), Some(failed)),
            "{name}: {ran}"
        );
    }
    assert_eq!(errors(task(&document, "Exec"), "exit status 3"), 1, "{ran}");
    assert_eq!(task(&document, "Run")["execution_seconds"]["p50"], 0.5);
    let local = &task(&document, "Local")["execution_seconds"];
    assert_eq!(local["samples"], 4);
    // In the project's folder, each with its own id.
    let ids = project.read("ids");
    for line in ids.lines() {
        let (variable, word) = line.split_once(' ').unwrap();
        assert_eq!((variable.len(), variable), (36, word));
    }
    assert_eq!(ids.lines().count(), 4);
    assert_eq!(names(&document["replicas"]).len(), 4, "{ran}");
    assert_eq!(
        (one_offs(&project), project.all_ids()),
        (String::new(), before)
    );

    project
        .rscale(&["load-test", "--rate=5"])
        .exited(2)
        .says_one_error("`Run` is one command for all tasks");
    project
        .rscale(&["load-test", "--command=rscale-no-such-program"])
        .exited(4)
        .says("`rscale-no-such-program` is not installed, or not on PATH");
}

#[test]
fn an_interrupted_command_leaves_neither_process_nor_container() {
    let yaml = r"
services:
  app:
    <<: *app
x-rscale:
  load-test:
    tasks:
      Local: {command: [sh, -c, 'echo $$$$ > begun; while sleep 1; do :; done']}
      Run: {service: app, run: [sh, -c, 'trap : TERM INT; while true; do sleep 1; done']}
";
    let Some(project) = Engine::project(yaml) else {
        return;
    };
    let running = project.start(&["load-test", "--tasks=1", "--format=json"]);
    project.wait_until("both have begun", || {
        !project.read("begun").is_empty() && !one_offs(&project).is_empty()
    });
    running.signal(Signal::INT);
    let ran = running.ended().exited(130);
    assert_eq!(ran.document()["interrupted"], true, "{ran}");
    project.wait_until("no container is left", || one_offs(&project).is_empty());
    // Nothing but a process that has ended has no command line.
    let process = format!("/proc/{}/cmdline", project.read("begun").trim());
    let line = std::fs::read_to_string(process).unwrap_or_default();
    assert_eq!(line, "", "it goes on");
}

#[test]
fn results_that_never_come_fail_the_run_and_a_condition_on_them_is_judged() {
    let Some(project) = Engine::project("services: {idle: *app}\n") else {
        return;
    };
    // Told to do three, it speaks of one.
    let few = "--command=sh -c 'echo {\\\"ok\\\":true}'";
    let run = |more: &[&str]| {
        let args = ["load-test", few, "--once", "--tasks=3"];
        project.json(&[args.as_slice(), more].concat())
    };
    let ran = run(&[])
        .exited(1)
        .says_one_error("2 of 3 tasks have no result");
    let document = ran.document();
    assert_eq!(
        (&document["completed"], &document["lost"]),
        (&1.into(), &2.into()),
        "{ran}"
    );
    assert_eq!(document["error"], "2 of 3 tasks have no result");
    run(&["--fail-if=lost>0"])
        .exited(5)
        .says("threshold missed: lost > 0: it is 2");
    run(&["--fail-if=failed>0"]).exited(1);
    // What cannot be saved is printed all the same.
    let ran = project
        .json(&[
            "load-test",
            "--command=true",
            "--tasks=2",
            "--save=/dev/full",
        ])
        .exited(1)
        .says_one_error("`/dev/full` cannot be written");
    assert_eq!(ran.document()["completed"], 2, "{ran}");
}
