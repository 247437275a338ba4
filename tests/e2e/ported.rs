//! The scale scenarios of Compose's own end-to-end tests (docker/compose, pkg/e2e), with rscale doing the
//! scaling. Where rscale differs on purpose, the test says so.
//!
//! Left out: pre_start hooks (Compose 5.3) and what scales nothing.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::engine::{Engine, Project, entry, free_ports};

/// pkg/e2e/fixtures/scale/compose.yaml.
const SCALE: &str = "
services:
  back: {<<: *app, depends_on: [db]}
  db: {<<: *app, environment: [MAYBE]}
  front: {<<: *app, deploy: {replicas: 2}}
  dbadmin: {<<: *app, deploy: {replicas: 0}}
";

/// How many replicas of each service run.
#[track_caller]
fn assert_counts(project: &Project, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> = expected
        .iter()
        .map(|(service, count)| ((*service).to_owned(), *count))
        .collect();
    assert_eq!(project.running(), expected);
}

/// TestScaleBasicCases.
#[test]
fn basic_cases() {
    let Some(project) = Engine::project(SCALE) else {
        return;
    };
    project.compose(&["up", "-d"]);
    assert_counts(&project, &[("back", 1), ("db", 1), ("front", 2)]);
    // scale up one service
    project.rscale(&["scale", "dbadmin=2"]).succeeded();
    assert_counts(
        &project,
        &[("back", 1), ("db", 1), ("front", 2), ("dbadmin", 2)],
    );
    // scale up two services
    project.rscale(&["scale", "front=3", "back=2"]).succeeded();
    assert_counts(
        &project,
        &[("back", 2), ("db", 1), ("front", 3), ("dbadmin", 2)],
    );
    // scale down one service
    let dbadmin = project.ids("dbadmin");
    project.rscale(&["scale", "dbadmin=1"]).succeeded();
    assert_eq!(project.ids("dbadmin"), [(1, dbadmin[&1].clone())].into());
    // scale to 0
    project.rscale(&["scale", "dbadmin=0"]).succeeded();
    assert_counts(&project, &[("back", 2), ("db", 1), ("front", 3)]);
    // scale down two services
    project.rscale(&["scale", "front=2", "back=1"]).succeeded();
    assert_counts(&project, &[("back", 1), ("db", 1), ("front", 2)]);
    assert_eq!(
        (project.numbers("front"), project.numbers("back")),
        (vec![1, 2], vec![1])
    );
}

/// TestScaleWithDepsCases. Compose sets `db` back to 1 when `back` is scaled without `--no-deps`; with
/// rscale dependencies keep their count.
#[test]
fn with_dependencies() {
    let Some(project) = Engine::project(SCALE) else {
        return;
    };
    project.compose(&["up", "-d", "--scale", "db=2"]);
    let db = project.ids("db");
    assert_eq!(db.len(), 2);
    project
        .rscale(&["scale", "--no-deps", "back=2"])
        .succeeded();
    assert_counts(&project, &[("back", 2), ("db", 2), ("front", 2)]);
    project.rscale(&["scale", "back=3"]).succeeded();
    assert_counts(&project, &[("back", 3), ("db", 2), ("front", 2)]);
    assert_eq!(project.ids("db"), db);
}

/// TestScaleUpAndDownPreserveContainerNumber.
#[test]
fn up_and_down_preserve_container_numbers() {
    let Some(project) = Engine::project(SCALE) else {
        return;
    };
    for (target, numbers) in [
        ("db=2", vec![1, 2]),
        ("db=1", vec![1]),
        ("db=2", vec![1, 2]),
    ] {
        project.rscale(&[target]).succeeded();
        assert_eq!(project.numbers("db"), numbers, "{target}");
    }
}

