//! Engines that keep counts: telling them, and waiting until what goes has gone.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::verify::{FIRST_LOOK, LAST_LOOK};
use super::{Event, Run, Stop, WaitingFor};
use crate::duration;
use crate::engine::cause::{already_gone, explain};
use crate::engine::steps::{chosen, release};
use crate::engine::{Control, Orchestrator};
use crate::error::{Error, Kind};
use crate::plan::SetCounts;
use crate::plan::done::Deed;
use crate::project::observed::Replica;

/// How long replicas that were told to go are waited for, on top of their grace.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// The grace of engines where nothing else is known: Swarm's is 10 s, that of Kubernetes 30 s.
const USUAL_GRACE: Duration = Duration::from_secs(30);
impl Run<'_> {
    /// Tells the engine new counts: drains what goes where that is known, tells, waits for the end of what
    /// goes.
    pub(super) async fn set_counts(&self, step: &SetCounts) -> Result<(), Stop> {
        let Control::Counts(engine) = self.reach.engine.control() else {
            return Err(Stop::new(self.reach.not_told()));
        };
        for (service, count) in &step.counts {
            self.note_progress(service, |progress| progress.wanted = *count);
        }
        // Chosen first: nothing is drained that may stay.
        self.choose(engine, step).await?;
        let drains = step.leaving.iter().map(|leaving| async move {
            self.drain(leaving).await?;
            self.pre_stop(leaving).await
        });
        join_all(drains)
            .await
            .into_iter()
            .collect::<Result<(), Stop>>()?;
        self.tell(engine, step).await?;
        let victims = step.leaving.iter().flat_map(|leaving| &leaving.victims);
        let ids = victims.map(|victim| victim.id.clone()).collect();
        self.note(Deed::Undrained(ids));
        if step.wait {
            self.wait_for_end(step).await?;
        }
        for (service, count) in &step.counts {
            if step.from.get(service).is_some_and(|from| from > count) {
                self.note_done(service);
            }
        }
        Ok(())
    }

    /// Has the chosen replicas go before the others. Where that is refused, the choice is left to the engine,
    /// unless the chosen ones are to be drained.
    async fn choose(&self, engine: &dyn Orchestrator, step: &SetCounts) -> Result<(), Stop> {
        for leaving in &step.leaving {
            let chosen = chosen(self.before, leaving);
            let Some(spec) = engine.prefer(self.before, &chosen, true) else {
                continue;
            };
            let service = &leaving.service;
            match self.change(&spec).await {
                Err(error) if !already_gone(&error) => {
                    let error = explain(&error);
                    let drained = leaving.drain.is_some() || !leaving.pre_stop.is_empty();
                    if drained || error.is_interrupted() {
                        return Err(Stop::new(error).at(service));
                    }
                    (self.emit)(Event::Note(format!(
                        "which replicas of `{service}` go is left to {}: {}",
                        engine.name(),
                        error.message
                    )));
                }
                _ => {
                    let ids = chosen.iter().map(|replica| replica.id.clone());
                    self.note(Deed::Preferred(ids.collect()));
                }
            }
        }
        Ok(())
    }

    /// Tells the engine; what it took is in `told`, and only that is told back after a failure.
    async fn tell(&self, engine: &dyn Orchestrator, step: &SetCounts) -> Result<(), Stop> {
        if !engine.checks_counts() {
            self.unchanged_by_others(step).await?;
        }
        let tellings = engine.scale(self.before, step);
        let told = join_all(tellings.iter().map(|telling| self.change(&telling.spec))).await;
        let mut failed = None;
        for (telling, outcome) in tellings.iter().zip(told) {
            let services = &telling.services;
            let error = outcome.err();
            let found = error.as_ref().and_then(|error| engine.count_found(error));
            if found.is_none() {
                // After any other failure it may have been taken all the same.
                self.disturb(services);
                let counts = services
                    .iter()
                    .filter_map(|service| Some((service.clone(), *step.counts.get(service)?)));
                self.note(Deed::Telling(counts.collect()));
            }
            let Some(error) = error else {
                continue;
            };
            let error = match (services.as_slice(), found) {
                ([only], Some(found)) => {
                    let expected = step.from.get(only).copied().unwrap_or_default();
                    changed_before(only, expected, found)
                }
                _ => explain(&error),
            };
            let stop = Stop::new(error);
            failed.get_or_insert(match services.as_slice() {
                [only] => stop.at(only),
                _ => stop,
            });
        }
        failed.map_or(Ok(()), Err)
    }

    /// Looks whether the counts are still what they are expected to be, where the engine does not look itself:
    /// what somebody else set a moment ago is not overwritten.
    async fn unchanged_by_others(&self, step: &SetCounts) -> Result<(), Stop> {
        let now = self.now().await?;
        for (service, &expected) in &step.from {
            let found = now.count(service);
            if found != expected {
                return Err(Stop::new(changed_before(service, expected, found)).at(service));
            }
        }
        Ok(())
    }

    /// Waits until the replicas that were told to go have ended. The engine counts them no more, so one that
    /// does not end is told of, and no failure.
    async fn wait_for_end(&self, step: &SetCounts) -> Result<(), Stop> {
        let shrunk = step
            .counts
            .iter()
            .filter(|(service, count)| step.from.get(*service).is_some_and(|from| from > count));
        let waits = shrunk.map(|(service, &count)| async move {
            let leaving = step.leaving.iter().find(|one| one.service == *service);
            let deployed = self.before.deployed.get(service);
            let grace = leaving
                .and_then(|leaving| leaving.grace)
                .or_else(|| deployed.and_then(|deployed| deployed.grace))
                .unwrap_or(USUAL_GRACE);
            let surplus = (step.from[service] - count) as usize;
            let wait = self.ended(service, count, grace + END_TIMEOUT);
            self.watched(service, || surplus, WaitingFor::End, Some(grace), wait)
                .await
        });
        join_all(waits).await.into_iter().collect()
    }

    async fn ended(&self, service: &str, wanted: u32, limit: Duration) -> Result<(), Stop> {
        let began = Instant::now();
        let mut rest = FIRST_LOOK;
        loop {
            let now = self.now().await?;
            let count = now.count(service);
            if count != wanted {
                return Err(Stop::new(changed_by_another(service, wanted, count)).at(service));
            }
            let replicas = now.replicas(service);
            let left: Vec<&Replica> = replicas.iter().filter(|replica| replica.leaving).collect();
            let staying = replicas.len() - left.len();
            // While replicas are replaced by newer ones there may be more.
            let surplus = staying > wanted as usize && !now.is_updating(service);
            if left.is_empty() && !surplus {
                return Ok(());
            }
            if self.is_stopped() {
                return Err(Stop::new(Error::interrupted()).at(service));
            }
            if began.elapsed() > limit {
                let limit = duration::show(limit);
                if surplus {
                    let error = Error::new(
                        Kind::TimedOut,
                        format!(
                            "`{service}` is told to have {wanted}, and still has {staying} after {limit}"
                        ),
                    );
                    return Err(Stop::new(error).at(service));
                }
                let names: Vec<String> = left.iter().map(|one| format!("`{}`", one.name)).collect();
                let have = if names.len() == 1 { "has" } else { "have" };
                (self.emit)(Event::Note(format!(
                    "{} {have} not ended after {limit}; the engine does not count {} any more",
                    names.join(", "),
                    if names.len() == 1 { "it" } else { "them" }
                )));
                return Ok(());
            }
            self.reach.executor.pause(rest).await;
            rest = (rest * 3 / 2).min(LAST_LOOK);
        }
    }

    /// Has replicas that were chosen to go first be like any other again.
    pub(super) async fn release(&self, ids: &[String]) -> Result<(), Stop> {
        let Control::Counts(engine) = self.reach.engine.control() else {
            return Ok(());
        };
        let now = self.now().await?;
        if let Some(spec) = release(&now, ids, engine) {
            let changed = self.change(&spec).await;
            changed.map_err(|error| Stop::new(explain(&error)))?;
        }
        self.note(Deed::Released(ids.to_vec()));
        Ok(())
    }
}

fn changed_before(service: &str, expected: u32, found: u32) -> Error {
    Error::new(Kind::Changed, format!(
        "`{service}` was expected to have {expected}, but something else set it to {found} meanwhile"
    ))
    .hint("see what runs: rscale status")
}

fn changed_by_another(service: &str, wanted: u32, count: u32) -> Error {
    Error::new(
        Kind::Changed,
        format!(
            "`{service}` was told to have {wanted}, and something else set it to {count} meanwhile"
        ),
    )
    .hint("see what runs: rscale status")
}

/// Replicas that count and run.
pub(super) fn staying(replicas: &[Replica]) -> Vec<Replica> {
    let staying = replicas.iter().filter(|replica| !replica.leaving);
    staying.cloned().collect()
}
