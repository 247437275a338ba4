//! Engines that keep counts, on a simulated swarm and tokio's paused clock: what was told is verified, a failure
//! is told back, and what somebody else set meanwhile is left alone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use crate::apply::{ApplyOptions, Event};
use crate::engine::swarm::Swarm;
use crate::exec::CommandSpec;
use crate::exec::endpoint::Endpoint;
use crate::exec::recording::RecordingExecutor;
use crate::gather::Reach;
use crate::pipeline::scaling::{Scaled, Scaling, scale};
use crate::pipeline::selection::Asked;
use crate::pipeline::surroundings::HostFacts;
use crate::plan::PlanOptions;
use crate::project::target::Targets;
use crate::report::json;
use tokio::time::Instant;

/// How long a task takes to run, and one that is told to go to end.
const START: Duration = Duration::from_millis(400);
const END: Duration = Duration::from_millis(700);
/// Between a failed task and the next one in its slot.
const RESTART: Duration = Duration::from_millis(500);

/// What becomes of the new tasks of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Runs,
    Crashes,
    /// No node has room for it.
    Pends,
    /// It does not end when it is told to.
    Stays,
}

#[derive(Debug)]
struct Task {
    id: u32,
    service: String,
    slot: u32,
    born: Instant,
    told_to_go: Option<Instant>,
    failed: bool,
}

#[derive(Debug, Default)]
struct SimulatedSwarm {
    counts: BTreeMap<String, u32>,
    fates: BTreeMap<String, Fate>,
    tasks: Vec<Task>,
    last_id: u32,
    /// Somebody else sets this count once rscale has told its own.
    intruder: Option<(String, u32)>,
    /// Somebody else sets this count once rscale has looked.
    quicker: Option<(String, u32)>,
    log: String,
}

impl SimulatedSwarm {
    fn task(&mut self, service: &str, slot: u32, born: Instant) {
        self.last_id += 1;
        self.tasks.push(Task {
            id: self.last_id,
            service: service.to_owned(),
            slot,
            born,
            told_to_go: None,
            failed: false,
        });
    }

    fn fate(&self, service: &str) -> Fate {
        self.fates.get(service).copied().unwrap_or(Fate::Runs)
    }

    fn set(&mut self, service: &str, count: u32) {
        let now = Instant::now();
        self.counts.insert(service.to_owned(), count);
        for slot in 1..=count {
            let mut tasks = self.tasks.iter();
            let there = tasks
                .any(|one| one.service == service && one.slot == slot && one.told_to_go.is_none());
            if !there {
                self.task(service, slot, now);
            }
        }
        for task in &mut self.tasks {
            if task.service == service && task.slot > count && task.told_to_go.is_none() {
                task.told_to_go = Some(now);
            }
        }
    }

    /// Time passes: tasks crash and are replaced, those that were told to go end.
    fn go_on(&mut self) {
        let now = Instant::now();
        let fates = self.fates.clone();
        let fate = |service: &str| fates.get(service).copied().unwrap_or(Fate::Runs);
        self.tasks.retain(|task| {
            let ended = task.told_to_go.is_some_and(|at| now >= at + END);
            !ended || task.failed || fate(&task.service) == Fate::Stays
        });
        let mut reborn = Vec::new();
        for task in &mut self.tasks {
            let crashes = fate(&task.service) == Fate::Crashes && now >= task.born + START;
            if crashes && !task.failed {
                task.failed = true;
                if task.told_to_go.is_none() {
                    reborn.push((task.service.clone(), task.slot));
                }
                task.told_to_go = Some(now);
            }
        }
        for (service, slot) in reborn {
            self.task(&service, slot, now + RESTART);
        }
    }

    fn tasks(&self) -> String {
        let now = Instant::now();
        let mut text = String::new();
        for task in &self.tasks {
            let fate = self.fate(&task.service);
            let (current, error) = if task.failed {
                ("Failed 1 second ago", "task: non-zero exit (3)")
            } else if fate == Fate::Pends {
                (
                    "Pending 1 second ago",
                    "no suitable node (insufficient memory on 2 nodes)",
                )
            } else if now < task.born + START {
                ("Preparing 1 second ago", "")
            } else {
                ("Running 1 second ago", "")
            };
            let desired = if task.told_to_go.is_some() {
                "Shutdown"
            } else {
                "Running"
            };
            let _ = writeln!(
                text,
                r#"{{"CurrentState":"{current}","DesiredState":"{desired}","Error":"{error}","ID":"t{}","Image":"app","Name":"shop_{}.{}","Node":"node1","Ports":""}}"#,
                task.id, task.service, task.slot
            );
        }
        text
    }

