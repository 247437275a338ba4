//! The example swarm, on a swarm of the test bed: its targets do what its README says.

use crate::support::engine::{Engine, free_ports};
use crate::support::swarm::Swarm;

#[test]
fn the_commands_do_what_the_readme_says() {
    let Some(swarm) = Swarm::shared() else { return };
    let Some(project) = Engine::example("swarm") else {
        return;
    };
    project.unset("COMPOSE_PROJECT_NAME");
    project.set("DOCKER_HOST", &swarm.nodes[0].socket);
    project.set("STACK", project.name());
    project.set("WEB_PORT", &free_ports(1).to_string());
    let stack = project.name();
    project
        .make(&["up", "DEPLOY_OPTIONS=--resolve-image=never"])
        .succeeded();
    let counts = || project.docker(&["stack", "services", "--format", "{{.Replicas}}", stack]);
    project.wait_until("one of each runs", || {
        let counts = counts();
        counts.lines().filter(|count| *count == "1/1").count() == 2 && counts.contains("2/2")
    });

    let scaled = project.make(&["scale"]).succeeded();
    for line in ["web     1 -> 2  scaled in", "worker  1 -> 4  scaled in"] {
        assert!(scaled.stdout.contains(line), "{scaled}");
    }
    let status = project.make(&["status"]).succeeded();
    assert!(
        status.stdout.contains("\nreplicas by node: node1 "),
        "{status}"
    );
    let refused = project.make(&["refused"]).succeeded();
    for rule in [
        "error[fixed-count]: `agent`",
        "error[placement]: `web` is to have 50 replicas, but only 2 fit",
    ] {
        assert!(refused.stderr.contains(rule), "{refused}");
    }
    let failing = project.make(&["failing"]).succeeded();
    assert!(failing.stderr.contains("giving up"), "{failing}");
    assert!(
        failing
            .stdout
            .contains("worker  4 -> 7  rolled back (4 running)"),
        "{failing}"
    );
    super::load_test(&project, &["Page"]);
    project.make(&["down"]).succeeded();
    let left = project.docker(&[
        "service",
        "ls",
        "--quiet",
        "--filter",
        &format!("name={stack}_"),
    ]);
    assert_eq!(left, "");
}
