//! Counts go up and down, and nothing else changes.

use crate::support::kubernetes::{Behaviour, Cluster, Workload};

/// A namespace with three workloads: `api` has 1, `db` (a StatefulSet) 2, `web` 2.
fn shop() -> Option<Cluster> {
    let cluster = Cluster::new()?;
    cluster.deploy("api", 1, Behaviour::well());
    cluster.deploy("web", 2, Behaviour::well());
    cluster.create(&Workload::stateful_set("db", 2));
    Some(cluster)
}

#[test]
fn up_keeps_what_runs_and_every_neighbour() {
    let Some(cluster) = shop() else { return };
    let (api, db, web) = (cluster.ids("api"), cluster.ids("db"), cluster.ids("web"));
    cluster.rscale(&["web=4"]).succeeded();
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
    cluster.rscale(&["web=1"]).succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 1)]);
    assert!(cluster.ids("web").is_subset(&web));
    assert_eq!((cluster.ids("api"), cluster.ids("db")), (api, db));
}