    fn answer(&mut self, spec: &CommandSpec) -> String {
        self.go_on();
        let line = spec.to_string();
        if let Some(targets) = line.strip_prefix("docker service scale --detach ") {
            for target in targets.split(' ') {
                let (name, count) = target.split_once('=').unwrap();
                let service = name.strip_prefix("shop_").unwrap();
                self.set(service, count.parse().unwrap());
            }
            if let Some((service, count)) = self.intruder.take() {
                self.set(&service, count);
            }
            String::new()
        } else if line.starts_with("docker service ls ") {
            let listed = self.counts.iter().fold(String::new(), |mut text, (name, count)| {
                let _ = writeln!(
                    text,
                    r#"{{"ID":"s","Image":"app","Mode":"replicated","Name":"shop_{name}","Ports":"","Replicas":"0/{count}"}}"#
                );
                text
            });
            if let Some((service, count)) = self.quicker.take() {
                self.set(&service, count);
            }
            listed
        } else if line.starts_with("docker stack ps ") {
            self.tasks()
        } else if line.starts_with("docker node ls ") {
            r#"{"Availability":"Active","EngineVersion":"20.10","Hostname":"node1","ID":"n1","ManagerStatus":"Leader","Self":true,"Status":"Ready","TLSStatus":"Ready"}"#.to_owned()
        } else if line.starts_with("docker service logs ") {
            self.log.clone()
        } else if line.contains(" inspect ") {
            "[]".to_owned()
        } else {
            String::new()
        }
    }
}

struct Stage {
    swarm: Rc<RefCell<SimulatedSwarm>>,
    executor: RecordingExecutor,
}

struct Story {
    scaled: Scaled,
    told: Vec<String>,
    notes: Vec<String>,
    counts: String,
    took: Duration,
}

impl Stage {
    /// Services with replicas that have been running for long.
    fn new(services: &[(&str, u32)]) -> Self {
        let swarm = Rc::new(RefCell::new(SimulatedSwarm::default()));
        for (service, count) in services {
            swarm.borrow_mut().set(service, *count);
        }
        let answering = Rc::clone(&swarm);
        Self {
            swarm,
            executor: RecordingExecutor::printing(move |spec| answering.borrow_mut().answer(spec)),
        }
    }

    fn fate(self, service: &str, fate: Fate) -> Self {
        self.swarm
            .borrow_mut()
            .fates
            .insert(service.to_owned(), fate);
        self
    }

    fn quicker(self, service: &str, count: u32) -> Self {
        self.swarm.borrow_mut().quicker = Some((service.to_owned(), count));
        self
    }

    fn intruder(self, service: &str, count: u32) -> Self {
        self.swarm.borrow_mut().intruder = Some((service.to_owned(), count));
        self
    }

    async fn asks(&self, targets: &[&str], verify: bool) -> Story {
        let locks = tempfile::tempdir().unwrap();
        let scaling = Scaling {
            asked: Asked::Named(Targets::parse(targets, false).unwrap()),
            dry_run: false,
            force: false,
            current_replicas: None,
            lock_timeout: Duration::ZERO,
            within: None,
            plan: PlanOptions {
                verify,
                ..PlanOptions::default()
            },
            apply: ApplyOptions {
                wait_timeout: Some(Duration::from_secs(30)),
                stable: Some(Duration::from_secs(1)),
                keep: false,
                stop_timeout: None,
                force: false,
            },
        };
        let host = HostFacts {
            likely_name: "shop".into(),
            lock_folder: locks.path().to_owned(),
            ..HostFacts::default()
        };
        let swarm = Swarm::default();
        let endpoint = Endpoint {
            address: "unix:///simulation".into(),
            stamp: None,
        };
        let reach = Reach {
            engine: &swarm,
            executor: &self.executor,
            endpoint: &endpoint,
        };
        let notes = RefCell::new(Vec::new());
        let emit = |event: Event| {
            if let Event::Note(note) = event {
                notes.borrow_mut().push(note);
            }
        };
        // What was there before has run for long.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let began = Instant::now();
        let scaled = scale(reach, &scaling, &host, &emit, &|_| ()).await.unwrap();
        let lines = self.executor.lines().into_iter();
        let told = lines.filter(|line| line.contains(" scale "));
        let counts = self.swarm.borrow().counts.clone();
        Story {
            scaled,
            told: told
                .map(|line| line.replace("docker service scale --detach ", ""))
                .collect(),
            notes: notes.into_inner(),
            counts: format!("{counts:?}"),
            took: began.elapsed(),
        }
    }
}

impl Story {
    fn document(&self) -> json::Scale {
        json::Scale::of(&self.scaled, "swarm")
    }

    fn outcome(&self) -> (String, u8) {
        (self.scaled.outcome().to_string(), self.scaled.exit().code())
    }

