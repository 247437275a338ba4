//! A cluster that cannot be used: exit 4, and what to do about it.

use std::os::unix::fs::symlink;

use super::{shop, shop_with_tricks};
use crate::support::kubernetes::Cluster;

#[test]
fn a_server_that_does_not_answer() {
    // On a real cluster the test could not clean up any more.
    let Some(cluster) = Cluster::with_tricks() else {
        return;
    };
    // The discard port: nothing listens there.
    cluster.kubeconfig_with("http://127.0.0.1:9");
    for args in [["web=2"].as_slice(), &["status"], &["check"]] {
        let ran = cluster.rscale(args).exited(4);
        ran.says("127.0.0.1:9");
    }
}

#[test]
fn a_context_that_does_not_exist() {
    let Some(cluster) = shop() else { return };
    for args in [
        ["--context", "nosuch", "web=3"].as_slice(),
        &["--context", "nosuch", "status"],
    ] {
        cluster.rscale(args).exited(4).says("nosuch");
    }
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
}

#[test]
fn a_context_and_a_namespace_that_are_named() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    cluster
        .rscale(&["--context", "test", "-n", "shop", "web=3"])
        .succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 3)]);
    // The API says of it what it says of an empty one.
    let ran = cluster.rscale(&["--namespace", "nosuch", "web=4"]);
    assert!([2, 3, 4].contains(&ran.status), "{ran}");
    assert!(
        ran.stderr.contains("nosuch") || ran.stderr.contains("`web`"),
        "{ran}"
    );
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 3)]);
}

#[test]
fn kubectl_is_not_installed() {
    let Some(cluster) = shop() else { return };
    let empty = tempfile::TempDir::new().unwrap();
    symlink("/bin/sh", empty.path().join("sh")).unwrap();
    cluster.set("PATH", empty.path().to_str().unwrap());
    cluster.rscale(&["web=3"]).exited(4).says("kubectl");
}

#[test]
fn who_may_not_look_is_told_so() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    cluster
        .world()
        .denied
        .insert(("list".into(), "pods".into()));
    let ran = cluster.rscale(&["status"]).exited(4);
    ran.says("pods");
    assert_eq!(cluster.changes(), [""; 0]);
}
