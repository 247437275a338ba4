//! `rscale status`: what runs, also where the file and the containers disagree.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::engine::{Engine, Project, entry};

const MIXED: &str = "
services:
  fine: *app
  drifted: {<<: *app, scale: 2}
  degraded: {<<: *app, scale: 2}
  stopped: *app
  never: {<<: *app, scale: 3}
  healthy: {<<: *app, healthcheck: {test: [CMD, 'true'], interval: 300ms}}
  sick: {<<: *app, healthcheck: {test: [CMD, 'false'], interval: 300ms, retries: 1}}
  starting: {<<: *app, healthcheck: {test: [CMD, 'false'], interval: 300ms, start_period: 10m}}
  policy: {<<: *app, x-rscale: {min: 1, max: 4}}
  edge: {<<: *app, ports: ['80']}
  named: {<<: *app, container_name: $NAME}
  hidden: {<<: *app, profiles: [debug]}
";

fn mixed() -> Option<Project> {
    let project = Engine::project(&format!("{MIXED}  orphan: *app\n"))?;
    project.set("NAME", &format!("{}-fixed", project.name()));
    project.compose(&[
        "up",
        "-d",
        "--scale",
        "drifted=3",
        "--scale",
        "never=0",
        "--scale",
        "edge=2",
    ]);
    project.docker(&[
        "kill",
        &project.container("degraded", 2),
        &project.container("stopped", 1),
    ]);
    project.compose_file(MIXED);
    project.wait_for("healthy", 1, "(healthy)");
    project.wait_for("sick", 1, "(unhealthy)");
    Some(project)
}

fn figures(service: &Value) -> (u64, u64, Option<u64>, &str, bool) {
    (
        service["replicas"].as_u64().unwrap(),
        service["running"].as_u64().unwrap(),
        service["healthy"].as_u64(),
        service["state"].as_str().unwrap(),
        service["drift"].as_bool().unwrap(),
    )
}

/// One project for three tests: it has a dozen containers.
#[test]
fn shows_what_runs_also_where_file_and_containers_disagree() {
    let Some(project) = mixed() else { return };
    tells_every_kind_of_service_apart(&project);
    lists_the_containers_as_the_engine_has_them(&project);
    prints_a_table_for_people(&project);
}

fn tells_every_kind_of_service_apart(project: &Project) {
    let status = project.json(&["status"]).succeeded().document();
    assert_eq!(
        (&status["schema"], &status["project"], &status["engine"]),
        (&json!(1), &json!(project.name()), &json!("compose"))
    );
    for (name, declared, expected) in [
        ("fine", json!(1), (1, 1, None, "ok", false)),
        ("drifted", json!(2), (3, 3, None, "ok", true)),
        ("degraded", json!(2), (2, 1, None, "degraded", false)),
        ("stopped", json!(1), (1, 0, None, "stopped", false)),
        ("never", json!(3), (0, 0, None, "stopped", true)),
        ("healthy", json!(1), (1, 1, Some(1), "ok", false)),
        ("sick", json!(1), (1, 1, Some(0), "degraded", false)),
        ("starting", json!(1), (1, 1, Some(0), "starting", false)),
        ("edge", json!(1), (2, 2, None, "ok", true)),
        ("orphan", json!(null), (1, 1, None, "ok", true)),
    ] {
        let service = entry(&status["services"], name);
        assert_eq!(service["declared"], declared, "{service:#}");
        assert_eq!(figures(service), expected, "{service:#}");
        // Null is something else than 0: there is no healthcheck.
        assert_eq!(
            service["healthy"].is_null(),
            expected.2.is_none(),
            "{service:#}"
        );
    }
    let services = status["services"].as_array().unwrap();
    assert_eq!(
        services.len(),
        12,
        "the hidden one has no containers: {status:#}"
    );
    assert_eq!(services.last().unwrap()["name"], "orphan");
    let policy = entry(&status["services"], "policy");
    assert_eq!(
        (&policy["min"], &policy["max"], &policy["scalable"]),
        (&json!(1), &json!(4), &json!(true))
    );
    let named = entry(&status["services"], "named");
    assert_eq!(named["scalable"], json!(false));
    assert!(
        named["reasons"][0]
            .as_str()
            .unwrap()
            .contains("container_name"),
        "{named:#}"
    );
}

