//! Counts go up and down, and nothing else changes.

use std::time::Duration;

use serde_json::json;

use super::{shop, shop_with_tricks};
use crate::cli::schema::is_valid;
use crate::support::engine::{entry, names};
use crate::support::kubernetes::{Behaviour, Cluster, Workload};

#[test]
fn up_keeps_what_runs_and_every_neighbour() {
    let Some(cluster) = shop() else { return };
    let (api, db, web) = (cluster.ids("api"), cluster.ids("db"), cluster.ids("web"));
    let document = cluster.json(&["web=4"]).succeeded().document();
    is_valid("scale", &document);
    assert_eq!(
        (
            &document["engine"],
            &document["outcome"],
            &document["project"]
        ),
        (
            &json!("kubernetes"),
            &json!("scaled"),
            &json!(cluster.namespace())
        )
    );
    let row = entry(&document["services"], "web");
    assert_eq!(
        (&row["from"], &row["to"], &row["running"]),
        (&json!(2), &json!(4), &json!(4)),
        "{document:#}"
    );
    assert_eq!(names(&row["created"]).len(), 2, "{document:#}");
    assert_eq!(
        document["untouched"],
        json!({"containers": 3, "changed": []})
    );
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 4)]);
    assert!(cluster.ids("web").is_superset(&web));
    assert_eq!((cluster.ids("api"), cluster.ids("db")), (api, db));
}

#[test]
fn down_keeps_what_stays_and_every_neighbour() {
    let Some(cluster) = shop() else { return };
    let (api, db) = (cluster.ids("api"), cluster.ids("db"));
    cluster.rscale(&["web=4"]).succeeded();
    let web = cluster.ids("web");
    let document = cluster.json(&["web=1"]).succeeded().document();
    is_valid("scale", &document);
    let row = entry(&document["services"], "web");
    assert_eq!(names(&row["removed"]).len(), 3, "{document:#}");
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 1)]);
    assert!(cluster.ids("web").is_subset(&web));
    assert_eq!((cluster.ids("api"), cluster.ids("db")), (api, db));
}

#[test]
fn to_nothing_and_back() {
    let Some(cluster) = shop() else { return };
    cluster.rscale(&["web=0", "db=0"]).succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 0), ("web", 0)]);
    assert!(cluster.pods("web").is_empty() && cluster.pods("db").is_empty());
    cluster.rscale(&["web=1"]).succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 0), ("web", 1)]);
}

#[test]
fn by_difference() {
    let Some(cluster) = shop() else { return };
    cluster.rscale(&["web=+2", "api=+1"]).succeeded();
    cluster.assert_counts(&[("api", 2), ("db", 2), ("web", 4)]);
    cluster.rscale(&["web=-1"]).succeeded();
    cluster.assert_counts(&[("api", 2), ("db", 2), ("web", 3)]);
}

#[test]
fn several_at_once_one_up_and_one_down() {
    let Some(cluster) = shop() else { return };
    let db = cluster.ids("db");
    let document = cluster.json(&["web=1", "api=3"]).succeeded().document();
    assert_eq!(names(&document["services"]), ["api", "web"]);
    cluster.assert_counts(&[("api", 3), ("db", 2), ("web", 1)]);
    assert_eq!(cluster.ids("db"), db);
}

#[test]
fn a_stateful_set_grows_and_shrinks_at_its_highest_number() {
    let Some(cluster) = shop() else { return };
    let db = cluster.pods("db");
    cluster.rscale(&["db=4"]).succeeded();
    let names: Vec<String> = cluster.pods("db").into_keys().collect();
    assert_eq!(names, ["db-0", "db-1", "db-2", "db-3"]);
    let document = cluster.json(&["db=2"]).succeeded().document();
    assert_eq!(cluster.pods("db"), db);
    let row = entry(&document["services"], "db");
    assert_eq!(row["removed"], json!(["db-2", "db-3"]), "{document:#}");
}

#[test]
fn the_same_count_changes_nothing() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    let document = cluster.json(&["web=2"]).succeeded().document();
    assert_eq!(document["outcome"], "unchanged");
    assert_eq!(cluster.changes(), [""; 0]);
}

#[test]
fn a_dry_run_shows_the_commands_and_sends_none() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    let ran = cluster.rscale(&["--dry-run", "web=3", "db=1"]).succeeded();
    for line in [
        "kubectl scale deployment/web --replicas=3 --current-replicas=2",
        "kubectl scale statefulset/db --replicas=1 --current-replicas=2",
    ] {
        assert!(ran.stdout.contains(line), "{ran}");
    }
    let document = cluster.json(&["--dry-run", "web=3"]).succeeded().document();
    is_valid("scale", &document);
    assert_eq!(document["outcome"], "planned");
    assert_eq!(cluster.changes(), [""; 0]);
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
}

