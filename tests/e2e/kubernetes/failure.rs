//! What does not come up is taken back, with the pod's own reason.

use std::time::Duration;

use serde_json::json;

use super::shop_with_tricks;
use crate::cli::schema::is_valid;
use crate::support::engine::{Ran, entry};
use crate::support::kubernetes::{Behaviour, Cluster, Fate};

/// `web` has 2 that are well, `api` 1; whatever comes to `web` meets its fate.
fn trouble(behaviour: Behaviour) -> Option<Cluster> {
    let cluster = Cluster::with_tricks()?;
    cluster.deploy("api", 1, Behaviour::well());
    cluster.deploy("web", 2, behaviour);
    Some(cluster)
}

/// Scales `web` to 4 and `api` to 2, which has to fail, and be taken back altogether.
#[track_caller]
fn rolled_back(cluster: &Cluster, args: &[&str]) -> Ran {
    let (api, web) = (cluster.ids("api"), cluster.ids("web"));
    let ran = cluster
        .rscale(&[args, &["web=4", "api=2"]].concat())
        .exited(1);
    cluster.assert_counts(&[("api", 1), ("web", 2)]);
    assert_eq!(cluster.ids("web"), web, "{ran}");
    assert_eq!(cluster.ids("api"), api, "{ran}");
    assert_eq!(cluster.all("pods").len(), 3, "{ran}");
    ran
}

#[test]
fn an_image_that_cannot_be_pulled() {
    let Some(cluster) = trouble(Behaviour::after(2, Fate::BadImage)) else {
        return;
    };
    let ran = rolled_back(&cluster, &[]);
    ran.says("ImagePullBackOff")
        .says("pull access denied")
        .says("web");
}

/// The same where no pod was ever well: a real cluster can do that, too.
#[test]
fn a_first_replica_whose_image_cannot_be_pulled() {
    let Some(cluster) = Cluster::new() else {
        return;
    };
    cluster.deploy("web", 0, Behaviour::all(Fate::BadImage));
    let ran = cluster.json(&["web=2"]).exited(1);
    let document = ran.document();
    is_valid("scale", &document);
    assert_eq!(document["outcome"], "rolled_back");
    let row = entry(&document["services"], "web");
    assert_eq!((&row["from"], &row["to"]), (&json!(0), &json!(2)));
    assert!(
        row["error"].as_str().unwrap().contains("ImagePullBackOff"),
        "{ran}"
    );
    cluster.assert_counts(&[("web", 0)]);
}

#[test]
fn a_crash_is_shown_with_the_last_lines_of_the_log() {
    let crashes = Behaviour::after(2, Fate::Crashes)
        .log("starting\nno database at db:5432\nTraceback: boom-17");
    let Some(cluster) = trouble(crashes) else {
        return;
    };
    let ran = rolled_back(&cluster, &[]);
    ran.says("CrashLoopBackOff")
        .says("no database at db:5432")
        .says("Traceback: boom-17");
}

#[test]
fn no_node_has_room() {
    let Some(cluster) = trouble(Behaviour::after(2, Fate::Unschedulable)) else {
        return;
    };
    let ran = rolled_back(&cluster, &["--wait-timeout", "1s"]);
    assert!(ran.took >= Duration::from_secs(1), "{ran}");
    ran.says("Unschedulable")
        .says("0/3 nodes are available: 3 Insufficient cpu");
}

#[test]
fn a_pod_that_never_is_ready() {
    let never = Behaviour::after(2, Fate::NeverReady).log("listening on 9000");
    let Some(cluster) = trouble(never) else {
        return;
    };
    let ran = rolled_back(&cluster, &["--wait-timeout", "1s"]);
    assert!(ran.took >= Duration::from_secs(1), "{ran}");
    ran.says("is not healthy yet after 1s")
        .says("listening on 9000");
}

#[test]
fn a_pod_that_is_too_slow() {
    let slow = Behaviour::well().starts_in(Duration::from_secs(60));
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.deploy("web", 0, slow);
    let ran = cluster.rscale(&["--wait-timeout", "1s", "web=1"]).exited(1);
    cluster.assert_counts(&[("web", 0)]);
    ran.says("ContainerCreating");
}

#[test]
fn what_was_broken_before_is_no_failure_of_the_run() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.deploy("web", 2, Behaviour::after(1, Fate::BadImage));
    cluster
        .world()
        .behaviours
        .insert("web".into(), Behaviour::well());
    let document = cluster.json(&["web=3"]).document();
    assert_eq!(cluster.wishes()["web"], 3, "{document:#}");
}

#[test]
fn the_broken_one_goes_first() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.deploy("web", 3, Behaviour::after(2, Fate::NeverReady));
    cluster.rscale(&["web=2"]).succeeded();
    cluster.assert_counts(&[("web", 2)]);
}

#[test]
fn with_keep_everything_stays_for_inspection() {
    let Some(cluster) = trouble(Behaviour::after(2, Fate::BadImage)) else {
        return;
    };
    let document = cluster.json(&["--keep", "web=4"]).exited(1).document();
    is_valid("scale", &document);
    assert_eq!(document["outcome"], "failed");
    assert_eq!(cluster.wishes()["web"], 4);
    assert_eq!(cluster.pods("web").len(), 4);
}

#[test]
fn a_quota_that_is_met_in_the_middle_takes_the_run_back() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    // Nobody may list quotas, so that nothing warns beforehand.
    cluster.add(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "6"}},
    }));
    cluster
        .world()
        .denied
        .insert(("list".into(), "resourcequotas".into()));
    let ran = cluster.rscale(&["--wait-timeout", "2s", "web=4"]).exited(1);
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
    ran.says("web");
}
