//! What runs, and where.

use crate::cli::schema::is_valid;
use crate::support::engine::{entry, names};
use crate::support::swarm::Swarm;

#[test]
fn status_shows_replicas_by_node_and_why_some_are_not_up() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack_on_its_way(
        "
services:
  web: {<<: *app, deploy: {<<: *deploy, replicas: 2, placement: {max_replicas_per_node: 1}}}
  agent: {<<: *app, deploy: {<<: *deploy, mode: global}}
  pinned: {<<: *app, deploy: {<<: *deploy, placement: {constraints: [node.labels.no==such]}}}
",
    );
    // Its name begins with that of the stack, and it is none of its services.
    let neighbour = format!("{}_eu_web", stack.name());
    let sleep = ["busybox:1", "sleep", "900"];
    let create = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        &neighbour,
    ];
    stack.docker(&[&create[..], &sleep[..]].concat());
    stack.wait_until("they run", || {
        let services = stack.services();
        services["web"] == (2, 2) && services["agent"] == (2, 2)
    });
    let status = stack.json(&["status"]).succeeded().document();
    stack.docker(&["service", "rm", &neighbour]);
    is_valid("status", &status);
    assert_eq!(
        (&status["engine"], &status["project"]),
        (&"swarm".into(), &stack.name().into())
    );
    assert_eq!(names(&status["services"]), ["agent", "pinned", "web"]);
    let web = entry(&status["services"], "web");
    assert_eq!((&web["state"], &web["desired"]), (&"ok".into(), &2.into()));
    let mut nodes: Vec<&str> = web["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["node"].as_str().unwrap())
        .collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["node1", "node2"]);
    assert_eq!(entry(&status["services"], "agent")["scalable"], false);
    let text = stack.rscale(&["status"]).succeeded().stdout;
    assert!(
        text.contains("replicas by node: node1 2, node2 2\n"),
        "{text}"
    );
    let why = format!("{}.1 is pending: no suitable node", stack.object("pinned"));
    assert!(text.contains(&why), "{text}");
}
