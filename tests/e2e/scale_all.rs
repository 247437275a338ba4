//! `rscale scale-all`: everything that can be scaled, in one plan, and why the rest was left alone.

use serde_json::{Value, json};

use crate::support::engine::{Engine, Project, entry, names};

/// Of each kind that is left alone one, and two that are scaled. Only those two are ever started.
const SHOP: &str = "
services:
  web: {<<: *app, x-rscale: {min: 1}}
  worker: *app
  named: {<<: *app, container_name: rscale-e2e-never-started}
  edge: {<<: *app, ports: ['80:80']}
  db: {image: 'postgres:16', volumes: ['data:/var/lib/postgresql/data']}
  beat: {image: shop, command: celery -A shop beat}
  legacy: {<<: *app, x-rscale: {scalable: false}}
  small: {<<: *app, x-rscale: {max: 2}}
  hidden: {<<: *app, profiles: [debug]}
volumes: {data: {}}
";

fn shop() -> Option<Project> {
    let project = Engine::project(SHOP)?;
    project.compose(&["up", "-d", "web", "worker"]);
    Some(project)
}

fn left_alone(document: &Value) -> Vec<&str> {
    names(&document["left_alone"])
}

#[test]
fn scales_what_can_be_scaled_and_says_why_the_rest_was_left_alone() {
    let Some(project) = shop() else { return };
    let document = project.json(&["scale-all", "3"]).succeeded().document();
    assert_eq!(document["outcome"], "scaled");
    assert_eq!(names(&document["services"]), ["web", "worker"]);
    project.assert_running(&[("web", 3), ("worker", 3)]);
    assert_eq!(
        left_alone(&document),
        ["beat", "db", "edge", "legacy", "named", "small"],
        "{document:#}"
    );
    for (name, word) in [
        ("beat", "scheduler"),
        ("db", "data"),
        ("edge", "port"),
        ("legacy", "scalable"),
        ("named", "container_name"),
        ("small", "at most 2"),
    ] {
        let reason = entry(&document["left_alone"], name)["reason"]
            .as_str()
            .unwrap();
        assert!(reason.contains(word), "{name}: {reason}");
    }
}

#[test]
fn says_in_words_what_was_left_alone() {
    let Some(project) = shop() else { return };
    let ran = project.rscale(&["scale-all", "2"]).succeeded();
    assert!(ran.stdout.contains("web     1 -> 2  scaled"), "{ran}");
    assert!(ran.stdout.contains("db  left alone: "), "{ran}");
    // Two is what it may have.
    assert!(!ran.stdout.contains("small  left alone"), "{ran}");
    project.assert_running(&[("web", 2), ("worker", 2), ("small", 2)]);
}

/// Its predecessor in the field ran `docker-compose up --scale` once per service; each run reset the one
/// before, so 3, 3 became 1, 3.
#[test]
fn no_service_resets_another() {
    let Some(project) =
        Engine::project("services: {web: {<<: *app, depends_on: [api]}, api: *app, worker: *app}")
    else {
        return;
    };
    project.compose(&["up", "-d", "--scale", "web=3", "--scale", "api=3"]);
    let before = project.all_ids();
    let document = project.json(&["scale-all", "3"]).succeeded().document();
    project.assert_running(&[("web", 3), ("api", 3), ("worker", 3)]);
    assert_eq!(entry(&document["services"], "web")["outcome"], "unchanged");
    assert_eq!(entry(&document["services"], "worker")["outcome"], "scaled");
    let after = project.all_ids();
    assert!(
        before.iter().all(|(key, id)| after[key] == *id),
        "{document:#}"
    );
    // One plan: one call of Compose for all of them.
    project.json(&["scale-all", "+1"]).succeeded();
    let document = project.json(&["scale-all", "5"]).succeeded().document();
    let ups = names(&document["commands"])
        .into_iter()
        .filter(|line| line.contains(" up "))
        .count();
    assert_eq!(ups, 1, "{document:#}");
    project.assert_running(&[("web", 5), ("api", 5), ("worker", 5)]);
    project.assert_a_later_up_recreates_nothing();
}

