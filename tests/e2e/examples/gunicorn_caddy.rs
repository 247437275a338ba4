//! The example gunicorn-caddy, on a real engine: two projects on one network, of which the test's own
//! names and network keep it apart from anybody's copy that runs at the same time.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::engine::{Engine, Project, entry, free_ports};
use crate::support::http::{self, Load, assert_all_good, get, slowest_but_few};

/// A request that takes longer than any other on a quiet machine: one that waits for a replica that is gone.
const STALL: Duration = Duration::from_secs(1);

/// What both projects share, and `make network` creates; removed at the end, after a panic too.
struct Network(String);

impl Drop for Network {
    fn drop(&mut self) {
        // It fails when `make down` has done it.
        let _ = Command::new("docker")
            .args(["network", "rm", &self.0])
            .output();
    }
}

/// Both projects. The network is the last field: it goes when the containers are gone.
struct Stack {
    app: Project,
    infra: Project,
    /// The folder above both, with the Makefile; nothing runs under its own name.
    top: Project,
    port: u16,
    _network: Network,
}

impl Stack {
    fn up() -> Option<Self> {
        let app = Engine::example("gunicorn-caddy/app")?;
        let infra = Engine::example("gunicorn-caddy/infra")?;
        let top = Engine::example("gunicorn-caddy")?;
        top.unset("COMPOSE_PROJECT_NAME");
        let network = format!("{}-shared", infra.name());
        let port = free_ports(1);
        for project in [&app, &infra, &top] {
            project.set("SHARED_NETWORK", &network);
            project.set("INFRA_PROJECT", infra.name());
            project.set("APP_PROJECT", app.name());
            project.set("HTTP_PORT", &port.to_string());
        }
        let stack = Self {
            app,
            infra,
            top,
            port,
            _network: Network(network),
        };
        stack.top.make(&["up"]).succeeded();
        Some(stack)
    }

    /// The numbers of the backends that answer the next 60 requests, which all have to be good.
    #[track_caller]
    fn who_answers(&self) -> BTreeSet<u32> {
        let answers: Vec<_> = (0..60).map(|_| get(self.port, "/")).collect();
        assert_all_good(&answers);
        let ids = self.app.ids("backend");
        let number = |answer: &http::Answer| {
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            let replica = body["replica"].as_str().unwrap();
            let found = ids.iter().find(|(_, id)| id.starts_with(replica));
            *found
                .unwrap_or_else(|| panic!("{replica} is none of {ids:?}"))
                .0
        };
        answers.iter().map(number).collect()
    }