    fn error(&self) -> String {
        self.scaled.why().unwrap_or_default().to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn what_grows_is_told_and_verified_before_what_shrinks() {
    let story = Stage::new(&[("web", 1), ("worker", 3)])
        .asks(&["web=3", "worker=1"], true)
        .await;
    assert_eq!(
        story.outcome(),
        ("scaled".to_owned(), 0),
        "{}",
        story.error()
    );
    assert_eq!(story.told, ["shop_web=3", "shop_worker=1"]);
    let least = START + Duration::from_secs(1) + END;
    assert!(story.took >= least, "{:?} is too short", story.took);
    let services = &story.document().services;
    let said: Vec<_> = services
        .iter()
        .map(|one| {
            let count = |names: &Option<Vec<String>>| names.as_ref().unwrap().len();
            (
                one.running.unwrap(),
                count(&one.created),
                count(&one.removed),
            )
        })
        .collect();
    assert_eq!(said, [(3, 2, 0), (1, 0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn new_replicas_that_crash_again_and_again_are_told_back_with_their_log() {
    let stage = Stage::new(&[("web", 2), ("other", 2)]);
    stage.swarm.borrow_mut().log = "boom\n".into();
    // Those that run already go on.
    let story = {
        let stage = stage;
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.swarm.borrow_mut().counts.insert("new".into(), 0);
        stage
            .fate("new", Fate::Crashes)
            .asks(&["new=2"], true)
            .await
    };
    assert_eq!(story.outcome(), ("rolled_back".to_owned(), 1));
    assert_eq!(story.told, ["shop_new=2", "shop_new=0"]);
    assert!(
        story.error().contains("non-zero exit (3)"),
        "{}",
        story.error()
    );
    let failure = story.scaled.failure().unwrap();
    assert_eq!(failure.logs[0].1, "boom");
    assert!(story.took < Duration::from_secs(10), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn what_no_node_has_room_for_is_told_back_after_the_wait_timeout() {
    let stage = Stage::new(&[("web", 1), ("big", 0)]).fate("big", Fate::Pends);
    let story = stage.asks(&["big=2"], true).await;
    assert_eq!(story.outcome(), ("rolled_back".to_owned(), 1));
    assert!(
        story.error().contains("insufficient memory on 2 nodes") && story.error().contains("30s"),
        "{}",
        story.error()
    );
    assert_eq!(story.counts, r#"{"big": 0, "web": 1}"#);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_somebody_else_set_meanwhile_is_reported_and_left_alone() {
    let stage = Stage::new(&[("web", 1), ("worker", 1)]).intruder("web", 5);
    let story = stage.asks(&["web=3", "worker=2"], true).await;
    assert_eq!(story.scaled.exit().code(), 1);
    assert!(
        story.error().contains("`web`") && story.error().contains('5'),
        "{}",
        story.error()
    );
    // Only what this run told goes back.
    assert_eq!(story.counts, r#"{"web": 5, "worker": 1}"#);
}

/// The engine does not look what its count was: what somebody set a moment ago was overwritten.
#[tokio::test(start_paused = true)]
async fn a_count_that_somebody_else_set_just_before_is_not_overwritten() {
    let stage = Stage::new(&[("web", 1), ("worker", 1)]).quicker("web", 5);
    let story = stage.asks(&["web=3"], true).await;
    assert_eq!(story.scaled.exit().code(), 1);
    assert!(
        story.error().contains("`web`") && story.error().contains('5'),
        "{}",
        story.error()
    );
    assert_eq!(story.told, [""; 0]);
    assert_eq!(story.counts, r#"{"web": 5, "worker": 1}"#);
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_while_replicas_come_up_tells_the_former_counts() {
    let stage = Stage::new(&[("web", 2)]);
    stage.executor.interrupt_at("service scale");
    let story = stage.asks(&["web=6"], true).await;
    assert_eq!(story.outcome(), ("interrupted".to_owned(), 130));
    assert_eq!(story.told, ["shop_web=6", "shop_web=2"]);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_do_not_end_are_told_of_and_no_failure() {
    let stage = Stage::new(&[("web", 3)]).fate("web", Fate::Stays);
    let story = stage.asks(&["web=1"], true).await;
    assert_eq!(
        story.outcome(),
        ("scaled".to_owned(), 0),
        "{}",
        story.error()
    );
    let note = story.notes.iter().find(|note| note.contains("not ended"));
    assert!(
        note.is_some_and(|note| note.contains("shop_web.2")),
        "{:?}",
        story.notes
    );
}

#[tokio::test(start_paused = true)]
async fn without_waiting_nothing_is_verified() {
    let stage = Stage::new(&[("web", 1)]).fate("web", Fate::Pends);
    let story = stage.asks(&["web=4"], false).await;
    assert_eq!(story.outcome(), ("scaled".to_owned(), 0));
    assert!(story.took < Duration::from_millis(50), "{:?}", story.took);
}

#[tokio::test(start_paused = true)]
async fn what_kept_failing_before_is_no_failure_of_this_scale() {
    let stage = Stage::new(&[("web", 1), ("sick", 1)]).fate("sick", Fate::Crashes);
    let story = stage.asks(&["web=2"], true).await;
    assert_eq!(
        story.outcome(),
        ("scaled".to_owned(), 0),
        "{}",
        story.error()
    );
}

#[tokio::test(start_paused = true)]
async fn failures_of_an_earlier_run_are_not_counted_again() {
    let stage = Stage::new(&[("new", 0)]).fate("new", Fate::Crashes);
    stage.swarm.borrow_mut().log = "boom\n".into();
    for run in 1..=2 {
        let story = stage.asks(&["new=1"], true).await;
        assert_eq!(story.outcome(), ("rolled_back".to_owned(), 1), "run {run}");
        // Not that it restarted so often already: this run's own failure, whose log there is.
        let why = story.error();
        assert!(why.contains("non-zero exit (3)"), "run {run}: {why}");
    }
}