#[test]
fn gradually() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    cluster.rscale(&["--step", "2", "web=7"]).succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 7)]);
    let told = |cluster: &Cluster| {
        let told = cluster.changes().into_iter();
        told.filter(|line| line.ends_with("deployments/web/scale"))
            .count()
    };
    // 4, 6, 7.
    assert_eq!(told(&cluster), 3);
    cluster.rscale(&["--step", "3", "web=1"]).succeeded();
    assert_eq!(told(&cluster), 5);
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 1)]);
}

/// Each wave is verified before the next one is told.
#[test]
fn a_step_that_fails_is_the_last() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    let fate = crate::support::kubernetes::Fate::BadImage;
    cluster.deploy("web", 1, Behaviour::after(3, fate));
    cluster.rscale(&["--step", "1", "web=6"]).exited(1);
    cluster.assert_counts(&[("web", 1)]);
    let told = cluster.changes().into_iter();
    let told = told.filter(|line| line.ends_with("deployments/web/scale"));
    // 2, 3, 4, and back.
    assert_eq!(told.count(), 4);
}

#[test]
fn without_waiting_the_engine_is_only_told() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    let slow = Behaviour::well().starts_in(Duration::from_secs(3600));
    cluster.deploy("web", 0, slow);
    let ran = cluster.json(&["--no-wait", "web=3"]).succeeded();
    assert_eq!(ran.document()["outcome"], "scaled");
    assert_eq!(cluster.wishes()["web"], 3);
    assert_eq!(cluster.counts()["web"], 0);
}

#[test]
fn an_expected_count_that_is_wrong_is_refused() {
    let Some(cluster) = shop() else { return };
    let document = cluster
        .json(&["--current-replicas", "5", "web=3"])
        .exited(3)
        .document();
    is_valid("scale", &document);
    assert_eq!(document["outcome"], "refused");
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
    cluster
        .rscale(&["--current-replicas", "2", "web=3"])
        .succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 3)]);
}

#[test]
fn pods_without_a_probe_have_to_stay_up() {
    let Some(cluster) = Cluster::new() else {
        return;
    };
    cluster.create(&Workload::deployment("web", 1).unprobed());
    let ran = cluster.rscale(&["--stable", "700ms", "web=2"]).succeeded();
    assert!(ran.took >= Duration::from_millis(700), "{ran}");
    cluster.assert_counts(&[("web", 2)]);
}

#[test]
fn waits_for_pods_that_are_slow() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    let slow = Behaviour::well()
        .starts_in(Duration::from_millis(600))
        .ready_in(Duration::from_millis(600))
        .ends_in(Duration::from_millis(800));
    cluster.deploy("web", 1, slow);
    let ran = cluster.rscale(&["web=3"]).succeeded();
    assert!(ran.took >= Duration::from_millis(1200), "{ran}");
    cluster.assert_counts(&[("web", 3)]);
    // Those that go are waited for until they have ended.
    let ran = cluster.rscale(&["web=1"]).succeeded();
    assert!(ran.took >= Duration::from_millis(800), "{ran}");
    assert_eq!(cluster.all("pods").len(), 1);
}

#[test]
fn a_pod_that_ends_late_is_killed_after_its_grace() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    let late = Behaviour::well().ends_in(Duration::from_secs(90));
    cluster.create(&Workload::deployment("web", 2).behaves(late).grace(1));
    let ran = cluster.rscale(&["web=1"]).succeeded();
    assert!(ran.took >= Duration::from_secs(1), "{ran}");
    assert_eq!(cluster.all("pods").len(), 1);
}

#[test]
fn all_that_can_be_scaled() {
    let Some(cluster) = shop() else { return };
    let document = cluster
        .json(&["scale-all", "3", "--except", "db"])
        .succeeded()
        .document();
    is_valid("scale", &document);
    assert_eq!(names(&document["services"]), ["api", "web"]);
    cluster.assert_counts(&[("api", 3), ("db", 2), ("web", 3)]);
}

#[test]
fn a_misspelt_service_has_a_suggestion() {
    let Some(cluster) = shop() else { return };
    let ran = cluster.rscale(&["wen=3"]).exited(2);
    ran.says("`wen`").says("web");
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
}
