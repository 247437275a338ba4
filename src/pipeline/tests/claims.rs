//! Claims on the engine: taken, waited for, taken over, released; on an engine of volumes and on one of leases.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::compose::{Compose, Generation};
use crate::engine::kubernetes::Kubernetes;
use crate::error::{Error, Kind};
use crate::exec::endpoint::Endpoint;
use crate::exec::recording::RecordingExecutor;
use crate::exec::{CommandError, CommandOutput, CommandSpec};
use crate::gather::Reach;
use crate::lock::Holder;
use crate::pipeline::claiming::{HeldClaim, claim};

type Answer = Result<CommandOutput, CommandError>;

/// An engine that keeps claims, whatever they are made of.
#[derive(Default)]
struct Keeper {
    /// Labels of volumes, by name.
    volumes: BTreeMap<String, BTreeMap<String, String>>,
    lease: Option<serde_json::Value>,
    version: u64,
    /// What it says to everything.
    refuses: Option<&'static str>,
}

#[expect(clippy::unnecessary_wraps)]
fn done(text: impl Into<String>) -> Answer {
    Ok(CommandOutput {
        stdout: text.into(),
        stderr: String::new(),
    })
}

fn failed(stdout: String, stderr: impl Into<String>) -> Answer {
    Err(CommandError::Failed {
        command: "it".into(),
        status: "exit status: 1".into(),
        stdout,
        stderr: stderr.into(),
    })
}

impl Keeper {
    fn answer(&mut self, spec: &CommandSpec) -> Answer {
        if let Some(why) = self.refuses {
            return failed(String::new(), why);
        }
        let words = spec.args.iter().map(|word| word.to_str().unwrap());
        let words: Vec<&str> = words.collect();
        match words.as_slice() {
            ["volume", "create", rest @ ..] => {
                let name = rest.last().unwrap().to_string();
                let pairs = rest.iter().filter_map(|word| word.split_once('='));
                let labels = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
                self.volumes.entry(name).or_insert(labels.collect());
                done("")
            }
            ["volume", "inspect", "--format", _, names @ ..] => {
                let found = names.iter().filter_map(|name| {
                    let labels = self.volumes.get(*name)?;
                    Some(serde_json::json!({"Name": name, "Labels": labels}).to_string() + "\n")
                });
                let (found, all) = (found.collect::<String>(), names.len());
                if found.lines().count() == all {
                    done(found)
                } else {
                    failed(found, "Error response from daemon: get x: no such volume")
                }
            }
            ["volume", "rm", names @ ..] => {
                for name in names {
                    self.volumes.remove(*name);
                }
                done("")
            }
            [verb @ ("create" | "replace"), "--filename", "-"] => self.write(verb, spec),
            ["get", "lease", ..] => match &self.lease {
                Some(lease) => done(lease.to_string()),
                None => failed(
                    String::new(),
                    "Error from server (NotFound): leases not found",
                ),
            },
            ["patch", "lease", .., patch] => {
                let patch: serde_json::Value = serde_json::from_str(patch).unwrap();
                let Some(lease) = &mut self.lease else {
                    return failed(String::new(), "Error from server (NotFound): leases");
                };
                if lease["spec"]["holderIdentity"] != patch[0]["value"] {
                    return failed(
                        String::new(),
                        "The request is invalid: testing value failed",
                    );
                }
                self.version += 1;
                lease["metadata"]["resourceVersion"] = self.version.to_string().into();
                done("")
            }
            ["delete", "lease", ..] => {
                self.lease = None;
                done("")
            }
            other => panic!("the keeper does not know {other:?}"),
        }
    }

