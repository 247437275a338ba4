//! Whole files, from what Compose 2.26.1 printed for a project with everything that does not go along as it is.

use std::collections::BTreeSet;

use serde_yaml::Value;

use super::{Exported, Source, kubernetes, resolved, swarm};
use crate::project::Project;
use crate::project::declared::Declared;
use crate::project::observed::{Replica, State};

const SHOP: &str = include_str!("../../tests/samples/export/config-v2.26.yaml");

struct Scene {
    project: Project,
    resolved: Value,
}

impl Scene {
    fn new(yaml: &str, counts: &[(&str, u32)]) -> Self {
        let mut declared = Declared::parse(yaml, "shop").unwrap();
        let services = declared.services.values();
        let profiled = services.filter(|service| !service.profiles.is_empty());
        declared.inactive = profiled.map(|service| service.name.clone()).collect();
        let replicas: Vec<Replica> = counts
            .iter()
            .flat_map(|(service, count)| {
                (1..=*count).map(|number| Replica {
                    service: (*service).to_owned(),
                    number,
                    state: State::Running,
                    ..Replica::default()
                })
            })
            .collect();
        Self {
            project: Project::new(declared, replicas),
            resolved: resolved(yaml).unwrap(),
        }
    }

    fn source(&self) -> Source<'_> {
        Source {
            project: &self.project,
            resolved: &self.resolved,
            separator: '-',
        }
    }

    fn swarm(&self) -> Exported {
        swarm::export(self.source()).unwrap()
    }

    fn kubernetes(&self) -> Exported {
        let overlay = kubernetes::overlay(self.source(), "kubernetes").unwrap();
        overlay.export("base.yaml")
    }
}

fn shop() -> Scene {
    Scene::new(
        SHOP,
        &[
            ("web_front", 12),
            ("proxy", 1),
            ("db", 1),
            ("agent", 1),
            ("clock", 1),
        ],
    )
}

fn whole(exported: &Exported) -> String {
    let files = exported
        .files
        .iter()
        .map(|file| format!("=== {}\n{}", file.name, file.text));
    let warnings = exported.warnings.iter().map(|warning| {
        let service = warning.service.as_deref().unwrap_or("-");
        format!("{service}: {}\n  {}\n", warning.message, warning.hint)
    });
    let warnings: String = warnings.collect();
    files.collect::<String>() + "=== warnings\n" + &warnings
}

fn stack(exported: &Exported) -> Value {
    serde_yaml::from_str(&exported.files[0].text).unwrap()
}

#[track_caller]
fn is_as_agreed(name: &str, exported: &Exported) {
    insta::with_settings!({ snapshot_path => "../../tests/snapshots/export", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, whole(exported));
    });
}

#[test]
fn a_stack_is_as_it_was_agreed() {
    is_as_agreed("swarm", &shop().swarm());
}

#[test]
fn an_overlay_is_as_it_was_agreed() {
    is_as_agreed("kubernetes", &shop().kubernetes());
}

#[test]
fn every_value_that_goes_along_is_the_one_that_compose_printed() {
    let scene = shop();
    let written = stack(&scene.swarm());
    for (service, values) in scene.resolved["services"].as_mapping().unwrap() {
        for key in ["command", "environment", "labels", "x-rscale", "init"] {
            let written = &written["services"][service];
            if service != "debug" {
                assert_eq!(written.get(key), values.get(key), "{service:?}.{key}");
            }
        }
    }
    assert_eq!(written["x-note"], scene.resolved["x-note"]);
}

