//! A scenario: a simulated project, what is asked, and afterwards what was done and what is there.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::apply::{ApplyOptions, Event};
use crate::engine::compose::{Compose, Generation};
use crate::error::Error;
use crate::exec::endpoint::Endpoint;
use crate::exec::recording::{Moment, RecordingExecutor};
use crate::gather::Reach;
use crate::lock::{Attempt, Holder, ProjectLock, attempt, path_of};
use crate::memory::Store;
use crate::pipeline::scaling::{Scaled, Scaling, scale};
use crate::pipeline::selection::Asked;
use crate::pipeline::surroundings::HostFacts;
use crate::plan::PlanOptions;
use crate::project::target::Targets;
use crate::report::json;
use tempfile::TempDir;

use super::container::{Container, running};
use super::simulation::{Fate, Fault, Other, Simulation, Trouble};

/// The simulated engine's id.
pub const ENGINE: &str = "simulation";

pub struct Scenario {
    simulation: Rc<RefCell<Simulation>>,
    executor: RecordingExecutor,
    scaling: Scaling,
    locks: TempDir,
    /// Where it is remembered what runs do.
    state: TempDir,
}

/// How it went.
pub struct Story {
    /// `None` where it came to no result; then there is an error, unless it was killed.
    pub scaled: Option<Scaled>,
    pub error: Option<Error>,
    /// Every command that changed something, and between them `verify` with the replicas looked at.
    pub did: Vec<String>,
    pub notes: Vec<String>,
    pub events: Vec<Event>,
    pub before: Vec<Container>,
    pub after: Vec<Container>,
    pub took: Duration,
}

impl Scenario {
    pub fn new(services: &str) -> Self {
        let simulation = Rc::new(RefCell::new(Simulation::new(services)));
        let engine = Rc::clone(&simulation);
        Self {
            simulation,
            executor: RecordingExecutor::new(move |spec| engine.borrow_mut().answer(spec)),
            scaling: Scaling {
                asked: Asked::Named(Targets::default()),
                dry_run: false,
                force: false,
                current_replicas: None,
                lock_timeout: Duration::ZERO,
                within: None,
                plan: PlanOptions {
                    verify: true,
                    ..PlanOptions::default()
                },
                apply: ApplyOptions {
                    wait_timeout: Some(Duration::from_secs(120)),
                    stable: Some(Duration::from_secs(1)),
                    keep: false,
                    stop_timeout: None,
                    force: false,
                },
            },
            locks: TempDir::new().unwrap(),
            state: TempDir::new().unwrap(),
        }
    }

    /// Running replicas that are there from the start.
    pub fn running(self, service: &str, count: u32) -> Self {
        running(service, count)
            .into_iter()
            .fold(self, Self::container)
    }

    pub fn container(self, container: Container) -> Self {
        self.simulation.borrow_mut().add(container);
        self
    }

    pub fn fate(self, name: &str, fate: Fate) -> Self {
        self.simulation.borrow_mut().fate(name, fate);
        self
    }

    pub fn fault(self, fault: Fault) -> Self {
        self.simulation.borrow_mut().fault(fault);
        self
    }

    pub fn hash(self, service: &str, hash: &str) -> Self {
        self.simulation.borrow_mut().hash(service, hash);
        self
    }

    /// Has a command of the next run go wrong, the one at this place.
    pub fn trouble(&self, at: usize, trouble: Trouble) {
        self.simulation.borrow_mut().trouble(at, trouble);
    }

    /// Has something come at a command of the next run.
    pub fn comes_at(&self, at: usize, moment: Moment) {
        self.executor.comes_at(at, moment);
    }

    /// Has somebody else do something before a command of the next run.
    pub fn other(&self, at: usize, other: Other) {
        self.simulation.borrow_mut().other(at, other);
    }

    /// What was done to containers of others.
    pub fn harm(&self) -> Vec<String> {
        self.simulation.borrow().harm()
    }

    /// Containers that run and take no more work, by name.
    pub fn drained(&self) -> Vec<String> {
        self.simulation.borrow().drained()
    }

    /// How many commands there were.
    pub fn asked(&self) -> usize {
        self.simulation.borrow().asked()
    }

    pub fn log(self, name: &str, text: &str) -> Self {
        self.simulation.borrow_mut().log(name, text);
        self
    }