/// TestScaleDownRemovesObsolete. Compose recreates the first `db` on the way up, because the file changed
/// meanwhile; rscale leaves it alone on the way up and takes it first on the way down.
#[test]
fn down_removes_obsolete_replicas() {
    let Some(project) = Engine::project(SCALE) else {
        return;
    };
    project.compose(&["up", "-d", "db"]);
    project.set("MAYBE", "value");
    project.rscale(&["db=2"]).succeeded();
    assert_eq!(project.numbers("db"), [1, 2]);
    project.rscale(&["db=1"]).succeeded();
    assert_eq!(project.numbers("db"), [2]);
}

/// TestScaleDownNoRecreate: images that changed. Before Compose 2.31 the older replicas stay and are
/// recreated; with rscale they go, whatever the Compose.
#[test]
fn down_without_recreation_removes_replicas_of_the_old_image() {
    let Some(project) = Engine::project(
        "services: {test: {<<: *app, image: '$NAME', build: {context: image, args: [FOO]}}}",
    ) else {
        return;
    };
    project.set("NAME", &format!("{}-test:1", project.name()));
    let label = format!("LABEL com.docker.compose.project={}", project.name());
    project.write(
        "image/Dockerfile",
        &format!("FROM busybox:1\n{label}\nARG FOO\nENV FOO=$FOO\n"),
    );
    project.compose(&["build", "--build-arg", "FOO=test"]);
    project.rscale(&["test=2"]).succeeded();
    assert_eq!(project.numbers("test"), [1, 2]);
    project.compose(&["build", "--build-arg", "FOO=updated"]);
    let before = project.ids("test");
    project.rscale(&["test=4"]).succeeded();
    assert_eq!(project.numbers("test"), [1, 2, 3, 4]);
    let after = project.ids("test");
    assert!(
        before.iter().all(|(number, id)| after[number] == *id),
        "replicas were recreated"
    );
    project.rscale(&["test=2"]).succeeded();
    assert_eq!(
        project.ids("test"),
        after
            .into_iter()
            .filter(|(number, _)| *number > 2)
            .collect()
    );
}

/// TestScaleDoesntRecreate.
#[test]
fn up_does_not_recreate_the_first_replica() {
    let Some(project) = Engine::project("services: {simple: *app}") else {
        return;
    };
    project.compose(&["up", "-d"]);
    let first = project.ids("simple")[&1].clone();
    project.rscale(&["simple=2"]).succeeded();
    assert_eq!(project.ids("simple").len(), 2);
    assert_eq!(project.ids("simple")[&1], first);
}

/// TestUnusedMissingEnvFile. Only Compose 5.4 reads a project whose other service lacks its env_file; with
/// an older one rscale says what is missing, and does nothing.
#[test]
fn a_missing_env_file_is_named() {
    let Some(project) =
        Engine::project("services: {a: *app, b: {<<: *app, env_file: [/doesnotexist/.env]}}")
    else {
        return;
    };
    let ran = project
        .rscale(&["b=1"])
        .exited(4)
        .says("an env_file of the project is missing");
    ran.says("/doesnotexist/.env").says_one_error("an env_file");
    assert_eq!(project.containers(), []);
}

/// TestUpWait: a one-shot job beside the service does not count as failed.
#[test]
fn waits_beside_a_job_that_is_done() {
    let Some(project) = Engine::project(
        "
services:
  oneshot: {image: 'busybox:1', command: echo done}
  longrunning: {<<: *app, depends_on: {oneshot: {condition: service_completed_successfully}}}
",
    ) else {
        return;
    };
    project.rscale(&["longrunning=2"]).succeeded();
    assert_counts(&project, &[("longrunning", 2)]);
    assert_eq!(project.states("oneshot")[&1], "exited");
}

/// TestUpWaitTimeout. With Compose the containers go on running; with rscale they do so with `--keep`.
#[test]
fn gives_up_after_the_wait_timeout() {
    let Some(project) = Engine::project(
        "services: {sick: {<<: *app, healthcheck: {test: [CMD, 'false'], interval: 10s, retries: 100}}}",
    ) else {
        return;
    };
    let ran = project
        .rscale(&["sick=1", "--wait-timeout", "3s"])
        .exited(1)
        .says("not healthy yet after 3s");
    assert!(ran.took.as_secs() >= 3, "{ran}");
    assert_eq!(project.containers(), []);
    project
        .rscale(&["sick=1", "--wait-timeout", "1s", "--keep"])
        .exited(1);
    assert_counts(&project, &[("sick", 1)]);
}

