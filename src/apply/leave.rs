//! Replicas that go: drain, its wait, `pre_stop` hooks, SIGTERM, grace, removal; then the refresh.

use std::cell::Cell;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{Event, Run, Stop, WaitingFor};
use crate::engine::cause::{already_gone, explain, explain_inside, has_ended};
use crate::engine::steps::{HOOK_TIMEOUT, handles, hook, removal, shares, undrain};
use crate::engine::{Containers, Control};
use crate::error::Error;
use crate::exec::{CommandError, OnInterrupt};
use crate::plan::done::{Deed, Touched};
use crate::plan::{RefreshOthers, Remove, Step, Undrain, Victim};
use crate::project::declared::Hook;
use crate::project::observed::{Handle, State};

/// How long the first replica has been gone when balancers are told although others still finish; those
/// that end together are told of together.
const BEFORE_EARLY_REFRESH: Duration = Duration::from_secs(1);
/// How long an engine may take to say that a replica has ended, and how long between two looks.
const UNTIL_TOLD: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Whether a command was ended by SIGKILL or SIGTERM, as a shell and docker tell it: 128 and the signal.
fn was_killed(error: &CommandError) -> bool {
    let killed = |status: &str| status.ends_with(" 137") || status.ends_with(" 143");
    matches!(error, CommandError::Failed { status, .. } if killed(status))
}

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
                    Step::Remove(step) => self.end_drained(step, refresh).await?,
                    Step::Refresh(step) => self.refresh(step).await?,
                    _ => {}
                }
            }
            Ok(())
        });
        join_all(chains).await.into_iter().collect()
    }

    /// Stops and removes replicas. Balancers are told of those that have ended while others still finish.
    async fn end_drained(
        &self,
        step: &Remove,
        refresh: Option<&RefreshOthers>,
    ) -> Result<(), Stop> {
        let service = &step.service;
        let running = handles(&step.victims, |victim| victim.running);
        self.pre_stop(step).await?;
        self.disturb([service]);
        let left = Cell::new(running.len());
        let engine = self.reach.containers()?;
        let ending = self.end_all(engine, step, refresh, &left);
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
        let running = handles(&step.victims, |victim| victim.running);
        for hook in &step.pre_stop {
            let failures = self
                .run_inside(&running, hook, HOOK_TIMEOUT, OnInterrupt::Finish)
                .await;
            if let Some((Handle { name, .. }, error)) = failures.into_iter().next()
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
        refresh: Option<&RefreshOthers>,
        left: &Cell<usize>,
    ) -> Result<(), CommandError> {
        let mut ends: FuturesUnordered<_> = shares(&step.victims)
            .map(|share| self.end(engine, step, share, left))
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
        step: &Remove,
        share: &[Victim],
        left: &Cell<usize>,
    ) -> Result<(), CommandError> {
        let running = handles(share, |victim| victim.running);
        if !running.is_empty() {
            self.note(Deed::Stopping(self.touched_by(step, &running)));
            // One that is gone already is as good as stopped.
            gone_is_fine(self.change(&engine.stop(&running, step.grace)).await)?;
            left.set(left.get() - running.len());
        }
        let Some(removal) = removal(step, share, engine) else {
            return Ok(());
        };
        let all = handles(share, |_| true);
        self.note(Deed::Removing(self.touched_by(step, &all)));
        gone_is_fine(self.change(&removal).await)
    }

    /// Containers as they were before the run, with what they were made from.
    fn touched_by(&self, step: &Remove, containers: &[Handle]) -> Vec<Touched> {
        let before = self.before.replicas(&step.service);
        let of = |one: &Handle| {
            let known = before.iter().find(|replica| replica.id == one.id);
            known.map_or_else(
                || Touched {
                    id: one.id.clone(),
                    name: one.name.clone(),
                    service: step.service.clone(),
                    ..Touched::default()
                },
                Touched::from,
            )
        };
        containers.iter().map(of).collect()
    }

    /// Has a drained replica take work again, as the policy says how.
    pub(super) async fn undrain(&self, step: &Undrain) -> Result<(), Stop> {
        let failed = self.change(&undrain(step, self.reach.engine)).await.err();
        match failed.filter(|error| !has_ended(error)) {
            None => {
                self.note(Deed::Undrained(vec![step.replica.id.clone()]));
                if !self.rolling_back.get() {
                    let name = &step.replica.name;
                    (self.emit)(Event::Note(format!(
                        "`{name}` was drained by an earlier run, and takes work again"
                    )));
                }
                Ok(())
            }
            Some(error) => {
                let error = explain_inside(&error, &step.command);
                let message = format!(
                    "`{}` was drained, and `drain.undo` failed: {}",
                    step.replica.name, error.message
                );
                Err(Stop::new(error.worded(message)).at(&step.service))
            }
        }
    }

    /// Has replicas finish what they are at. When a command fails none of them goes, unless forced or in
    /// a roll-back.
    pub(super) async fn drain(&self, step: &Remove) -> Result<(), Stop> {
        let service = &step.service;
        let drained = handles(&step.victims, Victim::can_drain);
        let Some(drain) = step.drain.as_ref().filter(|_| !drained.is_empty()) else {
            return Ok(());
        };
        let hook = hook(&drain.exec);
        self.note(Deed::Draining(self.touched_by(step, &drained)));
        // It may block until a job is done, so an interruption does not wait for its end.
        let commands = self.run_inside(&drained, &hook, drain.timeout, OnInterrupt::Ask);
        let (what, limit) = (WaitingFor::DrainCommand, Some(drain.timeout));
        let mut failures = self
            .watched(service, || drained.len(), what, limit, commands)
            .await;
        failures.retain(|(_, error)| !has_ended(error));
        self.forgive_ended(&mut failures).await;
        let succeeded = |one: &&Handle| failures.iter().all(|(failed, _)| failed.id != one.id);
        let drained_well: Vec<Handle> = drained.iter().filter(succeeded).cloned().collect();
        if !failures.is_empty() {
            let failed = failures.iter().map(|(failed, _)| failed.id.clone());
            self.note(Deed::Undrained(failed.collect()));
        }
        self.note(Deed::Drained(self.touched_by(step, &drained_well)));
        let goes_on = self.options.force || self.rolling_back.get();
        if let Some((Handle { name, .. }, error)) = failures.first() {
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
        // An interruption during the command does not end a rest that begins after it.
        if !drain.wait.is_zero() && !self.is_stopped() {
            let rest = self.reach.executor.pause(drain.wait);
            let (what, limit) = (WaitingFor::DrainWait, Some(drain.wait));
            self.watched(service, || drained.len(), what, limit, rest)
                .await;
        }
        if self.is_stopped() {
            return Err(Stop::new(Error::interrupted()).at(service));
        }
        Ok(())
    }

    /// A drain may end the replica itself, and its command with it: that is no failure. Which have ended is asked
    /// of the engine, because the command's exit code cannot tell.
    async fn forgive_ended(&self, failures: &mut Vec<(Handle, CommandError)>) {
        let Control::Containers(_) = self.reach.engine.control() else {
            return;
        };
        let failed = |error: &CommandError| matches!(error, CommandError::Failed { .. });
        let began = Instant::now();
        loop {
            let ids: Vec<&str> = failures
                .iter()
                .filter(|(_, error)| failed(error))
                .map(|(one, _)| one.id.as_str())
                .collect();
            if ids.is_empty() {
                return;
            }
            let Ok(vitals) = self.reach.vitals(&ids).await else {
                return;
            };
            let runs = |id: &str| {
                let mut all = vitals.iter();
                all.any(|vitals| vitals.id == id && vitals.state == State::Running)
            };
            failures.retain(|(one, error)| !failed(error) || runs(&one.id));
            // What is in a container is killed when it ends, a moment before the engine says that it has ended.
            let may_end = failures.iter().any(|(_, error)| was_killed(error));
            if !may_end || began.elapsed() >= UNTIL_TOLD || self.is_stopped() {
                return;
            }
            self.reach.executor.pause(BETWEEN_LOOKS).await;
        }
    }

    /// Runs a command in several containers at once; those where it failed.
    async fn run_inside(
        &self,
        containers: &[Handle],
        hook: &Hook,
        timeout: Duration,
        on_interrupt: OnInterrupt,
    ) -> Vec<(Handle, CommandError)> {
        let runs = containers.iter().map(|container| async move {
            let spec = self.reach.engine.exec(container, hook, timeout);
            let changed = self.change(&spec.on_interrupt(on_interrupt)).await;
            changed.err().map(|error| (container.clone(), error))
        });
        join_all(runs).await.into_iter().flatten().collect()
    }
}

fn gone_is_fine(outcome: Result<(), CommandError>) -> Result<(), CommandError> {
    match outcome {
        Err(error) if !already_gone(&error) => Err(error),
        _ => Ok(()),
    }
}