    /// What is asked: `web=3 worker=-1`.
    pub fn asks(mut self, targets: &str) -> Self {
        let targets: Vec<&str> = targets.split(' ').collect();
        self.scaling.asked = Asked::Named(Targets::parse(&targets, false).unwrap());
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Scaling)) -> Self {
        change(&mut self.scaling);
        self
    }

    pub fn interrupted_at(self, needle: &'static str) -> Self {
        self.executor.interrupt_at(needle);
        self
    }

    /// Another run on the project, for as long as what this gives lives.
    pub fn other_run(&self) -> ProjectLock {
        let path = path_of(self.locks.path(), "shop", ENGINE);
        let holder = Holder {
            pid: 4711,
            user: "alice".into(),
            command: "rscale web=9".into(),
            since: 0,
            ..Holder::default()
        };
        match attempt(&path, &holder) {
            Ok(Attempt::Taken(lock)) => lock,
            other => panic!("nobody holds it yet: {other:?}"),
        }
    }

    /// Goes through the stages once; may be called again for what follows.
    pub async fn run(&self) -> Story {
        let engine = Compose {
            command: vec!["docker".into(), "compose".into()],
            generation: Generation::V2,
            project_options: Vec::new(),
        };
        let host = HostFacts {
            likely_name: "shop".into(),
            lock_folder: self.locks.path().to_owned(),
            store: Some(Store::at(self.state.path())),
            ..HostFacts::default()
        };
        let (notes, events) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let note = |text: &str| notes.borrow_mut().push(text.to_owned());
        let emit = |event: Event| events.borrow_mut().push(event);
        let before = self.simulation.borrow_mut().containers();
        let earlier = self.executor.lines().len();
        let began = tokio::time::Instant::now();
        let endpoint = Endpoint {
            address: "unix:///simulation".into(),
            stamp: None,
        };
        let reach = Reach {
            engine: &engine,
            executor: &self.executor,
            endpoint: &endpoint,
        };
        let outcome = tokio::select! {
            outcome = scale(reach, &self.scaling, &host, &emit, &note) => Some(outcome),
            () = self.executor.killed() => None,
        };
        self.executor.forget_interruptions();
        let took = began.elapsed();
        let after = self.simulation.borrow_mut().containers();
        let (scaled, error) = match outcome {
            Some(Ok(scaled)) => (Some(scaled), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        Story {
            scaled,
            error,
            did: did(&self.executor.lines()[earlier..]),
            notes: notes.into_inner(),
            events: events.into_inner(),
            before,
            after,
            took,
        }
    }
}

impl Story {
    pub fn scaled(&self) -> &Scaled {
        self.scaled
            .as_ref()
            .unwrap_or_else(|| panic!("it came to no result: {:?}", self.error))
    }

    /// What is printed of it.
    pub fn document(&self) -> json::Scale {
        json::Scale::of(self.scaled(), "compose")
    }

    /// The changing commands alone.
    pub fn changes(&self) -> Vec<&str> {
        self.did
            .iter()
            .map(String::as_str)
            .filter(|line| line.starts_with("docker "))
            .collect()
    }

    /// Each service's containers: `web: 1 running, 2 exited`.
    pub fn there(&self) -> String {
        there(&self.after)
    }

    /// What was done, how it ended, what is there: for snapshots.
    pub fn told(&self) -> String {
        let (document, exit) = (self.document(), self.scaled().exit());
        let mut lines = self.did.clone();
        lines.push(format!("= {}, exit {}", document.outcome, exit.code()));
        lines.extend(document.error.iter().map(|error| format!("! {error}")));
        lines.push(self.there());
        lines.join("\n")
    }

    /// The containers of a service kept their ids, and it has no others.
    #[track_caller]
    pub fn keeps(&self, service: &str) {
        let of_service = self.after.iter().filter(|one| one.service == service);
        self.keeps_first(service, of_service.count());
    }

    /// The containers that a service had are its first ones now.
    #[track_caller]
    pub fn keeps_first(&self, service: &str, count: usize) {
        let ids = |containers: &[Container]| -> Vec<String> {
            containers
                .iter()
                .filter(|one| one.service == service)
                .map(|one| one.id.clone())
                .collect()
        };
        let (before, after) = (ids(&self.before), ids(&self.after));
        assert!(!before.is_empty(), "`{service}` has nothing to keep");
        assert_eq!(
            after[..count],
            before,
            "`{service}` did not keep its containers"
        );
    }
}

pub fn there(containers: &[Container]) -> String {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for container in containers {
        let state = match container.health.as_str() {
            "" => container.state.clone(),
            health => format!("{} {health}", container.state),
        };
        let what = format!("{} {state}", container.number);
        match lines
            .iter_mut()
            .find(|(service, _)| *service == container.service)
        {
            Some((_, states)) => states.push(what),
            None => lines.push((container.service.clone(), vec![what])),
        }
    }
    let shown =
        |(service, states): &(String, Vec<String>)| service.clone() + ": " + &states.join(", ");
    lines.iter().map(|line| shown(line) + "\n").collect()
}

/// Keeps what changes something; of the looks at replicas one line for each time that they are verified.
fn did(lines: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for line in lines {
        let reads = [
            "docker ps ",
            "docker info ",
            "docker image ",
            "docker logs ",
        ];
        if reads.iter().any(|start| line.starts_with(start)) || line.contains(" config") {
            continue;
        }
        let line = match line.strip_prefix("docker inspect ") {
            Some(rest) => {
                let names: Vec<&str> = rest.split(' ').filter_map(replica_of).collect();
                format!("verify {}", names.join(" "))
            }
            None => line.clone(),
        };
        if kept.last() != Some(&line) {
            kept.push(line);
        }
    }
    kept
}

/// The replica that an id of the simulation belongs to: `shop-web-2-made-7` -> `web-2`.
fn replica_of(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("shop-")?;
    let (name, _) = rest
        .rsplit_once("-first")
        .or_else(|| rest.rsplit_once("-made-"))?;
    Some(name)
}