    /// The rules of the errors that a scale is refused for; nothing may have changed.
    #[track_caller]
    fn refused(&self, target: &str) -> Vec<String> {
        let before = self.app.all_ids();
        let document = self.app.json(&[target]).exited(3).document();
        assert_eq!(
            self.app.all_ids(),
            before,
            "a refused scale changed containers"
        );
        let findings = document["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["severity"] == "error")
            .map(|finding| finding["rule"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Where a replica of the backend listens.
    fn address(&self, number: u32) -> SocketAddr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let container = self.app.container("backend", number);
        let address = self
            .app
            .docker(&["inspect", "--format", format, &container]);
        (address.parse::<IpAddr>().unwrap(), 8000).into()
    }

    /// How many processes of a replica run this program: the master and its workers.
    fn processes(&self, service: &str, number: u32, program: &str) -> usize {
        let listing = self
            .app
            .docker(&["top", &self.app.container(service, number)]);
        listing
            .lines()
            .filter(|line| line.contains(program))
            .count()
    }
}

fn numbers<const N: usize>(numbers: [u32; N]) -> BTreeSet<u32> {
    BTreeSet::from(numbers)
}

#[test]
fn the_balancer_of_the_other_project_follows_and_no_request_is_lost() {
    let Some(stack) = Stack::up() else {
        return;
    };
    let Stack {
        app,
        infra,
        top,
        port,
        ..
    } = &stack;
    let balancer = infra.all_ids();

    top.make(&["scale"]).succeeded();
    app.wait_until("Caddy knows of every replica", || {
        stack.who_answers() == numbers([1, 2, 3])
    });
    let ran = super::load_test(top, &["Visit"]);
    for number in 1..=3 {
        assert!(
            ran.stdout.contains(&app.container("backend", number)),
            "{ran}"
        );
    }

    // What a drain does, in slow motion.
    let second = app.container("backend", 2);
    app.docker(&["exec", &second, "touch", "/tmp/draining"]);
    app.wait_until("Caddy leaves a replica that drains alone", || {
        stack.who_answers() == numbers([1, 3])
    });
    app.docker(&["exec", &second, "rm", "/tmp/draining"]);
    app.wait_until("Caddy takes it back", || stack.who_answers().len() == 3);

    // The same requests go to the replica that stays, past Caddy: they tell how slow this machine is meanwhile. One
    // replica that is gone would hold up a third of the requests.
    let rest = Duration::from_millis(20);
    let load = Load::start(*port, "/", 4, rest);
    let past_caddy = Load::start_at(stack.address(1), "/", 1, rest);
    thread::sleep(Duration::from_secs(1));
    let document = app.json(&["backend=1"]).succeeded().document();
    thread::sleep(Duration::from_secs(1));
    let (answers, past_caddy) = (load.stop(), past_caddy.stop());
    let commands = document["commands"].to_string();
    assert!(
        commands.contains("touch /tmp/draining") && commands.contains("caddy reload"),
        "{commands}"
    );
    assert_all_good(&answers);
    assert_all_good(&past_caddy);
    let (slow, usual) = (slowest_but_few(&answers), slowest_but_few(&past_caddy));
    assert!(
        slow < STALL.max(usual * 3),
        "a request was held up: {slow:?}, and {usual:?} past Caddy"
    );
    assert_eq!(stack.who_answers(), numbers([1]));

    app.rscale(&["backend=0"]).succeeded();
    assert_eq!(
        get(*port, "/").status,
        503,
        "without replicas Caddy has nobody to ask"
    );
    app.rscale(&["backend=2"]).succeeded();
    assert_eq!(stack.who_answers().len(), 2);

    // What refresh is for: without it, Caddy goes on with the list that it has.
    let before = stack.who_answers();
    let with_refresh = app.read("compose.yaml");
    let refresh = with_refresh
        .find("      # Caddy's list of upstreams")
        .unwrap();
    let end = refresh + with_refresh[refresh..].find("\n\n").unwrap();
    app.write(
        "compose.yaml",
        &[&with_refresh[..refresh], &with_refresh[end..]].concat(),
    );
    app.rscale(&["backend=3"]).succeeded();
    assert_eq!(
        stack.who_answers(),
        before,
        "Caddy has a replica that nobody told it of"
    );
    app.write("compose.yaml", &with_refresh);
    app.rscale(&["backend=4"]).succeeded();
    assert_eq!(
        stack.who_answers().len(),
        4,
        "a refresh gives the whole list, not what came last"
    );
    assert_eq!(
        infra.all_ids(),
        balancer,
        "the containers of the other project are not the ones that they were"
    );

    top.make(&["down"]).succeeded();
    assert_eq!((app.containers(), infra.containers()), (vec![], vec![]));
}

#[test]
fn replicas_of_another_size_replace_the_old_ones_within_the_memory_of_the_engine() {
    let Some(stack) = Stack::up() else {
        return;
    };
    let Stack { app, infra, .. } = &stack;

    assert_eq!(stack.refused("beat=2"), ["scheduler"]);
    let memory: u64 = app
        .docker(&["info", "--format", "{{.MemTotal}}"])
        .parse()
        .unwrap();
    app.set("BACKEND_MEMORY", &(memory / 3).to_string());
    assert_eq!(stack.refused("backend=3"), ["memory"]);
    app.unset("BACKEND_MEMORY");

    // Up by one of the new size, down by one of the old: the replica that runs is never changed.
    let old = app.ids("backend");
    app.set("GUNICORN_WORKERS", "2");
    app.set("BACKEND_MEMORY", "256m");
    app.rscale(&["backend=+1"]).succeeded();
    assert_eq!(app.ids("backend")[&1], old[&1]);
    assert_eq!(
        [1, 2].map(|number| stack.processes("backend", number, "gunicorn")),
        [1 + 4, 1 + 2]
    );
    let limit = [
        "inspect",
        "--format",
        "{{.HostConfig.Memory}}",
        &app.container("backend", 2),
    ];
    assert_eq!(app.docker(&limit), (256 << 20).to_string());
    app.rscale(&["backend=-1"]).succeeded();
    assert_eq!(app.numbers("backend"), [2], "the old one goes first");
    assert_eq!(stack.who_answers(), numbers([2]));

    app.set("CELERY_CONCURRENCY", "1");
    app.rscale(&["worker=+1"]).succeeded();
    assert_eq!(
        [1, 2].map(|number| stack.processes("worker", number, "celery")),
        [1 + 4, 1 + 1]
    );
    let document = app.json(&["worker=-1"]).succeeded().document();
    let commands = document["commands"].to_string();
    assert!(
        commands.contains("docker stop -t 1860"),
        "the grace of a worker is shorter than its longest task: {commands}"
    );
    assert_eq!(entry(&document["services"], "worker")["running"], 1);
    assert_eq!(app.numbers("worker"), [2]);
    app.assert_a_later_up_recreates_nothing();

    infra.compose(&["stop", "caddy"]);
    assert_eq!(stack.refused("backend=2"), ["refresh-target"]);
}
