//! Replicas that go are the ones that rscale chose, and are drained before they do.

use super::shop_with_tricks;
use crate::support::engine::{entry, names};
use crate::support::kubernetes::{Behaviour, Cluster, Workload};

const DRAINED: &str = "
services:
  web:
    image: busybox:1
    x-rscale: {drain: {exec: [touch, /tmp/draining], wait: 100ms}}
";

/// The first word and the pod of the journal's lines about pods, in their order.
fn steps(cluster: &Cluster) -> Vec<(String, String)> {
    let journal = cluster.journal().into_iter();
    journal
        .filter_map(|line| {
            let (what, rest) = line.split_once(' ')?;
            let pod = rest.split(':').next()?.trim_start_matches('/');
            let what = match what {
                "exec" | "leaves" => what,
                "PUT" if pod.ends_with("/scale") => "scale",
                "PATCH" if pod.contains("/pods/") => "prefer",
                _ => return None,
            };
            let pod = pod.rsplit('/').next()?;
            Some((what.to_owned(), pod.to_owned()))
        })
        .collect()
}

fn of(steps: &[(String, String)], what: &str) -> Vec<String> {
    let found = steps.iter().filter(|(kind, _)| kind == what);
    let mut pods: Vec<String> = found.map(|(_, pod)| pod.clone()).collect();
    pods.sort();
    pods
}

#[test]
fn those_that_were_drained_are_those_that_go() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.compose_file(DRAINED);
    cluster.deploy("web", 5, Behaviour::well());
    let document = cluster.json(&["web=3"]).succeeded().document();
    cluster.assert_counts(&[("web", 3)]);
    let steps = steps(&cluster);
    let drained = of(&steps, "exec");
    assert_eq!(drained.len(), 2, "{steps:#?}");
    assert_eq!(of(&steps, "leaves"), drained, "{steps:#?}");
    assert_eq!(of(&steps, "prefer"), drained, "{steps:#?}");
    let mut removed = names(&entry(&document["services"], "web")["removed"]);
    removed.sort_unstable();
    assert_eq!(removed, drained);
    let place = |what: &str| steps.iter().position(|(kind, _)| kind == what).unwrap();
    let last_drain = steps.iter().rposition(|(kind, _)| kind == "exec").unwrap();
    assert!(last_drain < place("scale"), "{steps:#?}");
    let commands: Vec<String> = cluster
        .journal()
        .into_iter()
        .filter(|line| line.starts_with("exec"))
        .collect();
    assert!(
        commands
            .iter()
            .all(|line| line.ends_with(": touch /tmp/draining")),
        "{commands:#?}"
    );
}

/// Without a drain the choice still is rscale's: what `--dry-run` shows is what goes.
#[test]
fn the_chosen_ones_go() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.deploy("web", 6, Behaviour::well());
    cluster.rscale(&["web=2"]).succeeded();
    let steps = steps(&cluster);
    assert_eq!(of(&steps, "prefer").len(), 4, "{steps:#?}");
    assert_eq!(of(&steps, "leaves"), of(&steps, "prefer"), "{steps:#?}");
}

#[test]
fn a_drain_that_fails_keeps_everything() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.compose_file(DRAINED);
    cluster.deploy("web", 3, Behaviour::well());
    let web = cluster.ids("web");
    cluster
        .world()
        .commands
        .push(("touch".into(), 7, "no space left".into()));
    let ran = cluster.rscale(&["web=1"]).exited(1);
    cluster.assert_counts(&[("web", 3)]);
    assert_eq!(cluster.ids("web"), web);
    ran.says("no space left");
    let costs: Vec<_> = cluster
        .all("pods")
        .iter()
        .map(|pod| {
            pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].clone()
        })
        .filter(|cost| !cost.is_null())
        .collect();
    assert_eq!(costs, [""; 0], "an annotation stayed behind");
    cluster.rscale(&["--force", "web=1"]).succeeded();
    cluster.assert_counts(&[("web", 1)]);
}

#[test]
fn a_stateful_set_is_drained_from_its_highest_number() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.compose_file(DRAINED);
    cluster.create(&Workload::stateful_set("web", 4));
    cluster.rscale(&["web=2"]).succeeded();
    let steps = steps(&cluster);
    assert_eq!(of(&steps, "exec"), ["web-2", "web-3"], "{steps:#?}");
    assert_eq!(of(&steps, "leaves"), ["web-2", "web-3"], "{steps:#?}");
}

/// Policies come from the file, workloads by Kompose's label or by name.
#[test]
fn the_compose_file_says_how_far() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.compose_file(
        "
services:
  web-django: {image: 'busybox:1', x-rscale: {min: 2, max: 4}}
  worker: {image: 'busybox:1'}
",
    );
    cluster.create(&Workload::deployment("django", 2).of_service("web-django"));
    cluster.deploy("worker", 1, Behaviour::well());
    cluster.deploy("other", 1, Behaviour::well());
    cluster.rscale(&["web-django=4", "worker=2"]).succeeded();
    cluster.assert_counts(&[("django", 4), ("other", 1), ("worker", 2)]);
    for refused in ["web-django=5", "web-django=1"] {
        cluster.rscale(&[refused]).exited(3);
    }
    cluster.assert_counts(&[("django", 4), ("other", 1), ("worker", 2)]);
    // What is not in the file is no service of it.
    cluster.rscale(&["other=2"]).exited(2);
}

#[test]
fn a_service_of_the_file_that_the_cluster_does_not_have_is_refused() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    cluster.compose_file("services: {web: {image: 'busybox:1'}, mail: {image: 'busybox:1'}}\n");
    let ran = cluster.rscale(&["mail=2", "web=3"]).exited(3);
    ran.says("mail");
    assert_eq!(cluster.changes(), [""; 0]);
}

/// What the cluster runs in pods that go is not run by rscale, too; all of a parallel set go at once.
#[test]
fn what_the_cluster_drains_itself_is_left_to_it() {
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    cluster.compose_file(DRAINED);
    cluster.create(&Workload::stateful_set("web", 4).parallel().pre_stop());
    cluster.rscale(&["web=1"]).succeeded();
    let steps = steps(&cluster);
    assert_eq!(of(&steps, "exec"), [""; 0], "{steps:#?}");
    assert_eq!(
        of(&steps, "leaves"),
        ["web-1", "web-2", "web-3"],
        "{steps:#?}"
    );
    cluster.assert_counts(&[("web", 1)]);
}
