//! An engine with Compose in front, simulated: keeps containers and does to them what the commands that
//! rscale issues would do (facts: docs/compose-semantics.md). Strict: a command that it does not know
//! panics, for the test would prove nothing.
//!
//! Time is tokio's, so that under a paused clock health and crashes come when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::exec::{CommandError, CommandOutput, CommandSpec};
use crate::project::declared::Declared;
use jiff::Timestamp;
use tokio::time::Instant;

use super::container::Container;

/// What becomes of a replica once it is started.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Exits with this code after a while.
    Exits(i32, Duration),
    /// `starting`, and healthy after a while.
    Healthy(Duration),
    /// `starting`, and unhealthy after a while.
    Unhealthy(Duration),
    /// Cannot be started; what the engine says.
    WillNotStart(&'static str),
}

/// How a command fails.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Part of the command's line.
    pub needle: &'static str,
    pub stderr: &'static str,
    pub effect: Effect,
}

/// What a failing command did all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// Nothing, and it says that all went well.
    SilentlyNothing,
    /// `up` created what it should and started none of it.
    CreatedOnly,
    /// What `up` was to create appears one by one, at such a distance, after it has failed.
    Late(Duration),
    /// The container that the command runs in ends and takes the command along; the engine says so after a while.
    EndsIt(Duration),
    Everything,
}

/// What goes wrong with one command, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is refused and does nothing.
    Refuses,
    /// It does nothing and does not end within its time.
    Hangs,
    /// It is killed when half of what it should do is done.
    DiesHalfway,
    /// It is killed when all is done, and has said nothing.
    DiesAtTheEnd,
    /// It does what it should and does not end within its time.
    AnswersLate,
    /// What it prints is no answer, and it does nothing.
    PrintsGarbage,
    /// The engine is away, from this command on, for so many seconds.
    EngineAway(u64),
}

/// What somebody else does to the project meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// One more replica of the service at this place is made and started.
    Makes(usize),
    /// A replica is replaced by another one of its name.
    Recreates(usize, usize),
    /// A replica is removed.
    Removes(usize, usize),
}

/// The file whose being there has a worker of these tests take no more work.
const DRAINED: &str = "/tmp/draining";

struct Simulated {
    container: Container,
    started: Option<Instant>,
}

pub struct Simulation {
    yaml: String,
    declared: Declared,
    containers: Vec<Simulated>,
    /// Those that appear later.
    late: Vec<(Instant, Container)>,
    /// When it will be said of which, by id, that they have ended.
    ending: Vec<(Instant, String)>,
    /// By container name.
    fates: BTreeMap<String, Fate>,
    faults: Vec<Fault>,
    hashes: BTreeMap<String, String>,
    logs: BTreeMap<String, String>,
    began: Instant,
    made: u32,
    /// Whether its containers were listed already.
    looked: bool,
    /// Ids of those that were told to take no more work.
    drained: BTreeSet<String>,
    /// Commands so far, and which of them goes wrong how.
    asked: usize,
    trouble: Option<(usize, Trouble)>,
    away_until: Option<Instant>,
    /// How many containers `up` may still make.
    creations: Option<usize>,
    /// What others do, and before which command.
    others: Vec<(usize, Other)>,
    after_up: bool,
    /// Ids of the containers that others made and that are theirs to remove.
    theirs: BTreeSet<String>,
    /// What was done to those.
    harm: Vec<String>,
}

type Answer = Result<CommandOutput, CommandError>;

/// The engine's time when a test begins.
const EPOCH: &str = "2026-01-02T00:00:00Z";

impl Simulation {
    /// A project `shop`; YAML from `services:` on.
    pub fn new(services: &str) -> Self {
        let yaml = format!("name: shop\n{}\n", services.trim_start_matches('\n'));
        let declared = Declared::parse(&yaml, "").expect("the test's YAML is a compose file");
        Self {
            yaml,
            declared,
            containers: Vec::new(),
            late: Vec::new(),
            ending: Vec::new(),
            fates: BTreeMap::new(),
            faults: Vec::new(),
            hashes: BTreeMap::new(),
            logs: BTreeMap::new(),
            began: Instant::now(),
            made: 0,
            looked: false,
            drained: BTreeSet::new(),
            asked: 0,
            trouble: None,
            away_until: None,
            creations: None,
            others: Vec::new(),
            after_up: false,
            theirs: BTreeSet::new(),
            harm: Vec::new(),
        }
    }

