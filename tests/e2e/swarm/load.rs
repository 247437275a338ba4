//! Load tests reach the ports that nodes publish.

use crate::cli::schema::is_valid;
use crate::support::swarm::Swarm;

#[test]
fn a_sweep_reaches_the_replicas_of_every_node() {
    let Some(swarm) = Swarm::shared() else { return };
    let stack = swarm.stack(
        "
services:
  web:
    image: busybox:1
    init: true
    command: httpd -f -p 8000 -h /etc
    ports: [{target: 8000, published: 18088, mode: host}]
    deploy: {<<: *deploy, replicas: 1}
",
    );
    let ran = stack.json(&[
        "load-test",
        "--http",
        "http://web:8000/hostname",
        "--tasks",
        "40",
        "--sweep",
        "web=1..2",
    ]);
    let document = ran.succeeded().document();
    is_valid("load-test-sweep", &document);
    let points = document["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    for point in points {
        assert_eq!(point["result"]["completed"], 40, "{point:#}");
        assert_eq!(point["result"]["failed"], 0, "{point:#}");
    }
    stack.assert_counts(&[("web", 1)]);
}
