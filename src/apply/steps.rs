//! The steps that bring replicas: creation and start. What is made is known by its id as soon as it is there.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::{Event, Run, Stop};
use crate::engine::cause::{explain, last_lines};
use crate::engine::steps::shares;
use crate::engine::{Containers, Milestone};
use crate::exec::{CommandError, CommandSpec};
use crate::plan::done::{Deed, Touched};
use crate::plan::{Counts, Create, Start, StartReplicas};
use crate::project::Project;
use crate::project::observed::{Handle, Replica};

/// Lines of Compose's own output that a failure shows.
const OUTPUT_LINES: usize = 12;

/// Containers that Compose makes for this run, by name, as far as it tells.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// Whether it tells at all.
    tells: bool,
    /// Those that the engine was asked to make, whether or not it has.
    making: BTreeSet<String>,
    /// Those that the plan expects.
    expected: BTreeSet<String>,
}

impl Announced {
    fn expect(&mut self, names: impl IntoIterator<Item = String>) {
        self.expected.extend(names);
    }

    fn hear(&mut self, name: &str, milestone: Milestone) {
        self.tells = true;
        if matches!(milestone, Milestone::Creating | Milestone::Created) {
            self.making.insert(name.to_owned());
        }
    }

    /// Whether a new container of this name was made for this run: Compose told of it, or, where it tells
    /// nothing, it was to be expected.
    fn is_ours(&self, name: &str) -> bool {
        if self.tells {
            self.making.contains(name)
        } else {
            self.expected.contains(name)
        }
    }

    /// A container of this name has come: another one that gets it later is somebody else's.
    fn meet(&mut self, name: &str) {
        self.making.remove(name);
        self.expected.remove(name);
    }

    /// Whether one of these may still come.
    pub(super) fn may_come(&self, seen: impl Fn(&str) -> bool) -> bool {
        let names = if self.tells {
            &self.making
        } else {
            &self.expected
        };
        names.iter().any(|name| !seen(name))
    }
}

