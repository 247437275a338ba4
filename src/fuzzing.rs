//! Hostile text for whoever reads what others wrote: real samples that are cut, doubled, twisted and nested, and text that
//! is no such thing at all. More of it: `PROPTEST_CASES=1000000 cargo test fuzzing`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Cases of one reader, unless PROPTEST_CASES says otherwise.
const CASES: u32 = 150;

/// What is done to a sample.
#[derive(Debug, Clone)]
enum Twist {
    /// From here to there is left out.
    Cut(usize, usize),
    /// It comes again, somewhere else.
    Doubled(usize, usize, usize),
    /// This comes in between.
    Inserted(usize, String),
    /// Every number, from a place on, is this one.
    Numbers(usize, &'static str),
    /// It is in the middle of so many of these.
    Nested(usize, &'static str, &'static str, usize),
}

fn twist() -> impl Strategy<Value = Twist> {
    let place = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    let numbers = [
        "0",
        "-1",
        "4294967295",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "4294967296",
        "0.0000000001",
    ];
    let brackets = [("[", "]"), ("{\"a\":", "}"), ("\"", "\""), ("- ", "")];
    prop_oneof![
        (place(), 0..200usize).prop_map(|(from, length)| Twist::Cut(from, length)),
        (place(), 0..200usize, place())
            .prop_map(|(from, length, to)| Twist::Doubled(from, length, to)),
        (place(), ".{0,12}").prop_map(|(at, text)| Twist::Inserted(at, text)),
        (place(), "[\\[\\]{}:,\"'\\-+/=@%. \\n\\t\\\\]{1,6}")
            .prop_map(|(at, text)| Twist::Inserted(at, text)),
        (place(), prop::sample::select(numbers.to_vec()))
            .prop_map(|(at, number)| Twist::Numbers(at, number)),
        (
            place(),
            prop::sample::select(brackets.to_vec()),
            1..400usize
        )
            .prop_map(|(at, (open, close), depth)| Twist::Nested(at, open, close, depth)),
    ]
}

/// The nearest place where a text may be cut.
fn near(text: &str, at: usize) -> usize {
    let at = if text.is_empty() {
        0
    } else {
        at % (text.len() + 1)
    };
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

fn twisted(text: &str, twist: &Twist) -> String {
    match twist {
        Twist::Cut(from, length) => {
            let from = near(text, *from);
            let rest = &text[from..];
            let to = near(rest, (*length).min(rest.len()));
            text[..from].to_owned() + &rest[to..]
        }
        Twist::Doubled(from, length, to) => {
            let rest = &text[near(text, *from)..];
            let piece = &rest[..near(rest, (*length).min(rest.len()))];
            let to = near(text, *to);
            text[..to].to_owned() + piece + &text[to..]
        }
        Twist::Inserted(at, what) => {
            let at = near(text, *at);
            text[..at].to_owned() + what + &text[at..]
        }
        Twist::Numbers(at, number) => {
            let (before, after) = text.split_at(near(text, *at));
            let mut out = before.to_owned();
            let mut digits = false;
            for c in after.chars().take(4000) {
                if !c.is_ascii_digit() {
                    out.push(c);
                } else if !digits {
                    out.push_str(number);
                }
                digits = c.is_ascii_digit();
            }
            out
        }
        Twist::Nested(at, open, close, depth) => {
            let at = near(text, *at);
            let (before, after) = text.split_at(at);
            before.to_owned() + &open.repeat(*depth) + after + &close.repeat(*depth)
        }
    }
}

/// Has a reader read all that; it must come to an end without a panic, and what it asserts must hold.
pub fn survives(samples: &[&str], read: impl Fn(&str)) {
    let cases = std::env::var("PROPTEST_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let samples: Vec<String> = samples.iter().map(|&sample| sample.to_owned()).collect();
    for sample in &samples {
        read(sample);
    }
    let of_sample =
        (prop::sample::select(samples), vec(twist(), 1..5)).prop_map(|(sample, twists)| {
            twists
                .iter()
                .fold(sample, |text, twist| twisted(&text, twist))
        });
    let any_text = "(?s).{0,80}";
    let texts = prop_oneof![9 => of_sample, 1 => any_text.prop_map(|text| text)];
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&texts, |text| {
        let read = std::panic::AssertUnwindSafe(|| read(&text));
        std::panic::catch_unwind(read)
            .map_err(|_| TestCaseError::fail(format!("it panics at {text:?}")))
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::survives;
    use crate::engine::cause;
    use crate::engine::compose::{Compose, Generation};
    use crate::engine::kubernetes::Kubernetes;
    use crate::engine::swarm::Swarm;
    use crate::engine::{Answer, Containers, Control, Engine, Orchestrator};
    use crate::exec::{CommandError, kubeconfig};
    use crate::load::discover;
    use crate::lock::Holder;
    use crate::memory::Past;
    use crate::plan::{Counts, PlanOptions, plan, told};
    use crate::preflight::{Overview, Question, Surroundings, examine};
    use crate::project::Project;
    use crate::project::address::Address;
    use crate::project::cluster::quantity::Quantity;
    use crate::project::declared::Declared;
    use crate::project::observed::Observed;
    use crate::project::target::Targets;
    use crate::project::workload::DriverName;
    use crate::report::text::Paint;
    use crate::report::{load_compare, status, table};

    const CONFIG: &str = include_str!("../tests/samples/config-v2.26.yaml");
    const PODS: &str = include_str!("../tests/samples/kubernetes-1.36/shop.json");
    const STATES: &str = include_str!("../tests/samples/kubernetes-1.36/states.json");
    const SERVICES: &str = include_str!("../tests/samples/swarm-20.10/ready-service-ls.jsonl");
    const TASKS: &str = include_str!("../tests/samples/swarm-20.10/ready-stack-ps.jsonl");
    const NODES: &str = include_str!("../tests/samples/swarm-20.10/ready-node-ls.jsonl");
    const INSPECTED: &str = include_str!("../tests/samples/swarm-20.10/service-inspect.json");
    const INSPECTED_NODES: &str = include_str!("../tests/samples/swarm-20.10/node-inspect.json");
    const TASKS_OF_SERVICES: &str = include_str!("../tests/samples/swarm-20.10/service-ps.jsonl");
    const BOUNDS: &str = include_str!("../tests/samples/kubernetes-1.36/bounds.json");
    const QUOTA: &str = include_str!("../tests/samples/kubernetes-1.36/quota.json");
    const RIGHTS: &str = include_str!("../tests/samples/kubernetes-1.36/can-i-list-scaler.txt");
    const LISTING: &str = concat!(
        r#"{"id":"a1","name":"shop-web-1","state":"running","status":"Up 3 minutes (healthy)","#,
        r#""ports":"0.0.0.0:49153->80/tcp, :::49153->80/tcp","command":"\"gunicorn app\"","service":"web","#,
        r#""number":"1","oneoff":"False","config_hash":"h","image_id":"sha256:1"}"#,
        "\n",
        r#"{"id":"a2","name":"shop-web-2","state":"exited","status":"Exited (137) 2 hours ago","#,
        r#""ports":"","command":"","service":"web","number":"2","oneoff":"","config_hash":"h","image_id":""}"#,
    );
    const VITALS: &str = concat!(
        r#"{"id":"a1","state":"running","exit_code":0,"out_of_memory":false,"error":"","restarts":2,"#,
        r#""started_at":"2026-11-29T09:30:00.123456789Z","health":"healthy"}"#
    );
    const POLICY: &str = "services:
  web: {image: app, expose: [8000]}
  worker:
    image: app
    deploy: {replicas: 2, resources: {limits: {memory: 512M, cpus: '0.5'}}}
    stop_grace_period: 1m30s
    healthcheck: {test: [CMD, 'true'], interval: 10s, timeout: 3s, retries: 3, start_period: 40s}
    x-rscale:
      min: 1
      max: 8
      scalable: true
      stop-timeout: 90s
      drain: {exec: [stop], wait: 10s, timeout: 5m, undo: [go]}
      refresh: [{service: web, exec: [nginx, -s, reload], timeout: 5s}]
      queue: {driver: celery, broker: 'redis://:pw@redis:6379/0', name: celery}
      connections: {db: 5}
x-rscale:
  engine: compose
  load-test:
    tasks:
      Add: {task: tasks.add, queue: celery, args: [1, 2], service: worker}
      Home: {service: web, url: 'http://web:8000/', method: GET}
";

    fn compose() -> Compose {
        Compose {
            command: vec!["docker".into(), "compose".into()],
            generation: Generation::V2,
            project_options: Vec::new(),
        }
    }

    /// What is made of a project that was read: rows, plans to other counts.
    fn goes_through(project: &Project, engine: &dyn Engine) {
        let shown = status::status(project, engine.name(), &[]);
        let lines = table::status(&shown, project, true, Paint(false), Some(80));
        assert!(!lines.is_empty());
        assert!(
            shown
                .services
                .iter()
                .all(|one| one.running <= one.replicas + 1)
        );
        for to in [0, 1, 3] {
            let services = project.declared.services.keys();
            let wish: Counts = services.map(|name| (name.clone(), to)).collect();
            let made = match engine.control() {
                Control::Containers(_) => plan(project, &wish, &PlanOptions::default()),
                Control::Counts(engine) => told(
                    project,
                    &wish,
                    &PlanOptions::default(),
                    engine.supports_choice(),
                ),
            };
            assert_eq!(made.changes.len(), wish.len());
        }
        examined(project, &Surroundings::default());
    }

    /// Has every rule look at a project that is to have none, a few, and as many as can be of everything.
    fn examined(project: &Project, surroundings: &Surroundings) {
        let overview = Overview::new(project);
        for count in [0, 3, 100_000] {
            let services = project.declared.services.keys();
            let wish = services.map(|name| (name.clone(), count)).collect();
            let findings = examine(
                &Question {
                    project,
                    overview: &overview,
                    wish: &wish,
                    surroundings,
                    stop_timeout: None,
                    current_replicas: None,
                },
                false,
            );
            assert!(findings.iter().all(|finding| !finding.message.is_empty()));
        }
    }

    /// The counts to which a cluster is asked whether they can be.
    fn counts(project: &Project) -> Counts {
        let services = project.declared.services.keys();
        services.map(|name| (name.clone(), 900)).collect()
    }

    /// Has an engine and the rules read what a cluster answers, each of the answers being another one in turn.
    fn answers(engine: &dyn Orchestrator, project: &Project, all: &[&[&str]]) {
        for (place, samples) in all.iter().enumerate() {
            survives(samples, |text| {
                let texts = all.iter().map(|samples| samples[0]);
                let mut answers: Vec<Answer> = texts.map(|text| Ok(text.to_owned())).collect();
                answers[place] = Ok(text.to_owned());
                let counts = counts(project);
                for so_far in 0..=answers.len() {
                    let _ = engine.enquiries(project, &counts, &answers[..so_far]);
                }
                if let Ok(facts) = engine.facts(project, &counts, &answers) {
                    let surroundings = Surroundings {
                        facts: Some(facts),
                        ..Surroundings::default()
                    };
                    examined(project, &surroundings);
                }
                let hosts = BTreeSet::from(["web", "redis.shop.svc"]);
                let _ = engine.address_enquiries(project, &hosts, &answers);
                let _ = engine.hosts(project, &hosts, &answers);
            });
        }
    }

    fn declared() -> Declared {
        Declared::parse(POLICY, "shop").unwrap()
    }

    fn observed(engine: &dyn Engine, outputs: &[String]) {
        if let Ok(observed) = engine.parse_listing("shop", outputs) {
            goes_through(&Project::new(declared(), observed), engine);
        }
    }

    #[test]
    fn fuzzing_a_compose_file() {
        survives(&[CONFIG, POLICY], |text| {
            if let Ok(declared) = Declared::parse(text, "shop") {
                goes_through(&Project::new(declared, Observed::default()), &compose());
            }
        });
    }

    #[test]
    fn fuzzing_what_docker_lists_and_inspects() {
        let compose = compose();
        survives(&[LISTING], |text| observed(&compose, &[text.to_owned()]));
        survives(&[VITALS], |text| drop(compose.parse_inspection(text)));
        survives(
            &[
                "web 4f5e\nworker 0a1b\n",
                "8000000000 2026-11-29T09:30:00Z\n",
                "a1 12.5%\na2 --\n",
            ],
            |text| {
                let _ = compose.parse_hashes(text);
                let _ = compose.parse_info(text);
                let _ = compose.parse_usage(text);
                let _ = compose.parse_addresses(text);
                let _ = Compose::parse_version(text);
                let _ = compose.parse_identification(text, Some(text));
                let _ = compose.claims("shop").parse_look(text);
            },
        );
        survives(
            &[
                " Container shop-web-2  Creating\n Container shop-web-2  Created\n",
                "Creating shop_web_2 ... done\n",
                "time=\"2026-11-29T09:30:00Z\" level=warning msg=\"The \\\"A\\\" variable is not set.\"\n",
            ],
            |text| {
                let _ = crate::engine::warning::warnings(text);
                for line in text.lines() {
                    let _ = compose.milestone(line);
                }
            },
        );
    }

    #[test]
    fn fuzzing_what_a_swarm_lists() {
        let swarm = Swarm::default();
        let all = [SERVICES, TASKS, NODES].map(str::to_owned);
        for place in 0..3 {
            survives(&[&all[place]], |text| {
                let mut outputs = all.clone();
                text.clone_into(&mut outputs[place]);
                observed(&swarm, &outputs);
            });
        }
        let observed = swarm.parse_listing("shop", &all).unwrap();
        let project = Project::new(declared(), observed);
        let Control::Counts(engine) = swarm.control() else {
            panic!("a swarm keeps counts")
        };
        survives(&[INSPECTED], |text| {
            if let Ok(deployed) = engine.parse_description(&project, text) {
                let mut project = project.clone();
                project.describe(deployed);
                goes_through(&project, &swarm);
            }
        });
    }

    #[test]
    fn fuzzing_what_a_swarm_knows_of_its_nodes() {
        let swarm = Swarm::default();
        let all = [SERVICES, TASKS, NODES].map(str::to_owned);
        let observed = swarm.parse_listing("shop", &all).unwrap();
        let mut project = Project::new(declared(), observed);
        let Control::Counts(engine) = swarm.control() else {
            panic!("a swarm keeps counts")
        };
        project.describe(engine.parse_description(&project, INSPECTED).unwrap());
        let samples: [&[&str]; 4] = [
            &[INSPECTED_NODES],
            &[NODES],
            &[INSPECTED],
            &[TASKS_OF_SERVICES],
        ];
        answers(engine, &project, &samples);
    }

    #[test]
    fn fuzzing_what_kubernetes_knows_of_a_namespace() {
        let kubernetes = Kubernetes::default();
        let observed = kubernetes
            .parse_listing("shop", &[PODS.to_owned()])
            .unwrap();
        let mut declared = declared();
        declared.by_engine = true;
        let project = Project::new(declared, observed);
        let Control::Counts(engine) = kubernetes.control() else {
            panic!("Kubernetes keeps counts")
        };
        let scaled =
            r#"{"spec":{"minReplicaCount":1,"maxReplicaCount":9},"metadata":{"name":"web"}}"#;
        let samples: [&[&str]; 4] = [
            &[BOUNDS, QUOTA],
            &[RIGHTS],
            &["no - no RBAC policy matched\n"],
            &[scaled],
        ];
        answers(engine, &project, &samples);
        let nodes = r#"{"kind":"List","items":[{"kind":"Node","metadata":{"name":"n"},"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.4"}]}}]}"#;
        answers(engine, &project, &[&[PODS, STATES], &[nodes]]);
    }

    #[test]
    fn fuzzing_why_a_command_failed() {
        let samples = [
            "Error response from daemon: driver failed programming external connectivity on endpoint shop-web-2 (9f): Bind for 0.0.0.0:8080 failed: port is already allocated\n",
            "Error response from daemon: No such container: 0a1b\nError: failed to start containers: 0a1b\n",
            "Error from server (NotFound): pods \"web-2\" not found\n",
            "service \"web\" has neither an image nor a build context specified: invalid compose project\n",
        ];
        survives(&samples, |text| {
            let command = || "docker start 0a1b".to_owned();
            let errors = [
                CommandError::Failed {
                    command: command(),
                    status: "exit status: 1".into(),
                    stdout: text.to_owned(),
                    stderr: text.to_owned(),
                },
                CommandError::TimedOut {
                    command: command(),
                    timeout: Duration::MAX,
                    stderr: text.to_owned(),
                },
            ];
            for error in errors {
                let inside = cause::explain_inside(&error, &["sh".into(), text.to_owned()]);
                for explained in [cause::explain(&error), inside] {
                    assert!(!explained.message.is_empty());
                }
                let _ = cause::already_gone(&error);
                let _ = cause::has_ended(&error);
            }
        });
    }

    #[test]
    fn fuzzing_the_configuration_of_a_balancer() {
        let stack = "services:
  nginx: {image: 'nginx:1', volumes: ['./nginx.conf:/etc/nginx/nginx.conf:ro']}
  caddy: {image: 'caddy:2', volumes: ['./Caddyfile:/etc/caddy/Caddyfile']}
  haproxy: {image: 'haproxy:3', volumes: ['./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg']}
  web: {image: app, expose: [8000]}
";
        let running = ["nginx", "caddy", "haproxy", "web"]
            .map(|service| LISTING.lines().next().unwrap().replace("web", service));
        let observed = compose()
            .parse_listing("shop", &[running.join("\n")])
            .unwrap();
        let project = Project::new(Declared::parse(stack, "shop").unwrap(), observed);
        let samples = [
            "upstream app { server web:8000; } server { listen 80; location / { proxy_pass http://app; } }",
            ":80 {\n  reverse_proxy web:8000 {\n    lb_policy round_robin\n  }\n}\n",
            "frontend f\n  bind :80\n  default_backend b\nbackend b\n  server-template web 8 web:8000 resolvers docker\n",
        ];
        survives(&samples, |text| {
            let services = ["nginx", "caddy", "haproxy"];
            let configurations = services.map(|service| (service.to_owned(), text.to_owned()));
            let surroundings = Surroundings {
                configurations: BTreeMap::from(configurations),
                ..Surroundings::default()
            };
            examined(&project, &surroundings);
        });
    }

    #[test]
    fn fuzzing_what_workers_run_and_where_their_broker_is() {
        let samples = [
            "celery -A shop worker -Q fast,slow --concurrency=4",
            "sh -c 'exec python manage.py rqworker high & sidekiq -C config.yml; node worker.js'",
            "/bin/bash -lc \"FOO=bar nohup gunicorn app:app -b 0.0.0.0:8000 || exit 1\"",
            "amqp://guest:pa55@mq:5672//",
            "redis://:pa55@redis:6379/0?ssl_cert_reqs=none",
        ];
        survives(&samples, |text| {
            let words = serde_json::json!(text);
            let stack = format!(
                "services: {{worker: {{image: app, command: {words}, entrypoint: {words}, environment: {{BROKER_URL: {words}, \
                 REDIS_HOST: {words}, REDIS_PORT: {words}, RESULT_BACKEND: {words}}}}}}}"
            );
            let Ok(declared) = Declared::parse(&stack, "shop") else {
                return;
            };
            let project = Project::new(declared, Observed::default());
            for driver in DriverName::ALL {
                drop(discover::broker(&project, driver, None));
                let _ = discover::service_of_queue(&project, driver, text);
            }
            drop(discover::results(&project, None));
            goes_through(&project, &compose());
        });
    }

    #[test]
    fn fuzzing_what_kubernetes_lists() {
        let kubernetes = Kubernetes::default();
        survives(&[PODS, STATES], |text| {
            observed(&kubernetes, &[text.to_owned()]);
        });
        survives(
            &[
                "apiVersion: v1\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: c, namespace: n}}]\nclusters: [{name: c, cluster: {server: 'https://x'}}]\n",
            ],
            |text| drop(kubeconfig::context(&[text.to_owned()], None)),
        );
        survives(&["1500m", "2Gi", "1e3", "0.5", "1e2147483647"], |text| {
            let _ = Quantity::parse(text);
        });
        survives(
            &[
                r#"{"metadata":{"name":"rscale-lock-shop","resourceVersion":"4"},"spec":{"holderIdentity":"r"}}"#,
            ],
            |text| drop(kubernetes.claims("shop").parse_look(text)),
        );
    }

    #[test]
    fn fuzzing_what_is_typed() {
        survives(&["web=3 worker=+2 db=-1", "web=4294967296", "=3"], |text| {
            let words: Vec<&str> = text.split(' ').collect();
            let _ = Targets::parse(&words, false);
        });
        survives(&["1m30s", "1.5h", "90", "500ms", "1d"], |text| {
            if let Ok(duration) = crate::duration::parse(text) {
                let shown = crate::duration::show(duration);
                assert!(!shown.is_empty());
            }
        });
        survives(
            &["redis://:pw@redis:6379/0?a=b", "amqps://u:p@[::1]:5671//"],
            |text| {
                drop(Address::parse(text));
            },
        );
        survives(&["worker=1..6", "worker=1,2,4,8", "a=1..3"], |text| {
            for mode in [
                crate::load::sweep::SweepMode::Step,
                crate::load::sweep::SweepMode::Crossed,
            ] {
                if let Ok(points) = crate::load::sweep::parse(&[text], mode) {
                    assert!(!points.is_empty());
                }
            }
        });
        survives(&["throughput<5", "p95>500ms", "add.failed>0"], |text| {
            drop(text.parse::<crate::load::threshold::Threshold>());
        });
    }

    #[test]
    fn fuzzing_what_earlier_runs_wrote() {
        let entries = concat!(
            r#"{"run":"a","at":"2026-11-29T00:00:00Z","what":"began","by":{"pid":1,"user":"u","command":"rscale web=3","since":0},"#,
            r#""services":{"web":{"from":1,"to":3,"replicas":[{"id":"1","name":"w-1","running":true}]}}}"#,
            "\n",
            r#"{"run":"a","at":"2026-11-29T00:00:00Z","what":"did","deed":{"drained":[{"id":"1","name":"w-1","service":"web","config_hash":"","image_id":""}]}}"#,
            "\n",
            r#"{"run":"a","at":"2026-11-29T00:00:01Z","what":"ended","outcome":"scaled","counts":{"web":3}}"#,
        );
        let project = Project::new(declared(), Observed::default());
        survives(&[entries], |text| {
            let entries: Vec<_> = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            let past = Past::of(&entries);
            for leftover in crate::memory::leftovers(&past, &project) {
                assert!(!leftover.to_string().is_empty() && !leftover.way_out().is_empty());
            }
        });
        survives(
            &[r#"{"pid":1,"user":"u","command":"rscale web=3","since":0}"#],
            |text| {
                let shown = Holder::read(text).to_string();
                assert!(
                    !shown.contains(char::is_control) && shown.len() < 3000,
                    "{shown:?}"
                );
            },
        );
        survives(&[r#"{"schema":1,"project":"shop","tasks":[]}"#], |text| {
            drop(load_compare::read(text, "saved.json"));
        });
    }
}