fn lists_the_containers_as_the_engine_has_them(project: &Project) {
    let status = project.json(&["status"]).succeeded().document();
    for (service, states) in [
        ("degraded", vec!["running", "exited"]),
        ("edge", vec!["running"; 2]),
        ("sick", vec!["running"]),
    ] {
        let containers = entry(&status["services"], service)["containers"]
            .as_array()
            .unwrap();
        let ids = project.ids(service);
        assert_eq!(containers.len(), ids.len());
        for (container, ((number, id), state)) in containers.iter().zip(ids.iter().zip(states)) {
            assert_eq!(
                (&container["number"], &container["id"]),
                (&json!(number), &json!(id))
            );
            assert_eq!(
                container["name"],
                json!(project.container(service, *number))
            );
            assert_eq!(container["state"], state);
            let health = if service == "sick" {
                json!("unhealthy")
            } else {
                json!(null)
            };
            assert_eq!(
                (&container["health"], &container["restarts"]),
                (&health, &json!(0)),
                "{container:#}"
            );
            assert_eq!(
                container["ports"].as_array().unwrap().is_empty(),
                service != "edge",
                "{container:#}"
            );
        }
    }
}

#[test]
fn counts_restarts_by_the_engine() {
    let Some(project) = Engine::project(
        "services: {web: {<<: *app, restart: always, command: [sh, -c, 'test -f /tmp/again && exec sleep 900; touch /tmp/again; exit 1']}}",
    ) else {
        return;
    };
    project.compose(&["up", "-d"]);
    let restarts = || {
        project.json(&["status"]).succeeded().document()["services"][0]["containers"][0]["restarts"]
            .clone()
    };
    project.wait_until("it was restarted", || {
        restarts() == json!(1) && project.running().len() == 1
    });
    let table = project.rscale(&["status"]).succeeded();
    let row: Vec<&str> = table
        .stdout
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(row[..5], ["web", "1/1", "-", "ok", "1"], "{table}");
}

fn prints_a_table_for_people(project: &Project) {
    let table = project.rscale(&["status"]).succeeded();
    let row = |name: &str| {
        let line = table
            .stdout
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap_or_else(|| panic!("no `{name}`\n{table}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (name, start) in [
        (
            "SERVICE",
            "SERVICE REPLICAS HEALTHY STATE PORTS RESTARTS UPTIME",
        ),
        ("fine", "fine 1/1 - ok"),
        ("drifted", "drifted 3/3 (declared 2) - ok"),
        ("degraded", "degraded 1/2 - degraded (#2 exited)"),
        ("never", "never 0/0 (declared 3) - stopped"),
        ("healthy", "healthy 1/1 1/1 ok"),
        ("sick", "sick 1/1 0/1 degraded (#1 unhealthy)"),
        ("orphan", "orphan 1/1 (orphan) - ok"),
    ] {
        assert!(row(name).starts_with(start), "{start}\n{table}");
    }
    assert!(!table.stdout.contains("hidden"), "{table}");
    let table = project.rscale(&["status", "-v", "named"]).succeeded();
    assert!(
        table.stdout.contains("container_name") && !table.stdout.contains("drifted"),
        "{table}"
    );
}

#[test]
fn watch_prints_a_line_per_change_when_piped() {
    let Some(project) = Engine::project("services: {web: {<<: *app, scale: 2}, db: *app}") else {
        return;
    };
    project.compose(&["up", "-d"]);
    let watch = project.start(&["status", "--watch", "200ms"]);
    watch.wait_until_it_says("web  2/2 running, ok\n");
    project.docker(&["kill", &project.container("web", 2)]);
    watch.wait_until_it_says("web  1/2 running, degraded\n");
    project.json(&["web=1"]).succeeded();
    watch.wait_until_it_says("web  1/1 running, ok\n");
    watch.signal(Signal::INT);
    let ran = watch.ended().exited(130);
    assert_eq!(
        ran.stdout
            .lines()
            .filter(|line| line.starts_with("db"))
            .collect::<Vec<_>>(),
        ["db  1/1 running, ok"],
        "{ran}"
    );
    assert_eq!(ran.stdout.lines().count(), 4, "{ran}");
}