impl Run<'_> {
    /// Runs a changing command and notes it.
    pub(super) async fn change(&self, spec: &CommandSpec) -> Result<(), CommandError> {
        self.commands.borrow_mut().push(spec.to_string());
        let on_line = |line: &str| (self.emit)(Event::Output(line.to_owned()));
        self.reach.run(spec, Some(&on_line)).await.map(|_| ())
    }

    /// Starts containers, several at a time, and tells of each share that came up.
    async fn bring_up(
        &self,
        engine: &dyn Containers,
        containers: &[Handle],
        started: &dyn Fn(&[Handle]),
    ) -> Result<(), CommandError> {
        let shares = shares(containers).map(|share| {
            let spec = engine.start(share);
            async move {
                self.change(&spec).await?;
                started(share);
                Ok(())
            }
        });
        join_all(shares).await.into_iter().collect()
    }

    /// Creates replicas. Whoever has made some meanwhile keeps them: `up --scale` takes away what is more than it
    /// is told, so it is told no less than there is.
    pub(super) async fn create(&self, step: &Create) -> Result<(), Stop> {
        for (service, &count) in &step.counts {
            let existing = self.before.count(service);
            self.note_progress(service, |progress| {
                progress.wanted = count;
                progress.created = progress.created.max(existing.min(count));
            });
        }
        let now = self.now().await?;
        let at_least =
            |(service, count): (&String, &u32)| (service.clone(), (*count).max(now.count(service)));
        if step.start == Start::WithDependencies {
            let services = step.counts.keys().chain(step.pins.keys());
            self.starting(services.flat_map(|service| now.replicas(service)));
        }
        let step = Create {
            counts: step.counts.iter().map(at_least).collect(),
            pins: step.pins.iter().map(at_least).collect(),
            ..step.clone()
        };
        let engine = self.reach.containers()?;
        let created = step.counts.iter().chain(&step.pins);
        let expected = created.flat_map(|(service, &count)| {
            let there = now.count(service);
            let numbers = now.replicas(service).iter().map(|replica| replica.number);
            let first = numbers.max().unwrap_or(0) + 1;
            let name = |number| engine.replica_name(now.name(), service, number);
            (first..first + (count - there))
                .map(name)
                .collect::<Vec<_>>()
        });
        self.announced.borrow_mut().expect(expected);
        self.compose(&engine.create(&step), &step.counts).await
    }

    pub(super) async fn launch(&self, counts: &Counts) -> Result<(), Stop> {
        let now = self.now().await?;
        let at_least =
            |(service, count): (&String, &u32)| (service.clone(), (*count).max(now.count(service)));
        self.starting(counts.keys().flat_map(|service| now.replicas(service)));
        let spec = self
            .reach
            .containers()?
            .launch(&counts.iter().map(at_least).collect());
        self.compose(&spec, counts).await
    }

    /// Runs a command of Compose's that creates or starts replicas of these services, and follows what it
    /// prints.
    async fn compose(&self, spec: &CommandSpec, counts: &Counts) -> Result<(), Stop> {
        self.commands.borrow_mut().push(spec.to_string());
        self.disturb(counts.keys());
        let engine = self.reach.containers()?;
        let on_line = |line: &str| {
            (self.emit)(Event::Output(line.to_owned()));
            if let Some((container, milestone)) = engine.milestone(line) {
                self.announced.borrow_mut().hear(container, milestone);
                self.follow(engine, container, milestone, counts);
            }
        };
        let outcome = self.reach.run(spec, Some(&on_line)).await;
        outcome.map(|_| ()).map_err(|error| {
            let said = last_lines(error.stderr(), OUTPUT_LINES);
            let stop = Stop {
                unsettled: true,
                ..Stop::new(explain(&error).detail(said))
            };
            let mut services = counts.keys();
            match (services.next(), services.next()) {
                (Some(only), None) => stop.at(only),
                _ => stop,
            }
        })
    }

    fn follow(
        &self,
        engine: &dyn Containers,
        container: &str,
        milestone: Milestone,
        counts: &Counts,
    ) {
        let project = self.before.name();
        let is_of = |service: &&String| {
            let name = engine.replica_name(project, service, 0);
            container.starts_with(name.trim_end_matches('0'))
        };
        let Some(service) = counts.keys().find(is_of) else {
            return;
        };
        let old = self.before.replicas(service).iter();
        let known = old
            .map(|replica| &replica.name)
            .any(|name| name == container);
        self.note_progress(service, |progress| match milestone {
            Milestone::Created if !known => progress.created += 1,
            Milestone::Creating | Milestone::Created => {}
            Milestone::Started => progress.started += 1,
        });
    }

    /// Takes down which of the new replicas are of this run.
    pub(super) fn note_made(&self, now: &Project) {
        let known = self.done.borrow().made.clone();
        let announced = self.announced.borrow();
        let made: Vec<Touched> = now
            .replicas
            .iter()
            .filter(|(service, _)| self.touches(service))
            .flat_map(|(_, replicas)| replicas)
            .filter(|replica| self.is_new(replica) && !known.contains_key(&replica.id))
            .filter(|replica| announced.is_ours(&replica.name))
            .filter(|replica| !self.restored.borrow().contains(&replica.id))
            .map(Touched::from)
            .collect();
        drop(announced);
        if made.is_empty() {
            return;
        }
        for one in &made {
            self.announced.borrow_mut().meet(&one.name);
        }
        if self.rolling_back.get() && self.restoring.get() {
            // They stay: they are in the place of what was removed.
            let ids = made.into_iter().map(|one| one.id);
            self.restored.borrow_mut().extend(ids);
        } else {
            self.note(Deed::Made(made));
        }
    }

    /// Takes down which replicas that were there before are started. In a roll-back they only come back.
    fn starting<'r>(&self, replicas: impl IntoIterator<Item = &'r Replica>) {
        if self.rolling_back.get() {
            return;
        }
        let stopped = replicas
            .into_iter()
            .filter(|replica| replica.can_start() && !self.is_new(replica));
        self.note(Deed::Starting(stopped.map(Touched::from).collect()));
    }

    /// Whether a replica was made meanwhile by somebody else.
    pub(super) fn is_strange(&self, replica: &Replica) -> bool {
        self.is_new(replica)
            && !self.done.borrow().made.contains_key(&replica.id)
            && !self.restored.borrow().contains(&replica.id)
    }

    pub(super) async fn start(&self, step: &StartReplicas) -> Result<(), Stop> {
        self.disturb(step.services.keys());
        let now = self.now().await?;
        let waiting: Vec<&Replica> = step
            .services
            .keys()
            .flat_map(|service| now.replicas(service))
            .filter(|replica| replica.can_start() && !self.is_strange(replica))
            .collect();
        for service in step.services.keys() {
            let count = now.count(service);
            self.note_progress(service, |progress| {
                progress.wanted = progress.wanted.max(count);
                progress.created = count;
                progress.started = running(&now, service);
            });
        }
        self.starting(waiting.iter().copied());
        let containers: Vec<Handle> = waiting.iter().copied().map(Handle::from).collect();
        let started = |share: &[Handle]| {
            let of_share = |replica: &&&Replica| share.iter().any(|one| one.id == replica.id);
            for replica in waiting.iter().filter(of_share) {
                self.note_progress(&replica.service, |progress| progress.started += 1);
            }
        };
        let outcome = self
            .bring_up(self.reach.containers()?, &containers, &started)
            .await;
        outcome.map_err(|error| {
            let explained = explain(&error);
            let named = |replica: &&&Replica| {
                let said = error.stderr();
                said.contains(&replica.id) || said.contains(replica.name.as_str())
            };
            let suspect = waiting.iter().find(named);
            let stop = Stop::new(explained);
            match (suspect, step.services.len()) {
                (Some(replica), _) => stop.at(&replica.service),
                (None, 1) => stop.at(step.services.keys().next().cloned().unwrap_or_default()),
                (None, _) => stop,
            }
        })
    }
}

fn running(project: &Project, service: &str) -> u32 {
    super::count(project.replicas(service), Replica::is_running)
}
