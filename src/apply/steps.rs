//! The steps that bring replicas: creation and start.

use futures_util::future::join_all;

use super::{Event, Run, Stop};
use crate::engine::cause::{explain, last_lines};
use crate::engine::steps::shares;
use crate::engine::{Containers, Milestone};
use crate::exec::{CommandError, CommandSpec};
use crate::plan::{Counts, Create, StartReplicas};
use crate::project::Project;
use crate::project::observed::Replica;

/// Lines of Compose's own output that a failure shows.
const OUTPUT_LINES: usize = 12;

impl Run<'_> {
    /// Runs a changing command and notes it.
    pub(super) async fn change(&self, spec: &CommandSpec) -> Result<(), CommandError> {
        self.commands.borrow_mut().push(spec.to_string());
        let on_line = |line: &str| (self.emit)(Event::Output(line.to_owned()));
        self.reach.run(spec, Some(&on_line)).await.map(|_| ())
    }

    /// Starts containers, several at a time, and tells of each share that came up.
    pub(super) async fn bring_up(
        &self,
        engine: &dyn Containers,
        names: &[&str],
        started: &dyn Fn(&[&str]),
    ) -> Result<(), CommandError> {
        let shares = shares(names).map(|names| {
            let spec = engine.start(names);
            async move {
                self.change(&spec).await?;
                started(names);
                Ok(())
            }
        });
        join_all(shares).await.into_iter().collect()
    }

    pub(super) async fn create(&self, step: &Create) -> Result<(), Stop> {
        for (service, &count) in &step.counts {
            let existing = self.before.count(service);
            self.note_progress(service, |progress| {
                progress.wanted = count;
                progress.created = progress.created.max(existing.min(count));
            });
        }
        let spec = self.reach.containers()?.create(step);
        self.compose(&spec, &step.counts).await
    }

    pub(super) async fn launch(&self, counts: &Counts) -> Result<(), Stop> {
        let spec = self.reach.containers()?.launch(counts);
        self.compose(&spec, counts).await
    }

    /// Runs a command of Compose's that creates or starts replicas of these services, and follows what it
    /// prints.
    async fn compose(&self, spec: &CommandSpec, counts: &Counts) -> Result<(), Stop> {
        self.commands.borrow_mut().push(spec.to_string());
        self.note_disturbed(counts.keys());
        let engine = self.reach.containers()?;
        let on_line = |line: &str| {
            (self.emit)(Event::Output(line.to_owned()));
            if let Some((container, milestone)) = engine.milestone(line) {
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
            Milestone::Created => {}
            Milestone::Started => progress.started += 1,
        });
    }

    pub(super) async fn start(&self, step: &StartReplicas) -> Result<(), Stop> {
        self.note_disturbed(step.services.keys());
        let now = self.now().await?;
        let waiting: Vec<&Replica> = step
            .services
            .keys()
            .flat_map(|service| now.replicas(service))
            .filter(|replica| replica.can_start())
            .collect();
        for service in step.services.keys() {
            let count = now.count(service);
            self.note_progress(service, |progress| {
                progress.wanted = progress.wanted.max(count);
                progress.created = count;
                progress.started = running(&now, service);
            });
        }
        let names: Vec<&str> = waiting
            .iter()
            .map(|replica| replica.name.as_str())
            .collect();
        let started = |names: &[&str]| {
            for replica in waiting
                .iter()
                .filter(|replica| names.contains(&replica.name.as_str()))
            {
                self.note_progress(&replica.service, |progress| progress.started += 1);
            }
        };
        let outcome = self
            .bring_up(self.reach.containers()?, &names, &started)
            .await;
        outcome.map_err(|error| {
            let explained = explain(&error);
            let named = |replica: &&&Replica| error.stderr().contains(replica.name.as_str());
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
