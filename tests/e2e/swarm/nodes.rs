//! Nodes that are drained and nodes that die.

use crate::cli::schema::is_valid;
use crate::support::engine::entry;
use crate::support::swarm::Swarm;

#[test]
fn a_node_that_goes_down_in_the_middle_and_one_that_is_drained() {
    let Some(swarm) = Swarm::own(3) else { return };
    let stack = swarm.stack(
        "
services:
  web:
    <<: *app
    healthcheck: {test: [CMD, 'true'], interval: 3s}
    deploy: {<<: *deploy, replicas: 3}
  pinned: {<<: *app, deploy: {<<: *deploy, replicas: 1, placement: {constraints: [node.hostname == node1]}}}
",
    );
    let pinned = stack.tasks("pinned");
    let running = stack.start(&["web=6", "--format", "json"]);
    stack.wait_until("six are told", || stack.wishes()["web"] == 6);
    swarm.kill(2);
    let ran = running.ended().succeeded();
    assert_eq!(
        entry(&ran.document()["services"], "web")["running"],
        6,
        "{ran}"
    );
    swarm.wait_for(2, "down");
    stack.wait_until("six run", || stack.tasks("web").len() == 6);
    assert_eq!(stack.nodes_of("web"), ["node1", "node2"]);
    assert_eq!(stack.tasks("pinned"), pinned);

    stack.docker(&["node", "update", "--availability", "drain", "node2"]);
    stack.wait_until("all have moved to node1", || {
        let tasks = stack.tasks("web");
        tasks.len() == 6 && tasks.iter().all(|task| task.node == "node1")
    });
    stack.rscale(&["web=7"]).succeeded();
    let status = stack.json(&["status"]).succeeded().document();
    is_valid("status", &status);
    let node = |name| {
        let node = entry(&status["nodes"], name);
        (
            node["state"].as_str().unwrap(),
            node["replicas"].as_u64().unwrap(),
        )
    };
    assert_eq!(
        [node("node1"), node("node2"), node("node3")],
        [("ready", 8), ("drain", 0), ("down", 0)]
    );
    let text = stack.rscale(&["status"]).succeeded().stdout;
    assert!(
        text.contains("replicas by node: node1 8, node2 0 (drain), node3 0 (down)"),
        "{text}"
    );
    stack.docker(&["node", "update", "--availability", "drain", "node1"]);
    stack
        .rscale(&["web=8"])
        .exited(3)
        .says("error[placement]: no node takes a replica of `web`: node1 (drain), node2 (drain), node3 (down)");
}
