//! Replicas that go: drain, its wait, `pre_stop` hooks, SIGTERM, grace, removal; then the refresh.

use std::cell::Cell;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;

use super::{Event, Run, Stop, WaitingFor};
use crate::engine::Containers;
use crate::engine::cause::{already_gone, explain, explain_inside, has_ended};
use crate::engine::steps::{hook, names, shares};
use crate::error::Error;
use crate::exec::{CommandError, OnInterrupt};
use crate::plan::{RefreshOthers, Remove, Step, Victim, drain};
use crate::project::declared::Hook;

/// How long the first replica has been gone when balancers are told although others still finish; those
/// that end together are told of together.
const BEFORE_EARLY_REFRESH: Duration = Duration::from_secs(1);
/// Time limit of a `pre_stop` hook.
const HOOK_TIMEOUT: Duration = Duration::from_secs(300);

impl Run<'_> {
    /// Takes away replicas of several services at the same time, each followed by its refresh. None goes
    /// before all are drained: where one cannot be, those of the other services stay as well.
    pub(super) async fn remove_all(&self, steps: &[Step]) -> Result<(), Stop> {
        let drains = steps.iter().filter_map(|step| match step {
            Step::Remove(step) => Some(self.drain(step)),
            _ => None,
        });
        let drained: Result<(), Stop> = join_all(drains).await.into_iter().collect();
        drained?;
        let service_of = |step: &Step| match step {
            Step::Remove(step) => step.service.clone(),
            Step::Refresh(step) => step.service.clone(),
            _ => String::new(),
        };
        let mut services: Vec<String> = steps.iter().map(service_of).collect();
        services.sort();
        services.dedup();
        let chains = services.iter().map(|service| async move {
            let of_service = steps.iter().filter(|step| service_of(step) == *service);
            let refresh = of_service.clone().find_map(|step| match step {
                Step::Refresh(step) => Some(step),
                _ => None,
            });
            for step in of_service {
                match step {
                    Step::Remove(step) => self.end_drained(step, false, refresh).await?,
                    Step::Refresh(step) => self.refresh(step).await?,
                    _ => {}
                }
            }
            Ok(())
        });
        join_all(chains).await.into_iter().collect()
    }

    /// Takes away what this run created, with its anonymous volumes.
    pub(super) async fn remove_created(&self, step: &Remove) -> Result<(), Stop> {
        self.drain(step).await?;
        self.end_drained(step, true, None).await
    }

    /// Stops and removes replicas, with `volumes` their anonymous volumes too. Balancers are told of those
    /// that have ended while others still finish.
    async fn end_drained(
        &self,
        step: &Remove,
        volumes: bool,
        refresh: Option<&RefreshOthers>,
    ) -> Result<(), Stop> {
        let service = &step.service;
        let running = names(&step.victims, |victim| victim.running);
        self.pre_stop(step).await?;
        self.note_disturbed([service]);
        let left = Cell::new(running.len());
        let engine = self.reach.containers()?;
        let ending = self.end_all(engine, step, volumes, refresh, &left);
        let (count, what) = (|| left.get(), WaitingFor::End);
        self.watched(service, count, what, step.grace, ending)
            .await
            .map_err(|error| Stop::new(explain(&error)).at(service))?;
        self.note_done(service);
        Ok(())
    }

    /// Runs the `pre_stop` hooks in what goes.
    pub(super) async fn pre_stop(&self, step: &Remove) -> Result<(), Stop> {
        let service = &step.service;
        let running = names(&step.victims, |victim| victim.running);
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
                return Err(Stop::new(error.worded(message)).at(service));
            }
        }
        Ok(())
    }

    /// Stops and removes all victims, each as soon as it has ended; says in `left` how many still run.
    async fn end_all(
        &self,
        engine: &dyn Containers,
        step: &Remove,
        volumes: bool,
        refresh: Option<&RefreshOthers>,
        left: &Cell<usize>,
    ) -> Result<(), CommandError> {
        let mut ends: FuturesUnordered<_> = shares(&step.victims)
            .map(|share| self.end(engine, share, step.grace, volumes, left))
            .collect();
        let (mut outcome, mut untold) = (Ok(()), false);
        loop {
            tokio::select! {
                ended = ends.next() => {
                    let Some(ended) = ended else { return outcome };
                    outcome = outcome.and(ended);
                    untold = refresh.is_some();
                }
                // Connections to an address that is gone stall, and the others may have much to finish.
                () = tokio::time::sleep(BEFORE_EARLY_REFRESH), if untold => {
                    untold = false;
                    if let Some(refresh) = refresh
                        && let Err(stop) = self.refresh(refresh).await
                    {
                        // The one at the end decides.
                        (self.emit)(Event::Note(stop.error.message));
                    }
                }
            }
        }
    }

    async fn end(
        &self,
        engine: &dyn Containers,
        share: &[Victim],
        grace: Option<Duration>,
        volumes: bool,
        left: &Cell<usize>,
    ) -> Result<(), CommandError> {
        let running = names(share, |victim| victim.running);
        let all = names(share, |_| true);
        if !running.is_empty() {
            self.change(&engine.stop(&running, grace)).await?;
            left.set(left.get() - running.len());
        }
        match self.change(&engine.remove(&all, volumes)).await {
            // One that is gone already is as good as removed.
            Err(error) if !already_gone(&error) => return Err(error),
            _ => {}
        }
        let mut drained = self.drained.borrow_mut();
        drained.retain(|name, _| !all.contains(&name.as_str()));
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
                    outcome = outcome.and(Err(error.worded(message)));
                }
            }
        }
        outcome
    }

    /// Has replicas finish what they are at. When a command fails none of them goes, unless forced or in
    /// a roll-back.
    pub(super) async fn drain(&self, step: &Remove) -> Result<(), Stop> {
        let service = &step.service;
        let drained = names(&step.victims, Victim::can_drain);
        let Some(drain) = step.drain.as_ref().filter(|_| !drained.is_empty()) else {
            return Ok(());
        };
        let hook = hook(&drain.exec);
        // It may block until a job is done, so an interruption does not wait for its end.
        let commands = self.run_inside(&drained, &hook, drain.timeout, OnInterrupt::Ask);
        let (what, limit) = (WaitingFor::DrainCommand, Some(drain.timeout));
        let mut failures = self
            .watched(service, || drained.len(), what, limit, commands)
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
            if !goes_on || error.is_interrupted() {
                let error = error.worded(message);
                return Err(
                    Stop::new(error.hint("stop them all the same: rscale --force ...")).at(service),
                );
            }
            (self.emit)(Event::Note(format!("{message}; going on")));
        }
        let interrupted = || self.reach.executor.interrupted() && !self.rolling_back.get();
        // An interruption during the command does not end a rest that begins after it.
        if !drain.wait.is_zero() && !interrupted() {
            let rest = self.reach.executor.pause(drain.wait);
            let (what, limit) = (WaitingFor::DrainWait, Some(drain.wait));
            self.watched(service, || drained.len(), what, limit, rest)
                .await;
        }
        if interrupted() {
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
            let changed = self.change(&spec.on_interrupt(on_interrupt)).await;
            changed.err().map(|error| (*name, error))
        });
        join_all(runs).await.into_iter().flatten().collect()
    }
}
