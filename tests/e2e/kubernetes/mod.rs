//! End to end on Kubernetes: rscale and the real kubectl, against the small API server of the tests or the real
//! cluster that `RSCALE_E2E_KUBECONFIG` names. One file per concern; every test has a namespace of its own.

mod conflict;
mod drain;
mod failure;
mod load;
mod look;
mod refuse;
mod scale;
mod unreachable;

use crate::support::kubernetes::{Behaviour, Cluster, Workload};

/// Three workloads: `api` has 1, `db` (a StatefulSet) 2, `web` 2.
fn fill(cluster: Cluster) -> Cluster {
    cluster.deploy("api", 1, Behaviour::well());
    cluster.deploy("web", 2, Behaviour::well());
    cluster.create(&Workload::stateful_set("db", 2));
    cluster
}

fn shop() -> Option<Cluster> {
    Cluster::new().map(fill)
}

fn shop_with_tricks() -> Option<Cluster> {
    Cluster::with_tricks().map(fill)
}
