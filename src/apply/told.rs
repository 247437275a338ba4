//! Engines that keep counts: telling them, waiting until what they run is what was told, telling them back.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::verify::{FIRST_LOOK, LAST_LOOK, RESTART_LIMIT};
use super::{Event, Run, Stop, Suspect, WaitingFor};
use crate::duration;
use crate::engine::cause::{already_gone, explain};
use crate::engine::steps::chosen;
use crate::engine::{Control, Orchestrator};
use crate::error::{Error, Kind};
use crate::plan::{Counts, SetCounts};
use crate::project::Project;
use crate::project::observed::{Health, Replica, State};

/// How long replicas that were told to go are waited for, on top of their grace.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// The grace of engines where nothing else is known: Swarm's is 10 s, that of Kubernetes 30 s.
const USUAL_GRACE: Duration = Duration::from_secs(30);
/// How late a manager hears that a replica ended: that much more than `--stable` it must have been seen to run.
const NEWS: Duration = Duration::from_secs(1);
/// How long a replica must run whose predecessor failed in this run: a crash loop is up for a moment each time. It is
/// what Swarm's own `docker service scale` waits.
const AFTER_A_FAILURE: Duration = Duration::from_secs(5);
/// How long the engine may say that it cannot make more replicas before that is believed: what ends makes room.
const TROUBLE_LASTS: Duration = Duration::from_secs(10);

/// What was seen of a replica at the first look.
struct FirstLook {
    at: Instant,
    restarts: u32,
}