    fn write(&mut self, verb: &str, spec: &CommandSpec) -> Answer {
        let text = spec.stdin.clone().unwrap().0;
        let mut lease: serde_json::Value = serde_json::from_str(&text).unwrap();
        match &self.lease {
            Some(_) if verb == "create" => {
                return failed(String::new(), "Error from server (AlreadyExists): leases");
            }
            Some(old)
                if old["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] =>
            {
                return failed(
                    String::new(),
                    "Error from server (Conflict): the object has been modified",
                );
            }
            _ => {}
        }
        self.version += 1;
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.lease = Some(lease);
        done("")
    }

    fn is_free(&self) -> bool {
        self.volumes.is_empty() && self.lease.is_none()
    }
}

/// A machine that reaches it.
struct Machine {
    engine: Box<dyn Engine>,
    executor: RecordingExecutor,
    endpoint: Endpoint,
    notes: RefCell<Vec<String>>,
}

impl Machine {
    fn new(engine: &str, keeper: &Rc<RefCell<Keeper>>) -> Self {
        let keeper = Rc::clone(keeper);
        let engine: Box<dyn Engine> = match engine {
            "kubernetes" => Box::new(Kubernetes::default()),
            _ => Box::new(Compose {
                command: vec!["docker".into(), "compose".into()],
                generation: Generation::V2,
                project_options: Vec::new(),
            }),
        };
        Self {
            engine,
            executor: RecordingExecutor::new(move |spec| keeper.borrow_mut().answer(spec)),
            endpoint: Endpoint {
                address: "ssh://host".into(),
                stamp: None,
            },
            notes: RefCell::default(),
        }
    }

    async fn claim(&self, holder: Holder, timeout: u64) -> Result<Option<HeldClaim<'_>>, Error> {
        let reach = Reach {
            engine: &*self.engine,
            executor: &self.executor,
            endpoint: &self.endpoint,
        };
        let note = |text: &str| self.notes.borrow_mut().push(text.to_owned());
        claim(reach, "shop", holder, Duration::from_secs(timeout), &note).await
    }
}

fn on(host: &str) -> Holder {
    Holder {
        pid: 7,
        user: "alice".into(),
        host: host.into(),
        command: "rscale web=9".into(),
        since: 0,
    }
}

const ENGINES: [&str; 2] = ["compose", "kubernetes"];

