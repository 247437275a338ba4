//! `status` and `check`: what runs, and what would stand in the way.

use serde_json::json;

use super::{shop, shop_with_tricks};
use crate::cli::schema::is_valid;
use crate::support::engine::{entry, names};
use crate::support::kubernetes::{Behaviour, Cluster, Fate};

#[test]
fn status_shows_every_workload() {
    let Some(cluster) = shop() else { return };
    let document = cluster.json(&["status"]).succeeded().document();
    is_valid("status", &document);
    assert_eq!(document["engine"], "kubernetes");
    assert_eq!(document["project"], cluster.namespace());
    assert_eq!(names(&document["services"]), ["api", "db", "web"]);
    let web = entry(&document["services"], "web");
    assert_eq!(
        (
            &web["replicas"],
            &web["running"],
            &web["healthy"],
            &web["state"]
        ),
        (&json!(2), &json!(2), &json!(2), &json!("ok")),
        "{document:#}"
    );
    let containers = web["containers"].as_array().unwrap();
    let names: Vec<&str> = containers
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    let mut pods: Vec<String> = cluster.pods("web").into_keys().collect();
    pods.sort();
    let mut shown = names.clone();
    shown.sort_unstable();
    assert_eq!(shown, pods);
    let ran = cluster.rscale(&["status", "web"]).succeeded();
    assert!(
        ran.stdout.contains("web") && !ran.stdout.contains("api"),
        "{ran}"
    );
}

#[test]
fn status_shows_what_is_not_well() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.deploy("web", 3, Behaviour::after(1, Fate::BadImage));
    cluster.deploy("job", 1, Behaviour::after(0, Fate::Crashes));
    cluster.wait_until("it has crashed some times", || {
        let pods = cluster.all("pods");
        let restarts = |pod: &serde_json::Value| {
            pod["status"]["containerStatuses"][0]["restartCount"].as_u64()
        };
        pods.iter().any(|pod| restarts(pod) >= Some(2))
    });
    let document = cluster.json(&["status"]).succeeded().document();
    is_valid("status", &document);
    let web = entry(&document["services"], "web");
    assert_eq!(
        (&web["running"], &web["replicas"]),
        (&json!(1), &json!(3)),
        "{document:#}"
    );
    assert_eq!(web["state"], "degraded", "{document:#}");
    let job = entry(&document["services"], "job");
    assert!(
        job["containers"][0]["restarts"].as_u64() >= Some(2),
        "{document:#}"
    );
    let ran = cluster.rscale(&["status"]).succeeded();
    assert!(ran.stdout.contains("ImagePullBackOff"), "{ran}");
}

#[test]
fn status_of_a_namespace_with_nothing_in_it() {
    let Some(cluster) = Cluster::new() else {
        return;
    };
    let document = cluster.json(&["status"]).succeeded().document();
    is_valid("status", &document);
    assert_eq!(document["services"], json!([]));
}

#[test]
fn check_finds_nothing_in_the_way_and_changes_nothing() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    let document = cluster
        .json(&["check", "web=4", "db=1"])
        .succeeded()
        .document();
    is_valid("check", &document);
    cluster.rscale(&["check"]).succeeded();
    assert_eq!(cluster.changes(), [""; 0]);
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
}