/// How one service stands.
enum Verdict {
    Ready,
    /// Not yet; which replica (or the service) waits for what.
    Waiting(String),
    Failed {
        why: String,
        suspect: Option<Suspect>,
    },
}

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
        for victim in step.leaving.iter().flat_map(|leaving| &leaving.victims) {
            self.drained.borrow_mut().remove(&victim.name);
        }
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
                _ => self
                    .preferred
                    .borrow_mut()
                    .extend(chosen.iter().map(|replica| replica.id.clone())),
            }
        }
        Ok(())
    }

    /// Tells the engine; what it took is in `told`, and only that is told back after a failure.
    async fn tell(&self, engine: &dyn Orchestrator, step: &SetCounts) -> Result<(), Stop> {
        let tellings = engine.scale(self.before, step);
        let told = join_all(tellings.iter().map(|telling| self.change(&telling.spec))).await;
        let mut failed = None;
        for (telling, outcome) in tellings.iter().zip(told) {
            let services = &telling.services;
            let error = outcome.err();
            let found = error.as_ref().and_then(|error| engine.count_found(error));
            if found.is_none() {
                // After any other failure it may have been taken all the same.
                self.note_disturbed(services);
                let counts = services
                    .iter()
                    .filter_map(|service| Some((service.clone(), *step.counts.get(service)?)));
                self.told.borrow_mut().extend(counts);
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
            if self.reach.executor.interrupted() && !self.rolling_back.get() {
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

    /// Waits until every replica of these services is up for good. Gives the replicas, by name, that were
    /// unwell before the run and still are, and their services: theirs is no failure of this scale.
    ///
    /// # Errors
    /// A replica failed, another count was set meanwhile, the time is up, or rscale was interrupted.
    pub(super) async fn settle(&self, counts: &Counts) -> Result<BTreeMap<String, String>, Stop> {
        let deadline = Instant::now() + self.options.wait_timeout;
        let mut first_looks: BTreeMap<String, FirstLook> = BTreeMap::new();
        let mut rest = FIRST_LOOK;
        loop {
            let now = self.now().await?;
            let mut unwell = BTreeMap::new();
            let mut waiting = None;
            for (service, &wanted) in counts {
                let count = now.count(service);
                if count != wanted {
                    return Err(Stop::new(changed_by_another(service, wanted, count)).at(service));
                }
                match self.stands(&now, service, wanted, &mut first_looks, &mut unwell) {
                    Verdict::Ready => self.note_verified(service),
                    Verdict::Waiting(what) => {
                        waiting.get_or_insert((service, what));
                    }
                    Verdict::Failed { why, suspect } => {
                        return Err(Stop {
                            suspects: suspect.into_iter().collect(),
                            ..Stop::new(Error::new(Kind::Replica, why)).at(service)
                        });
                    }
                }
            }
            let Some((service, what)) = waiting else {
                return Ok(unwell);
            };
            if self.reach.executor.interrupted() && !self.rolling_back.get() {
                return Err(Stop::new(Error::interrupted()));
            }
            if Instant::now() >= deadline {
                let limit = duration::show(self.options.wait_timeout);
                let error = Error::new(Kind::Replica, format!("{what} after {limit}"))
                    .hint("give it longer: rscale --wait-timeout 5m ...");
                let stop = Stop::new(error).at(service);
                let late = now.replicas(service).iter().find(|replica| {
                    !replica.leaving && what.starts_with(&format!("`{}`", replica.name))
                });
                return Err(Stop {
                    suspects: late.map(Suspect::of).into_iter().collect(),
                    ..stop
                });
            }
            self.reach.executor.pause(rest).await;
            rest = (rest * 3 / 2).min(LAST_LOOK);
        }
    }

    fn stands(
        &self,
        now: &Project,
        service: &str,
        wanted: u32,
        first_looks: &mut BTreeMap<String, FirstLook>,
        unwell: &mut BTreeMap<String, String>,
    ) -> Verdict {
        let staying: Vec<&Replica> = now
            .replicas(service)
            .iter()
            .filter(|replica| !replica.leaving)
            .collect();
        if let Some(failed) = self.failed_for_good(now, service) {
            return failed;
        }
        let (mut waiting, mut ready) = (None, 0);
        for replica in &staying {
            let first = first_looks
                .entry(replica.id.clone())
                .or_insert_with(|| FirstLook {
                    at: Instant::now(),
                    restarts: if self.is_new(replica) {
                        self.failures_before(replica)
                    } else {
                        replica.restarts.unwrap_or(0)
                    },
                });
            if !replica.is_running() {
                first.at = Instant::now();
            }
            let restarts = replica.restarts.unwrap_or(0).saturating_sub(first.restarts);
            let ran_before = self
                .before
                .replicas(service)
                .iter()
                .any(|old| old.id == replica.id && old.is_good());
            // Zero asks for no window at all.
            let window = match self.options.stable {
                Duration::ZERO => Duration::ZERO,
                stable if restarts > 0 => stable.max(AFTER_A_FAILURE),
                stable => stable + NEWS,
            };
            let up = ran_before || first.at.elapsed() >= window;
            let because = || match &replica.reason {
                Some(reason) => format!("`{}` {reason}", replica.name),
                None => format!("`{}` is {}", replica.name, replica.state),
            };
            if self.was_unwell_before(replica) && !replica.is_good() {
                unwell.insert(replica.name.clone(), service.to_owned());
                continue;
            }
            if replica.failing || restarts >= RESTART_LIMIT {
                let why = if replica.failing {
                    because()
                } else {
                    format!("`{}` restarted {restarts} times", replica.name)
                };
                return Verdict::Failed {
                    why,
                    suspect: Some(Suspect::of(replica)),
                };
            }
            match (replica.state, replica.health) {
                (State::Running, None) if !up => {
                    let window = duration::show(window);
                    waiting.get_or_insert(format!(
                        "`{}` has not been up for {window} yet",
                        replica.name
                    ));
                }
                (State::Running, None | Some(Health::Healthy)) => ready += 1,
                (State::Running, Some(Health::Starting | Health::Unhealthy))
                    if replica.reason.is_none() =>
                {
                    waiting.get_or_insert(format!("`{}` is not healthy yet", replica.name));
                }
                _ => {
                    waiting.get_or_insert(because());
                }
            }
        }
        let there = u32::try_from(staying.len()).unwrap_or(u32::MAX);
        self.note_progress(service, |progress| {
            progress.wanted = wanted;
            progress.created = there;
            progress.started = u32::try_from(staying.iter().filter(|one| one.is_running()).count())
                .unwrap_or(u32::MAX);
            progress.ready = ready;
        });
        // While replicas are replaced by newer ones there are more of them, and some of them on their way.
        if ready >= wanted && there >= wanted && now.is_updating(service) {
            return Verdict::Ready;
        }
        if there != wanted {
            match self.missing(now, service, there, wanted) {
                Verdict::Waiting(what) => {
                    waiting.get_or_insert(what);
                }
                verdict => return verdict,
            }
        }
        waiting.map_or(Verdict::Ready, Verdict::Waiting)
    }

    /// A failure that will not go away: of a replica that keeps crashing.
    fn failed_for_good(&self, now: &Project, service: &str) -> Option<Verdict> {
        let crashing = self.crashing(now, service, RESTART_LIMIT)?;
        let reason = crashing.reason.as_deref().unwrap_or("failed");
        Some(Verdict::Failed {
            why: format!("`{}` {reason}, {RESTART_LIMIT} times", crashing.name),
            suspect: Some(Suspect::of(crashing)),
        })
    }

    /// How a service stands that has another number of replicas than was told: the engine is still at it, or says
    /// why it cannot make more, or a replica failed and nothing takes its place.
    fn missing(&self, now: &Project, service: &str, there: u32, wanted: u32) -> Verdict {
        let short = format!("`{service}` has {there} of {wanted} replicas");
        let deployed = now.deployed.get(service);
        let failed = self.crashing(now, service, 1).filter(|failed| {
            let mut replicas = now.replicas(service).iter();
            !replicas.any(|one| one.name == failed.name && !one.leaving)
        });
        let trouble = deployed.and_then(|deployed| deployed.trouble.clone());
        let trouble = trouble.or_else(|| {
            let failed = failed?;
            let reason = failed.reason.as_deref().unwrap_or("failed");
            Some(format!(
                "`{}` {reason}, and is not started again",
                failed.name
            ))
        });
        let Some(trouble) = trouble.filter(|_| there < wanted) else {
            return Verdict::Waiting(short);
        };
        let why = format!("{short}: {trouble}");
        let mut troubled = self.troubled.borrow_mut();
        let (since, had) = troubled
            .entry(service.to_owned())
            .or_insert((Instant::now(), there));
        if *had != there {
            (*since, *had) = (Instant::now(), there);
        }
        if since.elapsed() < TROUBLE_LASTS {
            return Verdict::Waiting(why);
        }
        Verdict::Failed {
            why,
            suspect: failed.map(Suspect::of),
        }
    }

    /// The latest failure of a replica that failed so often in this run. What kept failing before is no failure
    /// of this scale.
    fn crashing<'p>(&self, now: &'p Project, service: &str, times: u32) -> Option<&'p Replica> {
        let is_new = |failure: &&Replica| {
            let known = self.before.failures.iter().any(|old| old.id == failure.id);
            !known && !self.was_unwell_before(failure)
        };
        let failures: Vec<&Replica> = now
            .failures
            .iter()
            .filter(|failure| failure.service == service)
            .filter(is_new)
            .collect();
        let often = |failure: &&&Replica| {
            let same = failures.iter().filter(|other| other.name == failure.name);
            same.count() >= times as usize
        };
        failures.iter().find(often).copied()
    }

    /// How often replicas failed before the run that had the name that this one has now: an engine may
    /// remember them, and count them as restarts.
    fn failures_before(&self, replica: &Replica) -> u32 {
        let failures = self.before.failures.iter();
        let same = failures.filter(|failure| failure.name == replica.name);
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    /// Whether a replica was not well before, or the one whose place it took. One that keeps crashing runs for
    /// a moment again and again; one that was on its way is waited for like any other.
    fn was_unwell_before(&self, replica: &Replica) -> bool {
        let crashed = |old: &Replica| {
            let failures = self.before.failures.iter();
            failures.filter(|failure| failure.name == old.name).count() >= RESTART_LIMIT as usize
        };
        let mut before = self.before.replicas(&replica.service).iter();
        before.any(|old| {
            let on_its_way = old.state == State::Created && old.reason.is_none() && !old.failing;
            let unwell = !old.is_good() && !on_its_way;
            !old.leaving && self.is_same(old, replica) && (unwell || crashed(old))
        })
    }

    /// Tells the engine the counts from before, for every service whose count is still the one that this run
    /// told; what somebody else set meanwhile is left alone.
    pub(super) async fn tell_back(&self, now: &Project) -> Result<(), Error> {
        let Control::Counts(engine) = self.reach.engine.control() else {
            return Ok(());
        };
        let told = self.told.borrow().clone();
        let ours: Counts = told
            .into_iter()
            .filter(|(service, count)| {
                now.count(service) == *count && self.before.count(service) != *count
            })
            .collect();
        let mut outcome = self.choose_no_more(engine, now).await;
        if !ours.is_empty() {
            let step = SetCounts {
                counts: ours
                    .keys()
                    .map(|service| (service.clone(), self.before.count(service)))
                    .collect(),
                from: ours,
                leaving: Vec::new(),
                wait: true,
            };
            let told = async {
                self.tell(engine, &step).await?;
                self.wait_for_end(&step).await?;
                let grown: Counts = step
                    .counts
                    .iter()
                    .filter(|(service, count)| step.from[*service] < **count)
                    .map(|(service, count)| (service.clone(), *count))
                    .collect();
                self.settle(&grown).await.map(|_| ())
            };
            outcome = outcome.and(told.await.map_err(|stop| stop.error));
        }
        outcome
    }

    async fn choose_no_more(&self, engine: &dyn Orchestrator, now: &Project) -> Result<(), Error> {
        let preferred = self.preferred.borrow().clone();
        let still_there: Vec<&Replica> = now
            .replicas
            .values()
            .flatten()
            .filter(|replica| !replica.leaving && preferred.contains(&replica.id))
            .collect();
        if still_there.is_empty() {
            return Ok(());
        }
        match engine.prefer(now, &still_there, false) {
            Some(spec) => self.change(&spec).await.map_err(|error| explain(&error)),
            None => Ok(()),
        }
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
