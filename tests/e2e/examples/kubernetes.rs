//! The example kubernetes, on the test bed's cluster: its manifests and its compose file belong together, and what
//! its README types does what it says.

use std::path::Path;

use serde::Deserialize as _;
use serde_json::Value;

use crate::support::engine::Ran;
use crate::support::kubernetes::Cluster;

fn text(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// The commands that the README types and the Makefile runs.
fn typed(target: &str) -> Vec<String> {
    let makefile = text("Makefile");
    let (_, recipe) = makefile.split_once(&format!("\n{target}: ")).unwrap();
    let line = recipe
        .lines()
        .nth(1)
        .unwrap()
        .trim()
        .trim_start_matches('-');
    let words = line.strip_prefix("$(RSCALE) ").unwrap();
    assert!(
        text("README.md").contains(&format!("$ rscale {words}")),
        "README.md does not type `{words}`"
    );
    words.split(' ').map(str::to_owned).collect()
}

#[test]
fn the_commands_do_what_the_readme_says() {
    let Some(cluster) = Cluster::new() else {
        return;
    };
    cluster.compose_file(&text("compose.yaml"));
    for document in serde_yaml::Deserializer::from_str(&text("manifests.yaml")) {
        cluster.add(&Value::deserialize(document).unwrap());
    }
    cluster.wait_until("what was applied is ready", || {
        let counts = cluster.counts();
        ["api", "celery-worker", "web"].map(|name| counts.get(name).copied().unwrap_or(0))
            == [2, 2, 1]
    });
    let rscale = |target: &str| {
        let words = typed(target);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = cluster.rscale_command(&words);
        // The file names the engine.
        command.env_remove("RSCALE_ENGINE");
        Ran::of(command)
    };
    let scaled = rscale("scale").succeeded();
    for line in [
        "celery_worker  2 -> 4  scaled in",
        "web            1 -> 4  scaled in",
    ] {
        assert!(scaled.stdout.contains(line), "{scaled}");
    }
    cluster.assert_counts(&[("api", 2), ("celery-worker", 4), ("web", 4)]);
    let status = rscale("status").succeeded();
    assert!(
        status.stdout.contains("celery_worker  4/4 (declared 1)"),
        "{status}"
    );
    rscale("refused")
        .exited(3)
        .says("error[autoscaler]: `api` is scaled by the HorizontalPodAutoscaler `api` (2 to 5 replicas)")
        .says("error[limits]: 9 replicas of `web` asked for");
    let plan = rscale("plan").succeeded();
    for part in [
        "pod-deletion-cost=-1000000",
        "-- touch /tmp/draining",
        "scale deployment/celery-worker --replicas=3 --current-replicas=4",
    ] {
        assert!(plan.stdout.contains(part), "{plan}");
    }
    cluster.assert_counts(&[("api", 2), ("celery-worker", 4), ("web", 4)]);
}
