//! `rscale export`, read by the real docker and the real kubectl.

use std::path::Path;
use std::process::Command;

use serde_yaml::Value;

use crate::support::engine::{Engine, Project};

const SHOP: &str = "
services:
  web_a:
    <<: *app
    restart: always
    ports: ['80']
    stop_grace_period: 1m
    environment: {GREETING: 'yes', VERSION: '1.10', TEXT: \"a: $$HOME\\n  b\\n\"}
    x-rscale: {min: 2, stop-timeout: 7s, drain: {exec: [touch, /tmp/draining], wait: 2s, timeout: 4s}}
  worker: {<<: *app, depends_on: {web_a: {condition: service_started}}}
";

/// Whether a program takes these words.
fn takes(program: &str, words: &[&str], said: &str) -> bool {
    let output = Command::new(program).args(words).output();
    output.is_ok_and(|output| {
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains(said)
    })
}

fn checks_stacks() -> bool {
    takes("docker", &["stack", "config", "--help"], "--compose-file")
}

fn has_kubectl() -> bool {
    takes("kubectl", &["kustomize", "--help"], "--load-restrictor")
}

fn scaled() -> Option<Project> {
    let project = Engine::project(SHOP)?;
    project.compose(&["up", "-d"]);
    project.rscale(&["web_a=3"]).succeeded();
    Some(project)
}

fn yaml(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

#[test]
fn a_scaled_project_becomes_a_stack_that_docker_reads() {
    let Some(project) = scaled() else { return };
    let before = project.all_ids();
    let document = project.json(&["export", "swarm"]).succeeded().document();
    assert_eq!(project.all_ids(), before, "nothing is touched");
    assert_eq!(project.list("."), ["compose.yaml", "swarm"]);
    if !checks_stacks() {
        assert_eq!(document["checked_by"], serde_json::Value::Null);
        return;
    }
    assert_eq!(document["checked_by"], "docker stack config");
    let read = project.docker(&["stack", "config", "--compose-file", "swarm/stack.yaml"]);
    let stack = &yaml(&read)[0];
    let web = &stack["services"]["web_a"];
    assert_eq!(web["deploy"]["replicas"], 3);
    assert_eq!(web["stop_grace_period"], "7s");
    assert_eq!(web["deploy"]["update_config"]["order"], "start-first");
    assert_eq!(web["environment"]["GREETING"], "yes");
    assert_eq!(web["environment"]["VERSION"], "1.10");
    assert_eq!(
        web["environment"]["TEXT"], "a: $HOME\n  b\n",
        "each $ came through twice"
    );
    assert_eq!(web["x-rscale"]["min"], 2);
    assert_eq!(stack["x-rscale"]["engine"], "swarm");
}

#[test]
fn compose_reads_the_same_policies_in_the_stack() {
    let Some(project) = scaled() else { return };
    project.rscale(&["export", "swarm"]).succeeded();
    // As the engine that it names has no say in what Compose runs, it is told here.
    let name = project.name().to_owned();
    let args = ["--engine=compose", "--file=swarm/stack.yaml", "-p", &name];
    let refused = project.rscale(&[&args[..], &["check", "web_a=1"]].concat());
    assert_eq!(refused.status, 3, "{refused}");
}

#[test]
fn a_scaled_project_becomes_an_overlay_that_kustomize_applies() {
    let Some(project) = scaled() else { return };
    let document = project
        .json(&["export", "kubernetes"])
        .succeeded()
        .document();
    if !has_kubectl() {
        assert_eq!(document["checked_by"], serde_json::Value::Null);
        return;
    }
    assert_eq!(document["checked_by"], "kubectl kustomize");
    let workload = |kind: &str, name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}, labels: {{io.kompose.service: {name}}}}}\n\
             spec:\n  replicas: 1\n  selector: {{matchLabels: {{io.kompose.service: {name}}}}}\n  template:\n    \
             metadata: {{labels: {{io.kompose.service: {name}}}}}\n    spec: {{containers: [{{name: {name}, image: \
             'busybox:1'}}]}}\n---\n"
        )
    };
    let base = workload("Deployment", "web-a") + &workload("StatefulSet", "worker");
    project.write("kubernetes/base.yaml", &base);
    // With the base there, it is the base that counts.
    project
        .rscale(&["export", "kubernetes", "--force"])
        .succeeded();
    let built = project
        .command("kubectl")
        .args(["kustomize", "kubernetes"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let built = yaml(&String::from_utf8(built.stdout).unwrap());
    let find = |kind: &str, name: &str| -> &Value {
        let found = built
            .iter()
            .find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("{kind} {name}: {built:?}"))
    };
    let web = find("Deployment", "web-a");
    let pod = &web["spec"]["template"]["spec"];
    assert_eq!(web["spec"]["replicas"], 3);
    assert_eq!(web["metadata"]["labels"]["io.kompose.service"], "web_a");
    assert_eq!(
        web["spec"]["selector"]["matchLabels"]["io.kompose.service"],
        "web-a"
    );
    assert_eq!(pod["terminationGracePeriodSeconds"], 7 + 4 + 2 + 5);
    let command = &pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"];
    assert_eq!(command[2], "touch /tmp/draining\nsleep 2");
    assert_eq!(find("StatefulSet", "worker")["spec"]["replicas"], 1);
    let budget = find("PodDisruptionBudget", "web-a");
    assert_eq!(budget["spec"]["minAvailable"], 2);
    assert_eq!(
        budget["spec"]["selector"]["matchLabels"]["io.kompose.service"],
        "web-a"
    );
    // A base of another project is refused, and what was written stays.
    let written = project.read("kubernetes/kustomization.yaml");
    project.write("kubernetes/base.yaml", &workload("Deployment", "web-a"));
    let refused = project.rscale(&["export", "kubernetes", "--force"]);
    assert_eq!(refused.status, 1, "{refused}");
    assert_eq!(project.read("kubernetes/kustomization.yaml"), written);
}

/// Every example, with nothing running: counts are the file's.
#[test]
fn every_example_can_be_exported() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for example in [
        "bullmq-api",
        "django-celery-nginx",
        "gunicorn-caddy/app",
        "gunicorn-caddy/infra",
        "quickstart",
        "rabbitmq-workers",
        "stream-dispatcher",
    ] {
        assert!(
            examples.join(example).join("compose.yaml").is_file(),
            "{example}"
        );
        let Some(project) = Engine::example(example) else {
            return;
        };
        for target in ["swarm", "kubernetes"] {
            let document = project.json(&["export", target]).succeeded().document();
            let checked = if target == "swarm" {
                checks_stacks()
            } else {
                has_kubectl()
            };
            assert_eq!(
                document["checked_by"].is_string(),
                checked,
                "{example}: {document:#}"
            );
        }
    }
}
