//! Counts go up and down, and nothing else changes.

use crate::cli::schema::is_valid;
use crate::support::engine::{entry, names};
use crate::support::swarm::Swarm;

const TWO: &str = "
services:
  web: {<<: *app, deploy: {<<: *deploy, replicas: 1}}
  worker: {<<: *app, deploy: {<<: *deploy, replicas: 1}}
  other: {<<: *app, deploy: {<<: *deploy, replicas: 2}}
";

#[test]
fn scales_to_1_to_6_and_to_2_over_both_nodes() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack(TWO);
    let others = stack.tasks("other");
    let first = stack.tasks("web");
    stack.rscale(&["web=1"]).succeeded();
    assert_eq!(stack.tasks("web"), first);

    let scaled = stack.json(&["web=6"]).succeeded().document();
    is_valid("scale", &scaled);
    assert_eq!(scaled["engine"], "swarm");
    let web = entry(&scaled["services"], "web");
    assert_eq!(
        (&web["from"], &web["to"], &web["running"]),
        (&1.into(), &6.into(), &6.into())
    );
    let created: Vec<String> = (2..=6)
        .map(|slot| format!("{}.{slot}", stack.object("web")))
        .collect();
    assert_eq!(names(&web["created"]), created);
    // Every one runs when rscale ends, and it asks no longer than that.
    assert_eq!(stack.tasks("web").len(), 6);
    assert_eq!(stack.nodes_of("web"), ["node1", "node2"]);
    assert_eq!(scaled["untouched"]["containers"], 3);

    let scaled = stack.json(&["web=2"]).succeeded().document();
    let web = entry(&scaled["services"], "web");
    assert_eq!(web["removed"].as_array().unwrap().len(), 4);
    assert_eq!(stack.tasks("web").len(), 2);
    assert_eq!(stack.tasks("other"), others);
    assert_eq!(scaled["untouched"]["changed"], serde_json::json!([]));
}

#[test]
fn two_services_at_once_and_the_count_that_is_expected() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack(TWO);
    let ran = stack.json(&["web=3", "worker=+1"]).succeeded();
    let commands = names(&ran.document()["commands"]).join("\n");
    assert_eq!(
        commands,
        format!(
            "docker service scale --detach {0}_web=3 {0}_worker=2",
            stack.name()
        )
    );
    stack.assert_counts(&[("web", 3), ("worker", 2), ("other", 2)]);

    stack
        .rscale(&["web=1", "--current-replicas", "2"])
        .exited(3)
        .says("error[current-replicas]");
    stack
        .rscale(&["web=1", "--current-replicas", "3"])
        .succeeded();
    stack.assert_counts(&[("web", 1)]);
}

#[test]
fn a_dry_run_says_and_steps_do_it_one_by_one() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack(TWO);
    let told = |count| {
        format!(
            "docker service scale --detach {}={count}",
            stack.object("web")
        )
    };
    let planned = stack
        .json(&["web=3", "--step", "1", "--dry-run"])
        .succeeded()
        .document();
    is_valid("scale", &planned);
    assert_eq!(names(&planned["commands"]), [told(2), told(3)]);
    stack.assert_counts(&[("web", 1)]);

    let done = stack.json(&["web=3", "--step", "1"]).succeeded().document();
    assert_eq!(names(&done["commands"]), [told(2), told(3)]);
    stack.assert_counts(&[("web", 3)]);

    // Without waiting nothing is looked at that would have to last.
    stack
        .rscale(&["web=0", "worker=3", "--no-wait", "--stable", "1h"])
        .succeeded();
    assert_eq!(stack.wishes()["web"], 0);
    stack.wait_until("what was told is done", || {
        stack.services()["worker"] == (3, 3)
    });
}

#[test]
fn policies_and_the_engine_come_from_the_compose_file() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack(
        "
services:
  web:
    <<: *app
    deploy: {<<: *deploy, replicas: 2}
    x-rscale: {min: 1, max: 4, refresh: [{service: proxy, exec: [sh, -c, 'echo $$RSCALE_REPLICAS > /tmp/told']}]}
  proxy:
    <<: *app
    deploy: {<<: *deploy, replicas: 1, placement: {constraints: [node.hostname == node1]}}
x-rscale: {engine: swarm}
",
    );
    stack.show_file();
    stack.unset("RSCALE_ENGINE");
    stack.rscale(&["web=5"]).exited(3).says("error[limits]");
    stack.rscale(&["web=0"]).exited(3).says("error[limits]");
    stack.rscale(&["web=3"]).succeeded();
    stack.assert_counts(&[("web", 3)]);
    let proxy = &stack.tasks("proxy")[0];
    let container = format!("{}.{}.{}", stack.object("proxy"), proxy.slot, proxy.id);
    let web = stack.object("web");
    assert_eq!(
        stack.docker(&["exec", &container, "cat", "/tmp/told"]),
        format!("{web}.1 {web}.2 {web}.3")
    );
    let all = stack
        .json(&["scale-all", "2", "--except", "proxy"])
        .succeeded()
        .document();
    assert_eq!(entry(&all["services"], "web")["to"], 2);
    stack.assert_counts(&[("web", 2), ("proxy", 1)]);
}
