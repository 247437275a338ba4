//! Others change counts, too: what happens in between is noticed, told, and never overwritten.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::shop_with_tricks;
use crate::cli::schema::is_valid;
use crate::support::kubernetes::{Behaviour, Cluster, Meddling};

/// Another client sets `web` to 5 at a moment of kubectl's change.
fn meddle(cluster: &Cluster, afterwards: bool) {
    cluster.world().meddling.push(Meddling {
        at: ("GET".into(), "deployments/web/scale".into()),
        afterwards,
        workload: "web".into(),
        count: 5,
    });
}

#[test]
fn a_change_after_rscale_looked_is_left_alone() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    meddle(&cluster, false);
    let ran = cluster.rscale(&["web=3"]).exited(1);
    assert_eq!(cluster.wishes()["web"], 5, "{ran}");
    ran.says("5").says("web");
}

#[test]
fn a_change_between_kubectls_look_and_its_write_is_left_alone() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    meddle(&cluster, true);
    let ran = cluster.rscale(&["web=3"]).exited(1);
    assert_eq!(cluster.wishes()["web"], 5, "{ran}");
    let journal = cluster.journal();
    assert!(
        journal
            .iter()
            .any(|line| line.starts_with("PUT") && line.ends_with("deployments/web/scale")),
        "the write was never tried: {journal:#?}"
    );
    ran.says("web");
}

#[test]
fn the_others_of_a_run_that_met_a_change_are_taken_back() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    meddle(&cluster, false);
    let ran = cluster.rscale(&["web=3", "api=2"]).exited(1);
    let wishes = cluster.wishes();
    assert_eq!((wishes["web"], wishes["api"]), (5, 1), "{ran}");
}

/// A count of 0 leaves no replica to verify; that it is kept is seen all the same.
#[test]
fn a_change_while_the_last_replicas_end_is_told_of() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    let lingering = Behaviour::well().ends_in(Duration::from_secs(2));
    cluster.deploy("web", 2, lingering);
    let running = cluster.start(&["web=0"]);
    cluster.wait_until("it is told", || cluster.wishes()["web"] == 0);
    cluster.world().meddle("web", 3);
    let ran = running.ended().exited(1);
    assert_eq!(cluster.wishes()["web"], 3, "{ran}");
    ran.says("something else set it to 3 meanwhile");
}

#[test]
fn an_autoscaler_that_sets_the_count_back_is_told_of() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    let slow = Behaviour::well().starts_in(Duration::from_millis(900));
    cluster.deploy("web", 2, slow);
    {
        let mut world = cluster.world();
        // Seen by nobody but the controller, as in a namespace where rscale may not list them.
        world
            .denied
            .insert(("list".into(), "horizontalpodautoscalers".into()));
        world.autoscaling = Some(Duration::from_millis(300));
    }
    cluster.add(&json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2, "maxReplicas": 4,
        },
        "status": {"desiredReplicas": 2},
    }));
    let ran = cluster.rscale(&["web=4"]).exited(1);
    assert_eq!(cluster.wishes()["web"], 2, "{ran}");
    ran.says("something else set it to 2 meanwhile");
}

#[test]
fn who_may_not_scale_is_told_so() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    for verb in ["get", "update", "patch"] {
        let right = (verb.to_owned(), "deployments/scale".to_owned());
        cluster.world().denied.insert(right);
    }
    let ran = cluster.rscale(&["web=3"]);
    assert_ne!(ran.status, 0, "{ran}");
    assert_eq!(cluster.changes(), [""; 0]);
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
}

#[test]
fn interrupted_while_it_waits_the_counts_go_back() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.deploy("web", 1, Behaviour::well());
    let slow = Behaviour::well().starts_in(Duration::from_secs(60));
    cluster.world().behaviours.insert("web".into(), slow);
    for signal in [Signal::INT, Signal::TERM] {
        let web = cluster.ids("web");
        let running = cluster.start(&["--format", "json", "web=3"]);
        cluster.wait_until("two are starting", || cluster.pods("web").len() == 3);
        running.signal(signal);
        let ran = running.ended().exited(130);
        let document = ran.document();
        is_valid("scale", &document);
        assert_eq!(document["outcome"], "interrupted", "{ran}");
        cluster.assert_counts(&[("web", 1)]);
        assert_eq!(cluster.ids("web"), web, "{ran}");
    }
}

#[test]
fn two_runs_go_one_after_the_other() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.deploy(
        "web",
        1,
        Behaviour::well().starts_in(Duration::from_millis(400)),
    );
    let running: Vec<_> = (0..3).map(|_| cluster.start(&["web=+1"])).collect();
    for one in running {
        one.ended().succeeded();
    }
    cluster.assert_counts(&[("web", 4)]);
}

#[test]
fn a_slow_server_only_takes_longer() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    cluster.world().delay = Duration::from_millis(150);
    cluster.rscale(&["web=3"]).succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 3)]);
}