    /// A container that is there from the start.
    pub fn add(&mut self, mut container: Container) {
        self.made += 1;
        container.id = format!("{}-first", container.name);
        self.containers.push(Simulated {
            container,
            started: None,
        });
    }

    pub fn fate(&mut self, name: &str, fate: Fate) {
        self.fates.insert(name.into(), fate);
    }

    pub fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub fn hash(&mut self, service: &str, hash: &str) {
        self.hashes.insert(service.into(), hash.into());
    }

    pub fn log(&mut self, name: &str, text: &str) {
        self.logs.insert(name.into(), text.into());
    }

    /// Has one of the next commands go wrong; 0 is the next.
    pub fn trouble(&mut self, after: usize, trouble: Trouble) {
        self.trouble = Some((self.asked + after, trouble));
    }

    /// Has somebody else do something before one of the next commands; 0 is the next.
    pub fn other(&mut self, after: usize, other: Other) {
        self.others.push((self.asked + after, other));
    }

    /// What was done to containers of others, and which of those are gone.
    pub fn harm(&self) -> Vec<String> {
        let there = |id: &&String| self.containers.iter().any(|one| one.container.id == **id);
        let gone = self.theirs.iter().filter(|id| !there(id));
        let gone = gone.map(|id| format!("{id} is gone"));
        self.harm.iter().cloned().chain(gone).collect()
    }

    fn act(&mut self, other: Other) {
        let services: Vec<String> = self.declared.services.keys().cloned().collect();
        let of = |place: usize| services[place % services.len()].clone();
        match other {
            Other::Makes(place) => {
                let service = of(place);
                let next = self.numbers(&service).last().map_or(1, |number| number + 1);
                self.make_for_others(&service, next);
            }
            Other::Recreates(place, nth) => {
                let service = of(place);
                if let Some(number) = self.remove_for_others(&service, nth) {
                    self.make_for_others(&service, number);
                }
            }
            Other::Removes(place, nth) => {
                self.remove_for_others(&of(place), nth);
            }
        }
    }

    fn make_for_others(&mut self, service: &str, number: u32) {
        let mut container = Container::new(service, number, "running");
        self.made += 1;
        container.id = format!("{}-theirs-{}", container.name, self.made);
        self.theirs.insert(container.id.clone());
        self.containers.push(Simulated {
            container,
            started: Some(Instant::now()),
        });
    }

    fn remove_for_others(&mut self, service: &str, nth: usize) -> Option<u32> {
        let numbers = self.numbers(service);
        let number = *numbers.get(nth % numbers.len().max(1))?;
        self.containers.retain(|one| {
            let goes = one.container.service == service && one.container.number == number;
            if goes {
                self.theirs.remove(&one.container.id);
            }
            !goes
        });
        Some(number)
    }

    fn drain(&mut self, id: &str, drained: bool) -> Answer {
        if drained {
            self.drained.insert(id.to_owned());
        } else {
            self.drained.remove(id);
        }
        done("")
    }

    /// Containers that run and take no more work, by name.
    pub fn drained(&self) -> Vec<String> {
        let containers = self.containers.iter().map(|one| &one.container);
        let drained =
            containers.filter(|one| one.state == "running" && self.drained.contains(&one.id));
        drained.map(|one| one.name.clone()).collect()
    }

    /// How many commands there were.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// The containers as they are now, by name.
    pub fn containers(&mut self) -> Vec<Container> {
        self.age();
        let mut containers: Vec<Container> = self
            .containers
            .iter()
            .map(|one| one.container.clone())
            .collect();
        containers.sort_by(|a, b| (&a.service, a.number).cmp(&(&b.service, b.number)));
        containers
    }

