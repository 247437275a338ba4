//! Replicas that go: drain, its wait, `pre_stop` hooks, SIGTERM, grace, removal; then the refresh.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Event, Run, Stop, WaitingFor};
use crate::engine::cause::{already_gone, explain, explain_inside, has_ended};
use crate::engine::steps::{batches, hook};
use crate::error::{Error, Exit};
use crate::exec::{CommandError, CommandSpec, OnInterrupt};
use crate::plan::{Remove, Step, drain};
use crate::project::declared::Hook;
use crate::project::policy::Drain;

/// Time limit of a `pre_stop` hook.
const HOOK_TIMEOUT: Duration = Duration::from_secs(300);

impl Run<'_> {
    /// Takes away replicas of several services at the same time, each followed by its refresh.
    pub(super) async fn remove_all(&self, steps: &[Step]) -> Result<(), Stop> {
        let service_of = |step: &Step| match step {
            Step::Remove(step) => step.service.clone(),
            Step::Refresh(step) => step.service.clone(),
            _ => String::new(),
        };
        let mut services: Vec<String> = steps.iter().map(service_of).collect();
        services.sort();
        services.dedup();
        let chains = services.iter().map(|service| async move {
            for step in steps.iter().filter(|step| service_of(step) == *service) {
                match step {
                    Step::Remove(step) => self.remove(step, false).await?,
                    Step::Refresh(step) => self.refresh(step).await?,
                    _ => {}
                }
            }
            Ok(())
        });
        join_all(chains).await.into_iter().collect()
    }

    /// Removes replicas, with `volumes` their anonymous volumes too.
    pub(super) async fn remove(&self, step: &Remove, volumes: bool) -> Result<(), Stop> {
        let service = &step.service;
        let stop = |error: CommandError| Stop::new(explain(&error)).at(service);
        let running: Vec<&str> = step
            .victims
            .iter()
            .filter(|victim| victim.running)
            .map(|victim| victim.name.as_str())
            .collect();
        if let Some(drain) = &step.drain {
            self.drain(step, drain).await?;
        }
        for hook in &step.pre_stop {
            let failures = self
                .run_inside(&running, hook, HOOK_TIMEOUT, OnInterrupt::Finish)
                .await;
            if let Some((name, error)) = failures.into_iter().next()
                // What a roll-back takes away goes whatever its hook says.
                && !self.rolling_back.get()
            {
                let error = explain_inside(&error, &hook.command);
                let message = format!("a pre_stop hook failed in `{name}`: {}", error.message);
                return Err(Stop::new(Error { message, ..error }).at(service));
            }
        }
        self.note_disturbed([service]);
        if !running.is_empty() {
            let spec = self.reach.engine.stop(&running, step.grace);
            let stopping = self.change(&spec);
            self.watched(
                service,
                running.len(),
                WaitingFor::End,
                step.grace,
                stopping,
            )
            .await
            .map_err(stop)?;
        }
        let all: Vec<&str> = step
            .victims
            .iter()
            .map(|victim| victim.name.as_str())
            .collect();
        self.take_away(&all, volumes).await.map_err(stop)?;
        let mut drained = self.drained.borrow_mut();
        drained.retain(|name, _| !all.contains(&name.as_str()));
        drop(drained);
        self.note_done([service]);
        Ok(())
    }

    /// Has replicas that were drained and stay take work again, where the policy says how; the others are
    /// left in `drained`.
    pub(super) async fn undo_drains(&self) -> Result<(), Error> {
        let drained = self.drained.borrow().clone();
        let mut outcome = Ok(());
        for (name, service) in drained {
            let policy = drain(self.before.service(&service));
            let Some(undo) = policy.and_then(|drain| drain.undo) else {
                continue;
            };
            let command = hook(&undo);
            let failures = self
                .run_inside(&[&name], &command, HOOK_TIMEOUT, OnInterrupt::Finish)
                .await;
            match failures.first().filter(|(_, error)| !has_ended(error)) {
                None => {
                    self.drained.borrow_mut().remove(&name);
                }
                Some((_, error)) => {
                    let error = explain_inside(error, &undo);
                    let message = format!(
                        "`{name}` was drained, and `drain.undo` failed: {}",
                        error.message
                    );
                    outcome = outcome.and(Err(Error { message, ..error }));
                }
            }
        }
        outcome
    }

    /// Has replicas finish what they are at. When a command fails none of them goes, unless forced or in
    /// a roll-back.
    async fn drain(&self, step: &Remove, drain: &Drain) -> Result<(), Stop> {
        let service = &step.service;
        let drained: Vec<&str> = step
            .victims
            .iter()
            .filter(|victim| victim.can_drain())
            .map(|victim| victim.name.as_str())
            .collect();
        if drained.is_empty() {
            return Ok(());
        }
        let hook = hook(&drain.exec);
        // It may block until a job is done, so an interruption does not wait for its end.
        let commands = self.run_inside(&drained, &hook, drain.timeout, OnInterrupt::Ask);
        let (what, limit) = (WaitingFor::DrainCommand, Some(drain.timeout));
        let mut failures = self
            .watched(service, drained.len(), what, limit, commands)
            .await;
        failures.retain(|(_, error)| !has_ended(error));
        let succeeded = |name: &&&str| failures.iter().all(|(failed, _)| failed != *name);
        self.drained.borrow_mut().extend(
            drained
                .iter()
                .filter(succeeded)
                .map(|name| ((*name).to_owned(), service.clone())),
        );
        let goes_on = self.options.force || self.rolling_back.get();
        if let Some((name, error)) = failures.first() {
            let error = explain_inside(error, &drain.exec);
            let message = format!("the drain command failed in `{name}`: {}", error.message);
            if !goes_on || error.exit == Exit::Interrupted {
                let error = Error { message, ..error };
                return Err(
                    Stop::new(error.hint("stop them all the same: rscale --force ...")).at(service),
                );
            }
            (self.emit)(Event::Note(format!("{message}; going on")));
        }
        if !drain.wait.is_zero() {
            let rest = self.reach.executor.pause(drain.wait);
            let (what, limit) = (WaitingFor::DrainWait, Some(drain.wait));
            self.watched(service, drained.len(), what, limit, rest)
                .await;
        }
        if self.reach.executor.interrupted() && !self.rolling_back.get() {
            return Err(Stop::new(Error::interrupted()).at(service));
        }
        Ok(())
    }

    /// Runs a command in several containers at once; those where it failed.
    async fn run_inside<'n>(
        &self,
        names: &[&'n str],
        hook: &Hook,
        timeout: Duration,
        on_interrupt: OnInterrupt,
    ) -> Vec<(&'n str, CommandError)> {
        let runs = names.iter().map(|name| async move {
            let spec = self.reach.engine.exec(name, hook, timeout);
            let spec: CommandSpec = spec.on_interrupt(on_interrupt);
            self.change(&spec).await.err().map(|error| (*name, error))
        });
        join_all(runs).await.into_iter().flatten().collect()
    }

    /// Removes containers, several at a time; one that is gone already is as good as removed.
    pub(super) async fn take_away(
        &self,
        names: &[&str],
        volumes: bool,
    ) -> Result<(), CommandError> {
        let shares = batches(names).map(|names| {
            let spec = self.reach.engine.remove(names, volumes);
            async move {
                match self.change(&spec).await {
                    Err(error) if already_gone(&error) => Ok(()),
                    outcome => outcome,
                }
            }
        });
        join_all(shares).await.into_iter().collect()
    }
}
