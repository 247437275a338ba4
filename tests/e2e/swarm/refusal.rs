//! What no node can hold, and what Swarm cannot do, is refused before anything is told.

use crate::cli::schema::is_valid;
use crate::support::swarm::Swarm;

#[test]
fn a_wish_that_no_node_can_hold_is_refused() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack(
        "
services:
  pinned: {<<: *app, deploy: {<<: *deploy, placement: {max_replicas_per_node: 1, constraints: [node.role == worker]}}}
  hungry: {<<: *app, deploy: {<<: *deploy, replicas: 0, resources: {reservations: {memory: 2000G}}}}
  port: {<<: *app, ports: [{target: 80, published: 18087, mode: host}], deploy: {<<: *deploy, replicas: 1}}
",
    );
    let before = (stack.wishes(), stack.tasks("pinned"), stack.tasks("port"));
    let ran = stack.json(&["pinned=2", "hungry=1", "port=3"]).exited(3);
    let document = ran.document();
    is_valid("scale", &document);
    let ran = ran
        .says(
            "error[placement]: `pinned` is to have 2 replicas, but only 1 fits: of 2 nodes all take replicas, \
             1 satisfies `node.role == worker`, each at most 1 (max_replicas_per_node)",
        )
        .says("error[capacity]: `hungry` is to have 1 replica, but none fits: each reserves 2000 GiB of memory")
        .says("error[placement]: `port` is to have 3 replicas, but only 2 fit");
    assert_eq!(document["findings"].as_array().unwrap().len(), 3, "{ran}");
    let after = (stack.wishes(), stack.tasks("pinned"), stack.tasks("port"));
    assert_eq!(after, before);
    stack.rscale(&["check", "pinned=2"]).exited(3);
    stack.rscale(&["port=2"]).succeeded();
    assert_eq!(stack.nodes_of("port"), ["node1", "node2"]);
}

#[test]
fn services_without_a_count_and_unknown_ones_are_refused() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack_on_its_way(
        "
services:
  agent: {<<: *app, deploy: {<<: *deploy, mode: global}}
  job: {image: 'busybox:1', command: 'true', deploy: {endpoint_mode: dnsrr, mode: replicated-job, replicas: 1}}
",
    );
    stack
        .rscale(&["agent=3"])
        .exited(3)
        .says("error[fixed-count]: `agent` runs once on every node (mode: global)");
    stack
        .rscale(&["job=3"])
        .exited(3)
        .says("error[fixed-count]: `job` is a job");
    stack
        .rscale(&["agnt=3"])
        .exited(2)
        .says("did you mean `agent`?");
    stack
        .rscale(&["agent=3", "--build"])
        .exited(2)
        .says("`--build` is for Compose");
}

#[test]
fn what_swarm_would_do_in_another_way_is_refused() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack(
        "
services:
  web:
    <<: *app
    x-rscale: {drain: {exec: [touch, /tmp/draining]}}
    deploy: {<<: *deploy, replicas: 2}
  slow:
    <<: *app
    x-rscale: {stop-timeout: 60s}
    deploy: {<<: *deploy, replicas: 2}
  told:
    <<: *app
    x-rscale: {refresh: [{service: proxy, exec: [nginx, -s, reload]}]}
    deploy: {<<: *deploy, replicas: 1}
  proxy: {<<: *app, deploy: {<<: *deploy, replicas: 1, placement: {constraints: [node.hostname == node2]}}}
",
    );
    stack.show_file();
    stack
        .rscale(&["web=1", "slow=1", "told=2"])
        .exited(3)
        .says("error[drain]: `web` has a `drain` policy, but Swarm itself chooses which replicas go")
        .says("error[stop-timeout]: `stop-timeout` asks for 1m and replicas of `slow` have 10s")
        .says("error[refresh-target]: the refresh of `told` is for `proxy`, which has 1 replica on other nodes (node2)");
    stack.assert_counts(&[("web", 2), ("slow", 2), ("told", 1)]);
    stack
        .rscale(&["web=1", "--force"])
        .succeeded()
        .says("warning[drain]");
    stack.assert_counts(&[("web", 1)]);
}

#[test]
fn the_socket_of_a_worker_and_an_unknown_stack_say_where_to_go() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack("services: {web: {<<: *app, deploy: *deploy}}");
    stack
        .rscale(&["--project-name", &format!("{}x", stack.name()), "status"])
        .exited(4)
        .says(&format!("did you mean `{}`?", stack.name()))
        .says("what runs there: ");
    stack.show_file();
    stack
        .rscale(&["--project-name", "nosuch", "web=2"])
        .exited(4)
        .says("nothing of `nosuch` runs on swarm")
        .says("deploy it: docker stack deploy --compose-file compose.yaml nosuch");
    stack.set("DOCKER_HOST", &swarm.nodes[1].socket);
    let manager = &swarm.nodes[0].address;
    for args in [&["status"][..], &["web=2"], &["check"]] {
        stack
            .rscale(args)
            .exited(4)
            .says_one_error("this docker engine is no manager of its swarm")
            .says(&format!("DOCKER_HOST=ssh://{manager} rscale"));
    }
}