    /// Answers a command.
    pub fn answer(&mut self, spec: &CommandSpec) -> Answer {
        self.age();
        let at = self.asked;
        self.asked += 1;
        let trouble = self.trouble.filter(|(when, _)| *when == at);
        let line = spec.to_string();
        // Nobody comes between the look before an `up`, the `up` and the look after it: that Compose goes by what it finds,
        // and tells names and not ids, cannot be helped.
        let after_up = std::mem::replace(&mut self.after_up, line.contains(" up "));
        // What is there at the first look is nobody's in particular.
        if !self.after_up && !after_up && self.looked {
            let (due, later) = std::mem::take(&mut self.others)
                .into_iter()
                .partition(|(when, _)| *when <= at);
            self.others = later;
            let due: Vec<(usize, Other)> = due;
            for (_, other) in due {
                self.act(other);
            }
        }
        if let Some((_, Trouble::EngineAway(seconds))) = trouble {
            self.away_until = Some(Instant::now() + Duration::from_secs(seconds));
        }
        self.looked |= line.starts_with("docker ps ");
        let away = self.away_until.is_some_and(|until| Instant::now() < until);
        if away && !line.contains(" config") {
            return failed(
                &line,
                "",
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            );
        }
        match trouble {
            Some((_, trouble)) => self.go_wrong(spec, trouble),
            None => self.answer_well(spec),
        }
    }

    fn go_wrong(&mut self, spec: &CommandSpec, trouble: Trouble) -> Answer {
        let line = spec.to_string();
        let killed = || {
            Err(CommandError::Failed {
                command: line.clone(),
                status: "signal: 9 (SIGKILL)".into(),
                stdout: String::new(),
                stderr: String::new(),
            })
        };
        let late = || {
            Err(CommandError::TimedOut {
                command: line.clone(),
                timeout: spec.timeout,
                stderr: String::new(),
            })
        };
        match trouble {
            Trouble::Refuses => failed(&line, "", "Error response from daemon: no"),
            Trouble::Hangs => late(),
            Trouble::DiesHalfway => {
                let half = self.half(spec);
                let _ = self.answer_well(&half);
                self.creations = None;
                killed()
            }
            Trouble::DiesAtTheEnd => {
                let _ = self.answer_well(spec);
                killed()
            }
            Trouble::AnswersLate => {
                let _ = self.answer_well(spec);
                late()
            }
            Trouble::PrintsGarbage => done("\u{1b}[2J{\"id\": 7, \u{fffd}\n}}"),
            Trouble::EngineAway(_) => self.answer_well(spec),
        }
    }

    /// Half of what a command should do: of its containers those in front; of `up`'s creations as many.
    fn half(&mut self, spec: &CommandSpec) -> CommandSpec {
        let mut half = spec.clone();
        let ids: Vec<usize> = (0..spec.args.len())
            .filter(|&at| {
                self.containers
                    .iter()
                    .any(|one| *one.container.id == *spec.args[at])
            })
            .collect();
        for &at in ids.iter().skip(ids.len().div_ceil(2)).rev() {
            half.args.remove(at);
        }
        if spec.args.iter().any(|word| word == "up") {
            self.creations = Some(1);
        }
        half
    }