/// The keys of version 3.9, from docker/cli, `cli/compose/schema/data/config_schema_v3.9.json`.
#[test]
fn a_service_has_no_key_that_docker_20_10_refuses() {
    let known: BTreeSet<&str> = "deploy cap_add cap_drop command configs credential_spec depends_on dns dns_search \
         entrypoint environment extra_hosts healthcheck hostname image init isolation labels logging networks ports \
         read_only secrets sysctls stdin_open stop_grace_period stop_signal tmpfs tty ulimits user volumes working_dir"
        .split_whitespace()
        .collect();
    let every = "services: {a: {image: x, attach: false, blkio_config: {weight: 1}, cgroup: host, cpu_shares: 3, \
         cpuset: '0', device_cgroup_rules: [a], devices: [/dev/a], dns_opt: [a], domainname: a, env_file: [a], expose: \
         ['1'], external_links: [a], gpus: all, group_add: [a], ipc: host, links: [a], mac_address: a, mem_limit: 1g, \
         mem_reservation: '5', memswap_limit: 1g, network_mode: host, oom_score_adj: 3, pid: host, platform: a, \
         post_start: [{command: [a]}], pre_stop: [{command: [a]}], privileged: true, profiles: [], pull_policy: \
         always, restart: always, runtime: a, scale: 2, security_opt: [a], shm_size: '9', storage_opt: {a: b}, \
         use_api_socket: true, userns_mode: host, uts: host, volumes_from: [a], new_thing: 1, x-mine: {a: 1}}}";
    for yaml in [SHOP, every] {
        let exported = Scene::new(yaml, &[]).swarm();
        let stack = stack(&exported);
        for (name, service) in stack["services"].as_mapping().unwrap() {
            for key in service.as_mapping().unwrap().keys() {
                let key = key.as_str().unwrap();
                assert!(
                    known.contains(key) || key.starts_with("x-"),
                    "{name:?}.{key}"
                );
            }
        }
    }
    let text = &Scene::new(every, &[]).swarm().files[0].text;
    for word in [
        "new_thing",
        "privileged",
        "network_mode",
        "post_start",
        "use_api_socket",
    ] {
        assert!(
            text.contains(word),
            "it is said that {word} is left out: {text}"
        );
    }
}

#[test]
fn counts_are_those_of_the_engine_or_where_nothing_runs_of_the_file() {
    let yaml = "services: {web: {image: a, deploy: {replicas: 3}}, worker: {image: a, scale: 2}, \
                job: {image: a}, late: {image: a, depends_on: {job: {condition: service_completed_successfully}}}}";
    let counts = |counts: &[(&str, u32)]| -> Vec<u64> {
        let exported = Scene::new(yaml, counts).swarm();
        let said = exported
            .warnings
            .iter()
            .any(|one| one.message.contains("no replica"));
        assert_eq!(said, counts.is_empty());
        let stack = stack(&exported);
        ["web", "worker", "job"]
            .iter()
            .map(|name| {
                stack["services"][name]["deploy"]["replicas"]
                    .as_u64()
                    .unwrap()
            })
            .collect()
    };
    assert_eq!(counts(&[]), [3, 2, 1]);
    assert_eq!(
        counts(&[("web", 5)]),
        [5, 0, 1],
        "a job that is gone has been done"
    );
}

#[test]
fn services_of_inactive_profiles_go_along_when_they_run() {
    let names = |counts: &[(&str, u32)]| -> bool {
        let stack = stack(&Scene::new(SHOP, counts).swarm());
        stack["services"].get("debug").is_some()
    };
    assert!(!names(&[("db", 1)]));
    assert!(names(&[("debug", 1)]));
}

#[test]
fn two_replicas_are_there_at_once_during_an_update_only_where_that_does_no_harm() {
    let order = |service: &str| -> String {
        let yaml = format!("services: {{web: {service}}}\nvolumes: {{data: }}");
        let stack = stack(&Scene::new(&yaml, &[]).swarm());
        let order = &stack["services"]["web"]["deploy"]["update_config"]["order"];
        order.as_str().unwrap().to_owned()
    };
    for service in [
        "{image: a}",
        "{image: a, ports: [{target: 80, published: '80', mode: ingress}]}",
        "{image: a, volumes: [{type: bind, source: /a, target: /a, read_only: true}]}",
        "{image: a, x-rscale: {max: 4}}",
    ] {
        assert_eq!(order(service), "start-first", "{service}");
    }
    for service in [
        "{image: a, ports: [{target: 80, published: '80', mode: host}]}",
        "{image: a, volumes: [{type: volume, source: data, target: /a}]}",
        "{image: a, x-rscale: {scalable: false}}",
        "{image: a, x-rscale: {max: 1}}",
        "{image: a, command: celery -A app beat}",
        "{image: 'postgres:15'}",
    ] {
        assert_eq!(order(service), "stop-first", "{service}");
    }
}

