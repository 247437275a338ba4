//! The core of it over other versions of Compose: the newest 2.x that Debian has, and v1 1.29.2.
//!
//! Left out for v1, which has none of it: lifecycle hooks, `config` without the services of inactive
//! profiles, a pull policy of `up`, configs and secrets with a content of their own.

use serde_json::{Value, json};

use crate::support::engine::{ComposeUnderTest, Engine, Project, entry, names};

/// The same tests for each Compose.
macro_rules! over_versions {
    ($($test:ident),+ $(,)?) => {
        mod newest {
            $(#[test] fn $test() { super::$test(super::ComposeUnderTest::newest()); })+
        }
        mod v1 {
            $(#[test] fn $test() { super::$test(super::ComposeUnderTest::v1()); })+
        }
    };
}

over_versions!(
    scaling_up_keeps_neighbours_and_dependencies,
    scaling_down_takes_broken_then_highest,
    a_crash_is_rolled_back,
    a_replica_that_stays_unhealthy_is_rolled_back,
    a_stopped_replica_is_started_again,
    status_tells_what_runs,
    scale_all_scales_all_at_once,
    dry_run_prints_what_is_then_run,
    refusals_touch_nothing,
    a_missing_dependency_is_started,
);

fn shop(compose: ComposeUnderTest) -> Option<Project> {
    let project = Engine::project_with(
        compose,
        "
services:
  web: {<<: *app, depends_on: [db], healthcheck: {test: [CMD, test, '!', -f, /tmp/sick], interval: 300ms, retries: 1}}
  db: *app
  other: *app
  bad: {<<: *app, volumes: ['./flag:/flag'], command: [sh, -c, 'test -f /flag/crash && echo boom && exit 3; exec sleep 900']}
  only: {<<: *app, ports: ['80:80']}
",
    )?;
    project.write("flag/none", "");
    Some(project)
}

fn scaling_up_keeps_neighbours_and_dependencies(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    project.compose(&[
        "up", "-d", "--scale", "db=3", "--scale", "other=2", "web", "other",
    ]);
    let before = project.all_ids();
    assert_eq!(before.len(), 6, "{before:?}");
    let document = project.json(&["web=3"]).succeeded().document();
    project.assert_running(&[("web", 3), ("db", 3), ("other", 2)]);
    let after = project.all_ids();
    assert!(
        before.iter().all(|(key, id)| after[key] == *id),
        "{document:#}"
    );
    assert_eq!(
        document["untouched"],
        json!({"containers": 5, "changed": []})
    );
    let web = entry(&document["services"], "web");
    assert_eq!(
        (&web["from"], &web["to"], &web["healthy"]),
        (&json!(1), &json!(3), &json!(3))
    );
    project.assert_a_later_up_recreates_nothing();
}

fn scaling_down_takes_broken_then_highest(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    project.compose(&["up", "-d", "--scale", "web=5", "web"]);
    (1..=5).for_each(|number| project.wait_for("web", number, "(healthy)"));
    project.docker(&["exec", &project.container("web", 1), "touch", "/tmp/sick"]);
    project.docker(&["kill", &project.container("web", 2)]);
    project.wait_for("web", 1, "(unhealthy)");
    let before = project.ids("web");
    let db = project.ids("db");
    let document = project.json(&["web=2"]).succeeded().document();
    assert_eq!(project.numbers("web"), [3, 4], "{document:#}");
    assert!(
        project
            .ids("web")
            .iter()
            .all(|(number, id)| before[number] == *id)
    );
    assert_eq!(project.ids("db"), db);
}

fn a_crash_is_rolled_back(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    project.compose(&["up", "-d", "bad", "other"]);
    let before = project.all_ids();
    project.crash_from_now_on();
    let ran = project
        .json(&["bad=2", "other=3"])
        .exited(1)
        .says("exited with code 3")
        .says("| boom");
    let document = ran.document();
    assert_eq!(document["outcome"], "rolled_back", "{ran}");
    assert_eq!(project.all_ids(), before, "{ran}");
    project.assert_running(&[("bad", 1), ("other", 1)]);
}

fn a_replica_that_stays_unhealthy_is_rolled_back(compose: ComposeUnderTest) {
    let Some(project) = Engine::project_with(
        compose,
        "services: {web: {<<: *app, volumes: ['./flag:/flag'], command: [sh, -c, 'test -f /flag/sick || touch /tmp/well; exec sleep 900'], healthcheck: {test: [CMD, test, -f, /tmp/well], interval: 300ms, retries: 2}}}",
    ) else {
        return;
    };
    project.write("flag/none", "");
    project.compose(&["up", "-d"]);
    let before = project.all_ids();
    project.write("flag/sick", "");
    let ran = project.json(&["web=3"]).exited(1).says("became unhealthy");
    assert_eq!(ran.document()["outcome"], "rolled_back", "{ran}");
    assert_eq!(project.all_ids(), before, "{ran}");
}

fn a_stopped_replica_is_started_again(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    project.compose(&["up", "-d", "--scale", "other=2", "other"]);
    let before = project.all_ids();
    project.docker(&["kill", &project.container("other", 1)]);
    project.json(&["other=2"]).succeeded();
    project.assert_running(&[("other", 2)]);
    assert_eq!(project.all_ids(), before);
}

fn status_tells_what_runs(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    project.compose(&["up", "-d", "--scale", "other=2", "web", "other"]);
    project.docker(&["kill", &project.container("other", 2)]);
    project.wait_for("web", 1, "(healthy)");
    let status = project.json(&["status"]).succeeded().document();
    assert_eq!(status["project"], project.name(), "{status:#}");
    for (name, declared, replicas, running, healthy, state) in [
        ("web", 1, 1, 1, json!(1), "ok"),
        ("db", 1, 1, 1, json!(null), "ok"),
        ("other", 1, 2, 1, json!(null), "degraded"),
        ("bad", 1, 0, 0, json!(null), "stopped"),
    ] {
        let service = entry(&status["services"], name);
        let got = (
            &service["declared"],
            &service["replicas"],
            &service["running"],
            &service["healthy"],
            &service["state"],
        );
        assert_eq!(
            got,
            (
                &json!(declared),
                &json!(replicas),
                &json!(running),
                &healthy,
                &json!(state)
            ),
            "{service:#}"
        );
    }
}

fn scale_all_scales_all_at_once(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    project.compose(&["up", "-d", "--scale", "web=2", "web", "other"]);
    let before = project.all_ids();
    let document = project.json(&["scale-all", "2"]).succeeded().document();
    project.assert_running(&[("web", 2), ("db", 2), ("other", 2), ("bad", 2)]);
    assert_eq!(names(&document["left_alone"]), ["only"], "{document:#}");
    let after = project.all_ids();
    assert!(
        before.iter().all(|(key, id)| after[key] == *id),
        "{document:#}"
    );
}

fn dry_run_prints_what_is_then_run(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    project.compose(&["up", "-d", "web"]);
    for args in [["web=3"].as_slice(), &["web=1"]] {
        let before = project.all_ids();
        let dry = project
            .json(&[args, &["--dry-run"]].concat())
            .succeeded()
            .document();
        assert_eq!(dry["outcome"], "planned", "{dry:#}");
        assert_eq!(project.all_ids(), before);
        let real = project.json(args).succeeded().document();
        // What goes on at the same time is noted in the order in which it happens.
        let sorted = |document: &'_ Value| -> Vec<String> {
            let mut commands: Vec<String> = names(&document["commands"])
                .into_iter()
                .map(str::to_owned)
                .collect();
            commands.sort();
            commands
        };
        assert_eq!(sorted(&real), sorted(&dry), "{args:?}");
        assert!(sorted(&real).len() > 1, "{real:#}");
    }
}

fn refusals_touch_nothing(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    let document = project.json(&["only=2", "other=2"]).exited(3).document();
    assert_eq!(document["findings"][0]["rule"], "host-port", "{document:#}");
    assert_eq!(project.containers(), []);
}

fn a_missing_dependency_is_started(compose: ComposeUnderTest) {
    let Some(project) = shop(compose) else { return };
    project
        .rscale(&["web=2"])
        .succeeded()
        .says("starting `db` (1) as well");
    project.assert_running(&[("web", 2), ("db", 1)]);
}
