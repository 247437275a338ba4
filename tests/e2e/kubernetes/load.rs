//! `rscale load-test` with requests to a Service of type NodePort, and a sweep over the workload behind it.

use serde_json::Value;

use crate::cli::schema::is_valid;
use crate::support::engine::names;
use crate::support::kubernetes::{Behaviour, Cluster, Port};

/// `web` behind a Service of its name.
fn shop(count: u32) -> Option<(Cluster, Port)> {
    let cluster = Cluster::with_tricks()?;
    cluster.deploy("web", count, Behaviour::well());
    let port = cluster.serve("web", "web");
    Some((cluster, port))
}

#[test]
fn requests_reach_every_replica_behind_the_service() {
    let Some((cluster, _port)) = shop(3) else {
        return;
    };
    let document = cluster
        .json(&[
            "load-test",
            "--http=http://web/",
            "--replica-header=X-Replica",
            "--tasks=90",
            "--concurrency=6",
        ])
        .succeeded()
        .document();
    is_valid("load-test", &document);
    assert_eq!(
        (
            &document["sent"],
            &document["completed"],
            &document["failed"]
        ),
        (&90.into(), &90.into(), &0.into()),
        "{document:#}"
    );
    let mut found = names(&document["replicas"]);
    found.sort_unstable();
    let pods: Vec<String> = cluster.pods("web").into_keys().collect();
    assert_eq!(found, pods, "{document:#}");
    assert_eq!(cluster.changes(), [""; 0]);
}

#[test]
fn a_sweep_measures_each_count_and_brings_the_first_back() {
    let Some((cluster, _port)) = shop(1) else {
        return;
    };
    let document = cluster
        .json(&[
            "load-test",
            "--http=http://web/",
            "--sweep=web=1,2,4",
            "--tasks=80",
            "--concurrency=8",
        ])
        .succeeded()
        .document();
    is_valid("load-test-sweep", &document);
    let points = document["points"].as_array().unwrap();
    let counts: Vec<&Value> = points
        .iter()
        .map(|point| &point["counts"][0]["replicas"])
        .collect();
    assert_eq!(counts, [1, 2, 4]);
    let rate = |point: &Value| point["result"]["throughput_per_second"].as_f64().unwrap();
    assert!(rate(&points[2]) > 1.5 * rate(&points[0]), "{document:#}");
    assert_eq!(document["restored"], true, "{document:#}");
    cluster.assert_counts(&[("web", 1)]);
}

#[test]
fn a_service_that_cannot_be_reached_from_here_says_how_it_could() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.deploy("web", 1, Behaviour::well());
    cluster.add(&serde_json::json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }));
    let ran = cluster
        .rscale(&["load-test", "--http=http://web/", "--tasks=5"])
        .exited(4);
    ran.says("kubectl port-forward service/web");
}