#[test]
fn again_changes_nothing() {
    let Some(project) = shop() else { return };
    project
        .json(&["scale-all", "2", "--except", "small"])
        .succeeded();
    let before = project.all_ids();
    let document = project
        .json(&["scale-all", "2", "--except", "small"])
        .succeeded()
        .document();
    assert_eq!(
        (&document["outcome"], &document["commands"]),
        (&json!("unchanged"), &json!([]))
    );
    assert_eq!(project.all_ids(), before);
}

#[test]
fn only_and_except_narrow_it_down() {
    let Some(project) = shop() else { return };
    let worker = project.ids("worker");
    let document = project
        .json(&["scale-all", "2", "--only", "w*", "--except", "*rker"])
        .succeeded()
        .document();
    assert_eq!(names(&document["services"]), ["web"]);
    assert_eq!(
        document["left_alone"],
        json!([]),
        "what was not asked for was not left alone: {document:#}"
    );
    project.assert_running(&[("web", 2), ("worker", 1)]);
    assert_eq!(project.ids("worker"), worker);
    let document = project
        .json(&["scale-all", "3", "--except", "w*", "--except", "small"])
        .exited(3);
    assert_eq!(document.stdout, "");
    project
        .rscale(&["scale-all", "2", "--only", "wrker"])
        .exited(2)
        .says("no service matches `wrker`");
    project.assert_running(&[("web", 2), ("worker", 1)]);
}

#[test]
fn relative_counts_begin_at_what_each_service_has() {
    let Some(project) = Engine::project("services: {web: *app, worker: *app}") else {
        return;
    };
    project.compose(&["up", "-d", "--scale", "web=2"]);
    project.json(&["scale-all", "+1"]).succeeded();
    project.assert_running(&[("web", 3), ("worker", 2)]);
    project.json(&["scale-all", "-2"]).succeeded();
    project.assert_running(&[("web", 1)]);
}

/// A whole project is no place to overrule a policy; name the service for that.
#[test]
fn force_leaves_alone_what_policy_leaves_alone() {
    let Some(project) = shop() else { return };
    let document = project
        .json(&["scale-all", "3", "--force"])
        .succeeded()
        .document();
    assert_eq!(
        left_alone(&document),
        ["beat", "db", "edge", "legacy", "named", "small"],
        "{document:#}"
    );
    project.assert_running(&[("web", 3), ("worker", 3)]);
    project.json(&["small=3", "--force"]).succeeded();
    project.assert_running(&[("web", 3), ("worker", 3), ("small", 3)]);
}

#[test]
fn one_roll_back_for_all() {
    let Some(project) = Engine::project(
        "
services:
  web: *app
  api: *app
  bad: {<<: *app, volumes: ['./flag:/flag'], command: [sh, -c, 'test -f /flag/crash && exit 3; exec sleep 900']}
",
    ) else {
        return;
    };
    project.write("flag/none", "");
    project.compose(&["up", "-d"]);
    let before = project.all_ids();
    project.crash_from_now_on();
    let document = project.json(&["scale-all", "3"]).exited(1).document();
    assert_eq!(document["outcome"], "rolled_back");
    for name in ["web", "api", "bad"] {
        assert_eq!(
            entry(&document["services"], name)["outcome"],
            "rolled_back",
            "{document:#}"
        );
    }
    assert_eq!(project.all_ids(), before);
    project.assert_running(&[("web", 1), ("api", 1), ("bad", 1)]);
}

#[test]
fn dry_run_shows_both_and_changes_nothing() {
    let Some(project) = shop() else { return };
    let before = project.all_ids();
    let ran = project.rscale(&["scale-all", "3", "--dry-run"]).succeeded();
    for line in ["web: 1 -> 3", "worker: 1 -> 3", "db  left alone: "] {
        assert!(ran.stdout.contains(line), "{line}\n{ran}");
    }
    assert_eq!(project.all_ids(), before);
}