    fn answer_well(&mut self, spec: &CommandSpec) -> Answer {
        let line = spec.to_string();
        let fault = self
            .faults
            .iter()
            .position(|fault| line.contains(fault.needle))
            .map(|at| self.faults.remove(at));
        if let Some(fault) = &fault
            && fault.effect == Effect::Nothing
        {
            return failed(&line, "", fault.stderr);
        }
        if fault
            .as_ref()
            .is_some_and(|fault| fault.effect == Effect::SilentlyNothing)
        {
            return done("");
        }
        if let Some(Effect::EndsIt(after)) = fault.as_ref().map(|fault| fault.effect) {
            return self.end_inside(spec, after);
        }
        let words: Vec<&str> = spec
            .args
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect();
        let there = self.containers.len();
        let answer = match (spec.program.as_str(), words.as_slice()) {
            ("docker", ["compose", rest @ ..]) => self.compose(&line, rest, fault.as_ref()),
            ("docker", ["ps", "--all", ..]) => done(&self.lines(Container::listing_line)),
            ("docker", ["info", "--format", format]) if format.contains("DockerRootDir") => {
                done(r#"{"id":"simulation","name":"","root":"","cluster":""}"#)
            }
            ("docker", ["info", ..]) => done(&format!("8000000000 {}\n", self.now())),
            ("docker", ["inspect", "--type", "container", "--format", _, ids @ ..]) => {
                self.inspect(&line, ids)
            }
            ("docker", ["image", "inspect", ..]) => done("sha256:app\n"),
            ("docker", ["start", names @ ..]) => self.start(&line, names),
            ("docker", ["stop", "-t", _, names @ ..] | ["stop", names @ ..]) => {
                self.stop(&line, names)
            }
            (
                "docker",
                ["rm", "--force", "--volumes", names @ ..] | ["rm", "--force", names @ ..],
            ) => self.remove(&line, names),
            ("docker", ["logs", "--tail", _, id]) => {
                let name = self.by_id(id).map(|one| one.container.name.clone());
                let log = name.and_then(|name| self.logs.get(&name).cloned());
                done(&log.unwrap_or_default())
            }
            ("docker", ["exec", id, "touch", DRAINED]) => self.drain(id, true),
            ("docker", ["exec", id, "rm", DRAINED]) => self.drain(id, false),
            ("docker", ["exec", ..] | ["stats", "--no-stream", ..]) => done(""),
            _ => panic!("the simulation does not know `{line}`"),
        };
        if let Some(Fault {
            effect: Effect::Late(distance),
            ..
        }) = fault
        {
            let new = self.containers.split_off(there);
            let times = (1u32..).map(|nth| Instant::now() + distance * nth);
            self.late
                .extend(times.zip(new.into_iter().map(|one| one.container)));
        }
        match fault {
            Some(fault) => failed(&line, "", fault.stderr),
            None => answer,
        }
    }

    /// A command in a container that ends is killed with it.
    fn end_inside(&mut self, spec: &CommandSpec, after: Duration) -> Answer {
        let ids = self.containers.iter().map(|one| &one.container.id);
        let meant = ids.filter(|id| spec.args.iter().any(|word| **word == ***id));
        let due = Instant::now() + after;
        let ending: Vec<(Instant, String)> = meant.map(|id| (due, id.clone())).collect();
        self.ending.extend(ending);
        Err(CommandError::Failed {
            command: spec.to_string(),
            status: "exit status: 137".into(),
            stdout: String::new(),
            stderr: String::new(),
        })
    }

    fn now(&self) -> Timestamp {
        let epoch: Timestamp = EPOCH.parse().expect("it is a time");
        epoch
            .checked_add(self.began.elapsed())
            .expect("tests are short")
    }

    /// Lets time do its work.
    fn age(&mut self) {
        let (due, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(when, _)| *when <= Instant::now());
        self.late = late;
        let due: Vec<(Instant, Container)> = due;
        self.containers
            .extend(due.into_iter().map(|(_, container)| Simulated {
                container,
                started: None,
            }));
        let (ended, ending) = std::mem::take(&mut self.ending)
            .into_iter()
            .partition(|(when, _)| *when <= Instant::now());
        self.ending = ending;
        let ended: Vec<(Instant, String)> = ended;
        for Simulated { container, started } in &mut self.containers {
            if ended.iter().any(|(_, id)| *id == container.id) {
                container.state = "exited".into();
                *started = None;
            }
            let (Some(since), Some(fate)) = (*started, self.fates.get(&container.name)) else {
                continue;
            };
            if container.state != "running" {
                continue;
            }
            match fate {
                Fate::Exits(code, after) if since.elapsed() >= *after => {
                    container.state = "exited".into();
                    container.exit_code = *code;
                    *started = None;
                }
                Fate::Healthy(after) if since.elapsed() >= *after => {
                    container.health = "healthy".into();
                }
                Fate::Unhealthy(after) if since.elapsed() >= *after => {
                    container.health = "unhealthy".into();
                }
                Fate::Healthy(_) | Fate::Unhealthy(_) => container.health = "starting".into(),
                Fate::Exits(..) | Fate::WillNotStart(_) => {}
            }
        }
    }

    fn lines(&self, line: impl Fn(&Container) -> String) -> String {
        self.containers
            .iter()
            .map(|one| line(&one.container) + "\n")
            .collect()
    }

    fn compose(&mut self, line: &str, words: &[&str], fault: Option<&Fault>) -> Answer {
        match words {
            ["--profile", "*", "config"] | ["config"] => done(&self.yaml),
            ["config", "--hash", "*"]
            | [
                "--file",
                "-",
                "--project-name",
                _,
                "--profile",
                "*",
                "config",
                "--hash",
                "*",
            ] => {
                let line = |(service, hash): (&String, &String)| service.to_owned() + " " + hash;
                let lines: Vec<String> = self.hashes.iter().map(line).collect();
                done(&lines.join("\n"))
            }
            ["up", words @ ..] => self.up(line, words, fault),
            _ => panic!("the simulation does not know `{line}`"),
        }
    }

    /// `up`: brings each service of the selection, dependencies included, to the count given or declared,
    /// then starts everything in it that does not run, unless told not to.
    fn up(&mut self, line: &str, words: &[&str], fault: Option<&Fault>) -> Answer {
        let mut scale: BTreeMap<&str, u32> = BTreeMap::new();
        let mut named: Vec<&str> = Vec::new();
        let (mut start, mut detach, mut recreate, mut deps) = (true, false, true, true);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--no-start" => start = false,
                "--detach" => detach = true,
                "--no-recreate" => recreate = false,
                "--no-deps" => deps = false,
                "--build" => {}
                "--pull" => {
                    words.next();
                }
                "--scale" => {
                    let (service, count) = words
                        .next()
                        .and_then(|pair| pair.split_once('='))
                        .expect("a pair");
                    assert!(
                        self.declared.services.contains_key(service),
                        "no such service: {service}"
                    );
                    scale.insert(service, count.parse().expect("a count"));
                }
                option if option.starts_with('-') => {
                    panic!("the simulation does not know {option} in `{line}`")
                }
                service => named.push(service),
            }
        }
        assert!(
            !named.is_empty(),
            "without names `up` would touch every service: {line}"
        );
        assert!(
            !recreate,
            "without --no-recreate `up` would recreate replicas: {line}"
        );
        assert!(
            detach || !start,
            "without --detach `up` does not return: {line}"
        );
        let selection = if deps {
            self.selection(&named)
        } else {
            named.iter().map(ToString::to_string).collect()
        };
        let mut said = Vec::new();
        for service in &selection {
            let wanted = scale
                .get(service.as_str())
                .copied()
                .unwrap_or(self.declared.services[service].count);
            let there = self.numbers(service).len();
            assert!(
                deps || there == wanted as usize,
                "replicas made with --no-deps carry another hash: {line}"
            );
            self.bring_to(service, wanted, &mut said);
        }
        let starts = |fault: &Fault| !matches!(fault.effect, Effect::CreatedOnly | Effect::Late(_));
        if start && fault.is_none_or(starts) {
            for service in &selection {
                for name in self.names(|container| {
                    container.service == *service
                        && matches!(container.state.as_str(), "created" | "exited")
                }) {
                    if let Err(why) = self.start_one(&name) {
                        said.push(why);
                        return failed(line, "", &said.join("\n"));
                    }
                    said.push(format!(" Container {name}  Started"));
                }
            }
        }
        Ok(CommandOutput {
            stdout: String::new(),
            stderr: said.join("\n"),
        })
    }

    /// The services named and all that they depend on, dependencies first.
    fn selection(&self, named: &[&str]) -> Vec<String> {
        let mut order = Vec::new();
        for name in named {
            self.select(name, &mut order);
        }
        order
    }

    fn select(&self, name: &str, order: &mut Vec<String>) {
        for dependency in self.declared.services[name].depends_on.keys() {
            self.select(dependency, order);
        }
        if !order.iter().any(|other| other == name) {
            order.push(name.to_owned());
        }
    }

    fn bring_to(&mut self, service: &str, wanted: u32, said: &mut Vec<String>) {
        let mut numbers: Vec<u32> = self.numbers(service);
        while numbers.len() > wanted as usize {
            // Compose goes by number alone, whatever the state.
            let highest = numbers.pop().expect("there are more than wanted");
            let mut all = self.containers.iter().map(|one| &one.container);
            if let Some(one) = all.find(|one| one.service == service && one.number == highest)
                && self.theirs.contains(&one.id)
            {
                self.harm.push(format!("`up` takes {} away", one.id));
            }
            self.containers.retain(|one| {
                !(one.container.service == service && one.container.number == highest)
            });
        }
        let mut next = numbers.last().map_or(1, |highest| highest + 1);
        while numbers.len() < wanted as usize {
            match &mut self.creations {
                Some(0) => return,
                Some(left) => *left -= 1,
                None => {}
            }
            let mut container = Container::new(service, next, "created");
            self.made += 1;
            container.id = format!("{}-made-{}", container.name, self.made);
            container.config_hash = self.hashes.get(service).cloned().unwrap_or_default();
            said.push(format!(" Container {}  Created", container.name));
            self.containers.push(Simulated {
                container,
                started: None,
            });
            numbers.push(next);
            next += 1;
        }
    }

    fn numbers(&self, service: &str) -> Vec<u32> {
        let of_service = self
            .containers
            .iter()
            .map(|one| &one.container)
            .filter(|one| one.service == service);
        let mut numbers: Vec<u32> = of_service.map(|container| container.number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn names(&self, fits: impl Fn(&Container) -> bool) -> Vec<String> {
        let all = self.containers.iter().map(|one| &one.container);
        all.filter(|container| fits(container))
            .map(|container| container.name.clone())
            .collect()
    }

    fn start_one(&mut self, name: &str) -> Result<(), String> {
        let now = self.now();
        let fate = self.fates.get(name).cloned();
        let Some(one) = self
            .containers
            .iter_mut()
            .find(|one| one.container.name == name)
        else {
            return Err(format!(
                "Error response from daemon: No such container: {name}"
            ));
        };
        if let Some(Fate::WillNotStart(why)) = fate {
            one.container.error = why.into();
            return Err(format!(
                "Error response from daemon: {why}\nError: failed to start containers: {name}"
            ));
        }
        one.container.state = "running".into();
        one.container.exit_code = 0;
        one.container.started_at = now.to_string();
        one.started = Some(Instant::now());
        if matches!(fate, Some(Fate::Healthy(_) | Fate::Unhealthy(_))) {
            one.container.health = "starting".into();
        }
        Ok(())
    }

    /// The container with an id. Names are for people: a command that goes by one could meet another container.
    fn by_id(&mut self, id: &str) -> Option<&mut Simulated> {
        let all = self.containers.iter();
        let named = all
            .map(|one| one.container.name.as_str())
            .find(|name| *name == id);
        assert!(named.is_none(), "`{id}` is told by its name, not by its id");
        self.containers
            .iter_mut()
            .find(|one| one.container.id == id)
    }

    /// Does something to each container, as docker does it with several: those where it can be done have it
    /// done, and the rest make it fail.
    fn each(
        &mut self,
        line: &str,
        ids: &[&str],
        mut act: impl FnMut(&mut Self, &str) -> Result<(), String>,
    ) -> Answer {
        let mut why = Vec::new();
        for id in ids {
            let outcome = match self.by_id(id) {
                Some(one) => {
                    let name = one.container.name.clone();
                    if self.theirs.contains(*id) {
                        self.harm.push(format!("`{line}` meets {id}"));
                    }
                    act(self, &name)
                }
                None => Err(format!(
                    "Error response from daemon: No such container: {id}"
                )),
            };
            why.extend(outcome.err());
        }
        if why.is_empty() {
            done("")
        } else {
            failed(line, "", &why.join("\n"))
        }
    }

    fn start(&mut self, line: &str, ids: &[&str]) -> Answer {
        self.each(line, ids, Self::start_one)
    }

    fn stop(&mut self, line: &str, ids: &[&str]) -> Answer {
        self.each(line, ids, |simulation, name| {
            let mut all = simulation.containers.iter_mut();
            if let Some(one) = all.find(|one| one.container.name == name) {
                one.container.state = "exited".into();
                one.started = None;
            }
            Ok(())
        })
    }

    fn remove(&mut self, line: &str, ids: &[&str]) -> Answer {
        self.each(line, ids, |simulation, name| {
            simulation
                .containers
                .retain(|one| one.container.name != name);
            Ok(())
        })
    }

    fn inspect(&self, line: &str, ids: &[&str]) -> Answer {
        let (mut lines, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match self.containers.iter().find(|one| one.container.id == *id) {
                Some(one) => lines.push(one.container.vitals_line()),
                None => missing.push(format!("Error: No such container: {id}")),
            }
        }
        if missing.is_empty() {
            done(&lines.join("\n"))
        } else {
            failed(line, &lines.join("\n"), &missing.join("\n"))
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is one of two answers")]
fn done(stdout: &str) -> Answer {
    Ok(CommandOutput {
        stdout: stdout.into(),
        stderr: String::new(),
    })
}

fn failed(line: &str, stdout: &str, stderr: &str) -> Answer {
    Err(CommandError::Failed {
        command: line.into(),
        status: "exit status: 1".into(),
        stdout: stdout.into(),
        stderr: stderr.into(),
    })
}
