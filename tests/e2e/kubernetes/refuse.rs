//! What a namespace has against a count is said before anything is told.

use serde_json::{Value, json};

use super::{shop, shop_with_tricks};
use crate::cli::schema::is_valid;
use crate::support::kubernetes::{Cluster, Workload};

/// An HPA of a Deployment, which has it at 2 now.
fn autoscaler(name: &str, workload: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
            "minReplicas": 2, "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50},
            }}],
        },
    })
}

/// Fails unless exactly this rule refuses, and nothing was told.
#[track_caller]
fn refused(cluster: &Cluster, args: &[&str], rule: &str, words: &[&str]) {
    let before = (cluster.wishes(), cluster.pods("web"));
    for args in [[args, &[]].concat(), [&["check"], args].concat()] {
        let document = cluster.json(&args).exited(3).document();
        is_valid(
            if args[0] == "check" { "check" } else { "scale" },
            &document,
        );
        let findings = document["findings"].as_array().unwrap();
        let errors: Vec<&Value> = findings
            .iter()
            .filter(|one| one["severity"] == "error")
            .collect();
        assert!(
            !errors.is_empty() && errors.iter().all(|one| one["rule"] == rule),
            "{document:#}"
        );
        let message = errors[0]["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "no `{word}` in {message}");
        }
    }
    assert_eq!((cluster.wishes(), cluster.pods("web")), before);
}

/// The rules of warnings that a check has.
fn warnings(cluster: &Cluster, args: &[&str]) -> Vec<String> {
    let document = cluster
        .json(&[&["check"], args].concat())
        .succeeded()
        .document();
    let findings = document["findings"].as_array().unwrap().iter();
    let rules = findings.map(|one| one["rule"].as_str().unwrap().to_owned());
    rules.collect()
}

#[test]
fn an_autoscaler_owns_the_count() {
    let Some(cluster) = shop() else { return };
    cluster.add(&autoscaler("by-load", "web"));
    refused(&cluster, &["web=3"], "autoscaler", &["`by-load`", "2 to 4"]);
    // Its neighbours are free, and so is the user who insists.
    cluster.rscale(&["api=2"]).succeeded();
    cluster.rscale(&["--force", "web=3"]).succeeded();
    assert_eq!(cluster.wishes()["web"], 3);
}

#[test]
fn a_scaled_object_owns_the_count() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    cluster.world().keda = true;
    cluster.add(&json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "by-queue"},
        "spec": {
            "scaleTargetRef": {"name": "web"}, "minReplicaCount": 1, "maxReplicaCount": 30,
            "triggers": [{"type": "rabbitmq", "metadata": {}}],
        },
    }));
    // KEDA makes one of these for each.
    let mut made = autoscaler("keda-hpa-by-queue", "web");
    made["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "by-queue", "uid": "1", "controller": true,
    }]);
    cluster.add(&made);
    refused(
        &cluster,
        &["web=3"],
        "autoscaler",
        &["KEDA", "`by-queue`", "1 to 30"],
    );
}

#[test]
fn a_quota_has_no_room() {
    let Some(cluster) = Cluster::new() else {
        return;
    };
    cluster.create(
        &Workload::deployment("web", 2)
            .requests("cpu", "100m")
            .requests("memory", "16Mi"),
    );
    cluster.add(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "9", "requests.cpu": "400m"}},
    }));
    cluster.wait_until("the quota is counted", || {
        let quota = &cluster.all("resourcequotas")[0];
        quota["status"]["used"]["requests.cpu"] == "200m"
    });
    refused(&cluster, &["web=5"], "quota", &["`small`", "requests.cpu"]);
    refused(&cluster, &["--force", "web=10"], "quota", &["`small`"]);
    cluster.rscale(&["web=4"]).succeeded();
    cluster.assert_counts(&[("web", 4)]);
}

#[test]
fn the_user_may_not() {
    let Some(cluster) = shop_with_tricks() else {
        return;
    };
    let right = |verb: &str, kind: &str| (verb.to_owned(), format!("{kind}/scale"));
    cluster
        .world()
        .denied
        .insert(right("update", "deployments"));
    refused(
        &cluster,
        &["web=3"],
        "rights",
        &["update", "deployments/scale"],
    );
    assert_eq!(cluster.changes(), [""; 0]);
    // What the other kind of workload needs is another right.
    cluster.rscale(&["db=3"]).succeeded();
    // `kubectl scale --current-replicas` reads before it writes, and needs no right to patch.
    let mut world = cluster.world();
    world.denied = [right("patch", "deployments")].into();
    drop(world);
    cluster.rscale(&["web=3"]).succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 3), ("web", 3)]);
}

#[test]
fn fewer_than_a_disruption_budget_keeps_is_warned_of() {
    let Some(cluster) = shop() else { return };
    cluster.add(&json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "keep-two"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    }));
    assert_eq!(warnings(&cluster, &["web=1"]), ["disruption-budget"]);
    assert_eq!(warnings(&cluster, &["web=3"]), [""; 0]);
    let ran = cluster.rscale(&["web=1"]).succeeded();
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 1)]);
    ran.says("keep-two");
}

/// All of it is refused, not only the part that cannot be.
#[test]
fn one_of_two_is_refused() {
    let Some(cluster) = shop() else { return };
    cluster.add(&autoscaler("by-load", "web"));
    let (api, web) = (cluster.ids("api"), cluster.ids("web"));
    let document = cluster.json(&["api=3", "web=3"]).exited(3).document();
    assert_eq!(document["outcome"], "refused");
    assert_eq!((cluster.ids("api"), cluster.ids("web")), (api, web));
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
}

#[test]
fn what_only_compose_can_is_a_wrong_use() {
    let Some(cluster) = shop() else { return };
    for option in ["--build", "--pull=always"] {
        let ran = cluster.rscale(&[option, "web=3"]).exited(2);
        ran.says("kubernetes");
    }
    cluster.assert_counts(&[("api", 1), ("db", 2), ("web", 2)]);
}