#[test]
fn a_port_of_one_address_is_never_opened_to_all() {
    let yaml = "services: {web: {image: a, ports: [{target: 80, published: '8080', host_ip: 127.0.0.1}, \
                {target: 81, published: '8081', host_ip: '::1'}, {target: 82, published: '8082', host_ip: 0.0.0.0}, \
                '127.0.0.1:8083:83']}}";
    let stack = stack(&Scene::new(yaml, &[]).swarm());
    let ports = stack["services"]["web"]["ports"].as_sequence().unwrap();
    let published: Vec<u64> = ports
        .iter()
        .map(|one| one["published"].as_u64().unwrap())
        .collect();
    assert_eq!(published, [8082]);
}

#[test]
fn the_grace_of_a_pod_has_room_for_all_that_comes_before_the_end() {
    let patched = |service: &str| -> Value {
        let exported = Scene::new(&format!("services: {{web: {service}}}"), &[]).kubernetes();
        let overlay: Value = serde_yaml::from_str(&exported.files[0].text).unwrap();
        let patch = overlay
            .get("patches")
            .map_or("[]", |patches| patches[0]["patch"].as_str().unwrap());
        serde_yaml::from_str(patch).unwrap()
    };
    for (service, grace, command) in [
        ("{image: a, x-rscale: {stop-timeout: 90s}}", Some(90), None),
        ("{image: a, stop_grace_period: 90s}", None, None),
        (
            "{image: a, x-rscale: {stop-timeout: 90s, drain: {exec: [a, b], timeout: 20s}}}",
            Some(90 + 20 + 5),
            Some(vec!["a", "b"]),
        ),
        (
            "{image: a, x-rscale: {drain: {exec: [a, 'b c'], wait: 1500ms, timeout: 20s}}}",
            Some(30 + 20 + 2 + 5),
            Some(vec!["sh", "-c", "a 'b c'\nsleep 2"]),
        ),
        (
            "{image: a, stop_grace_period: 10s, pre_stop: [{command: [x, $$y], working_dir: /w, environment: {A: b}}]}",
            Some(10 + 300 + 5),
            Some(vec!["sh", "-c", "(cd /w && env 'A=b' x '$y')"]),
        ),
    ] {
        let patch = patched(service);
        assert_eq!(
            patch[0].get("value").and_then(Value::as_u64),
            grace,
            "{service}"
        );
        let command: Option<Value> =
            command.map(|words| words.into_iter().map(Value::from).collect());
        let written = patch
            .get(1)
            .map(|operation| &operation["value"]["preStop"]["exec"]["command"]);
        assert_eq!(written, command.as_ref(), "{service}");
    }
}

#[test]
fn what_kustomize_built_is_compared_with_what_was_written() {
    let yaml = "services: {web_a: {image: a, x-rscale: {min: 1, stop-timeout: 9s}}, job: {image: a, restart: 'no'}}";
    let scene = Scene::new(yaml, &[("web_a", 3)]);
    let overlay = kubernetes::overlay(scene.source(), "kubernetes").unwrap();
    let built = "kind: Service\nmetadata: {name: web-a}\n---\nkind: StatefulSet\nmetadata: {name: web-a}\nspec: \
                 {replicas: 3, template: {metadata: {labels: {io.kompose.service: web-a}}, spec: \
                 {terminationGracePeriodSeconds: 9}}}\n";
    let problems =
        |from: &str, to: &str| kubernetes::problems(&overlay, &built.replace(from, to)).join("; ");
    assert_eq!(problems("", ""), "");
    for (from, to, problem) in [
        ("StatefulSet", "Pod", "there is no workload `web-a`"),
        (
            "replicas: 3",
            "replicas: 2",
            "`web-a` does not get its count",
        ),
        ("Seconds: 9", "Seconds: 8", "`web-a` does not get its grace"),
        (
            "service: web-a",
            "service: x",
            "pods of `web-a` have no label `io.kompose.service: web-a`, which its budget goes by",
        ),
    ] {
        assert_eq!(problems(from, to), problem);
    }
}