/// TestPortRange: a range and ephemeral ports side by side.
#[test]
fn port_ranges_and_ephemeral_ports_scale_together() {
    let first = free_ports(11);
    let Some(project) = Engine::project(&format!(
        "
services:
  a: {{<<: *app, ports: ['{first}-{}:80'], scale: 5}}
  b: {{<<: *app, ports: ['80']}}
  c: {{<<: *app, ports: ['80']}}
",
        first + 10
    )) else {
        return;
    };
    project.rscale(&["a=5", "b=2", "c=2"]).succeeded();
    assert_counts(&project, &[("a", 5), ("b", 2), ("c", 2)]);
    let status = project.json(&["status", "a"]).succeeded().document();
    let mut ports: Vec<u16> = entry(&status["services"], "a")["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| {
            let port = container["ports"][0].as_str().unwrap();
            port.split("->")
                .next()
                .unwrap()
                .rsplit(':')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 5, "{status:#}");
    assert!(
        ports.iter().all(|port| (first..=first + 10).contains(port)),
        "{ports:?}"
    );
}

/// TestUpContainerNameConflict: one name for two services. Each can run alone, both together cannot, and
/// with rscale then neither does.
#[test]
fn one_container_name_for_two_services_fails_as_a_whole() {
    let Some(project) = Engine::project(
        "services: {test: {<<: *app, container_name: $NAME}, test2: {<<: *app, container_name: $NAME}, web: *app}",
    ) else {
        return;
    };
    project.set("NAME", &format!("{}-both", project.name()));
    let ran = project.rscale(&["test=1", "test2=1", "web=2"]);
    assert!(matches!(ran.status, 1 | 3), "{ran}");
    assert!(ran.stderr.contains("-both"), "{ran}");
    assert_eq!(project.containers(), [], "{ran}");
    project.rscale(&["test=1"]).succeeded();
    project.rscale(&["test=0", "web=1"]).succeeded();
    project.rscale(&["test2=1"]).succeeded();
    project.assert_running(&[("test2", 1), ("web", 1)]);
}

/// TestRecreateWithNoDeps: `--no-deps` leaves the dependency alone, even when it is stopped.
#[test]
fn no_deps_leaves_a_stopped_dependency_alone() {
    let Some(project) = Engine::project(SCALE) else {
        return;
    };
    project.compose(&["up", "-d"]);
    project.compose(&["stop", "db"]);
    project.rscale(&["--no-deps", "back=3"]).succeeded();
    assert_counts(&project, &[("back", 3), ("front", 2)]);
    assert_eq!(project.states("db")[&1], "exited");
}

/// TestPs: an unknown service, and a service without containers.
#[test]
fn status_knows_services_without_containers_and_refuses_unknown_ones() {
    let Some(project) = Engine::project(SCALE) else {
        return;
    };
    project.compose(&["up", "-d"]);
    let status = project.json(&["status", "dbadmin"]).succeeded().document();
    assert_eq!(
        entry(&status["services"], "dbadmin")["replicas"],
        json!(0),
        "{status:#}"
    );
    project
        .rscale(&["status", "dbadmn"])
        .exited(2)
        .says("did you mean `dbadmin`?");
}

/// cp_test and logs_test scale first: a replica can then be reached by its index.
#[test]
fn replicas_can_be_reached_by_index() {
    let Some(project) = Engine::project("services: {nginx: *app}") else {
        return;
    };
    project.compose(&["up", "-d"]);
    project.rscale(&["nginx=3"]).succeeded();
    project.write("cp-me.txt", "hello");
    project.compose(&["cp", "--index", "3", "cp-me.txt", "nginx:/tmp/default.txt"]);
    let name = project.container("nginx", 3);
    assert_eq!(
        project.docker(&["exec", &name, "cat", "/tmp/default.txt"]),
        "hello"
    );
}