#[tokio::test(start_paused = true)]
async fn a_claim_is_taken_and_nothing_is_left_of_it() {
    for engine in ENGINES {
        let keeper = Rc::default();
        let machine = Machine::new(engine, &keeper);
        let held = machine.claim(on("a"), 0).await.unwrap().unwrap();
        assert!(!keeper.borrow().is_free());
        held.release().await;
        assert!(keeper.borrow().is_free(), "{engine}");
        assert!(machine.notes.borrow().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_run_lives_others_wait_for_it_as_long_as_they_are_told_to() {
    for engine in ENGINES {
        let keeper = Rc::default();
        let (a, b) = (Machine::new(engine, &keeper), Machine::new(engine, &keeper));
        let held = a.claim(on("a"), 0).await.unwrap().unwrap();
        let refused = tokio::select! {
            never = held.keep() => match never {},
            tried = b.claim(on("b"), 300) => tried.unwrap_err(),
        };
        assert_eq!(refused.kind, Kind::Busy, "{engine}");
        assert_eq!(
            refused.message,
            "`rscale web=9` (pid 7, alice) on a still scales project `shop` after 5m"
        );
        let by_hand = refused.hints.last().unwrap();
        assert!(by_hand.contains("rscale-lock-shop"), "{by_hand}");
        held.release().await;
        b.claim(on("b"), 0).await.unwrap().unwrap();
        assert_eq!(
            *b.notes.borrow(),
            ["waiting for `rscale web=9` (pid 7, alice) on a, which scales project `shop`"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_left_stands_for_forty_seconds() {
    for engine in ENGINES {
        let keeper = Rc::default();
        let (a, b) = (Machine::new(engine, &keeper), Machine::new(engine, &keeper));
        drop(a.claim(on("a"), 0).await.unwrap());
        let began = tokio::time::Instant::now();
        b.claim(on("b"), 60).await.unwrap().unwrap();
        let took = began.elapsed().as_secs();
        assert!((40..45).contains(&took), "{engine}: {took}");
        assert!(
            b.notes.borrow()[1]
                .ends_with("has ended without letting go of project `shop`: taking over")
        );
    }
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn of_a_run_that_was_killed_on_this_machine_it_is_known_at_once() {
    for engine in ENGINES {
        let keeper = Rc::default();
        let machine = Machine::new(engine, &keeper);
        let dead = Holder {
            pid: (1 << 22) + 1,
            ..Holder::this_run("rscale web=9".into())
        };
        drop(machine.claim(dead, 0).await.unwrap());
        let began = tokio::time::Instant::now();
        machine.claim(on("b"), 0).await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{engine}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_it_may_not_be_claimed_it_is_said_and_where_the_engine_is_away_it_is_an_error() {
    for (engine, why) in [
        (
            "compose",
            "Error response from daemon: <html>403 Forbidden</html>",
        ),
        (
            "kubernetes",
            "Error from server (Forbidden): leases.coordination.k8s.io is forbidden",
        ),
    ] {
        let keeper: Rc<RefCell<Keeper>> = Rc::default();
        keeper.borrow_mut().refuses = Some(why);
        let machine = Machine::new(engine, &keeper);
        assert!(machine.claim(on("a"), 0).await.unwrap().is_none());
        let notes = machine.notes.borrow();
        assert!(
            notes[0].starts_with("warning: runs on other machines are not kept"),
            "{notes:?}"
        );
    }
    let keeper: Rc<RefCell<Keeper>> = Rc::default();
    keeper.borrow_mut().refuses =
        Some("Cannot connect to the Docker daemon at ssh://host. Is the docker daemon running?");
    let error = Machine::new("compose", &keeper)
        .claim(on("a"), 0)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::EngineAway);
}

/// Several machines at once, each for a while: never two hold it.
#[tokio::test(start_paused = true)]
async fn never_two_machines_hold_it() {
    for engine in ENGINES {
        let keeper = Rc::default();
        let holders = std::cell::Cell::new(0);
        let run = |host: &'static str| {
            let (machine, holders) = (Machine::new(engine, &keeper), &holders);
            async move {
                for _ in 0..20 {
                    let held = machine.claim(on(host), 600).await.unwrap().unwrap();
                    assert_eq!(holders.replace(1), 0, "{engine}: {host}");
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    holders.set(0);
                    held.release().await;
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
            }
        };
        tokio::join!(run("a"), run("b"), run("c"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_of_this_machine_alone_is_not_asked() {
    let mut machine = Machine::new("compose", &Rc::default());
    machine.endpoint.address = "unix:///run/docker.sock".into();
    assert!(machine.claim(on("a"), 0).await.unwrap().is_none());
    assert!(machine.executor.lines().is_empty());
}

/// Two runs take over what a killed one left; the second removes by name what the first has just made.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn what_was_taken_over_is_looked_at_once_more() {
    let keeper: Rc<RefCell<Keeper>> = Rc::default();
    let (a, b) = (
        Machine::new("compose", &keeper),
        Machine::new("compose", &keeper),
    );
    let dead = Holder {
        pid: (1 << 22) + 1,
        ..Holder::this_run("rscale web=9".into())
    };
    drop(a.claim(dead, 0).await.unwrap());
    let other = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        keeper.borrow_mut().volumes.clear();
        let held = b.claim(on("b"), 0).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
        held.release().await;
    };
    let began = tokio::time::Instant::now();
    let (held, ()) = tokio::join!(a.claim(on("a"), 60), other);
    assert!(held.unwrap().is_some());
    assert!(
        began.elapsed() >= Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(
        a.notes
            .borrow()
            .iter()
            .any(|note| note.starts_with("waiting for"))
    );
}
