//! The one verifier: looks again and again until the judge is sure of every single replica. Owns time; what is
//! seen is judged in `judge`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::judge::{Fault, History, Look, Seen, ServiceSeen, Standard, Verdict, judge};
use super::{Event, Run, Stop};
use crate::engine::Control;
use crate::error::{Error, Kind};
use crate::plan::Counts;
use crate::project::Project;
use crate::project::observed::{Replica, Vitals};

/// Time between two looks: short at first, longer when it takes its time.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(50);
pub(super) const LAST_LOOK: Duration = Duration::from_millis(500);
/// How long before its window ends a replica's use of the processor is measured, which takes `docker stats` a
/// second or two.
const BEFORE_THE_END: Duration = Duration::from_millis(2500);

/// What is looked at, from look to look.
struct Looking<'c> {
    counts: &'c Counts,
    began: Instant,
    /// The replicas whose vitals are asked for, by service, and how many of them are wanted; none before the first
    /// look.
    replicas: BTreeMap<String, (u32, Vec<Replica>)>,
    /// Use of the processor in percent of one core, measured since the last look.
    usage: BTreeMap<String, f64>,
}

impl Looking<'_> {
    fn ids(&self) -> Vec<&str> {
        let replicas = self.replicas.values().flat_map(|(_, replicas)| replicas);
        replicas.map(|replica| replica.id.as_str()).collect()
    }
}

impl Run<'_> {
    /// Waits until every replica of these services is up for good. Gives the replicas, by name, that were
    /// unwell before the run and still are, and their services: theirs is no failure of this run.
    ///
    /// # Errors
    /// A replica failed, there are other replicas than wanted, the time is up, or rscale was interrupted.
    pub(super) async fn verify(&self, counts: &Counts) -> Result<BTreeMap<String, String>, Stop> {
        let replaces = matches!(self.reach.engine.control(), Control::Counts(_));
        let mut history = History::new(self.before, counts, replaces);
        let mut looking = Looking {
            counts,
            began: Instant::now(),
            replicas: BTreeMap::new(),
            usage: BTreeMap::new(),
        };
        let mut measured = BTreeSet::new();
        let mut rest = FIRST_LOOK;
        loop {
            let look = self.look(&mut looking).await?;
            history.note(&look);
            let judgement = judge(&look, &history, |service| self.standard(service));
            for (service, tally) in &judgement.tallies {
                self.note_progress(service, |progress| {
                    progress.wanted = counts[service];
                    progress.created = tally.there;
                    progress.started = tally.running;
                    progress.ready = tally.ready;
                });
            }
            for service in &judgement.done {
                self.note_verified(service);
            }
            self.note_watched(&judgement.watched);
            match judgement.verdict {
                Verdict::Ready => return Ok(judgement.unwell),
                Verdict::Failed(fault) => return Err(stop(fault)),
                Verdict::Waiting(_) if self.is_stopped() => {
                    return Err(Stop::new(Error::interrupted()));
                }
                Verdict::Waiting(_) => {}
            }
            let soon = judgement
                .doubtful
                .iter()
                .filter(|(_, left)| **left <= BEFORE_THE_END)
                .map(|(id, _)| (id.clone(), judgement.watched.values().max().copied()));
            let soon: Vec<_> = soon.filter(|one| !measured.contains(one)).collect();
            if soon.is_empty() {
                self.reach.executor.pause(rest).await;
            } else {
                let ids: Vec<&str> = soon.iter().map(|(id, _)| id.as_str()).collect();
                // What cannot be measured is not known to be busy.
                looking.usage = self.reach.usage(&ids).await.unwrap_or_default();
                measured.extend(soon);
            }
            rest = (rest * 3 / 2).min(LAST_LOOK);
        }
    }

    async fn look(&self, looking: &mut Looking<'_>) -> Result<Look, Stop> {
        let services = match self.reach.engine.control() {
            Control::Counts(_) => {
                let now = self.now().await?;
                let counts = looking.counts.iter();
                counts
                    .map(|(service, &wanted)| (service.clone(), kept(&now, service, wanted)))
                    .collect()
            }
            Control::Containers(_) => self.vital_look(looking).await?,
        };
        Ok(Look {
            at: looking.began.elapsed(),
            services,
        })
    }

    /// A look at containers: they are listed once, and again when one of them is gone.
    async fn vital_look(
        &self,
        looking: &mut Looking<'_>,
    ) -> Result<BTreeMap<String, ServiceSeen>, Stop> {
        if looking.replicas.is_empty() {
            let (now, ()) = tokio::join!(self.now(), self.ask_the_time());
            looking.replicas = self.ours(&now?, looking.counts);
        }
        let ids = looking.ids();
        let mut vitals = self.vitals(&ids).await?;
        if vitals.len() < ids.len() {
            let now = self.now().await?;
            looking.replicas = self.ours(&now, looking.counts);
            vitals = self.vitals(&looking.ids()).await?;
        }
        let seen = |replica: &Replica| {
            let vitals = vitals.get(&replica.id)?;
            let usage = looking.usage.get(&replica.id).copied();
            Some(self.seen(replica, vitals, usage))
        };
        let services = looking
            .replicas
            .iter()
            .map(|(service, (wanted, replicas))| {
                let seen = ServiceSeen {
                    wanted: *wanted,
                    replicas: replicas.iter().filter_map(seen).collect(),
                    ..ServiceSeen::default()
                };
                (service.clone(), seen)
            });
        let services = services.collect();
        looking.usage.clear();
        Ok(services)
    }

    /// The replicas that are this run's to verify, and how many of them are wanted. What somebody else made meanwhile
    /// is told of and left alone; it counts, but is nobody's to vouch for.
    fn ours(&self, now: &Project, counts: &Counts) -> BTreeMap<String, (u32, Vec<Replica>)> {
        let of_service = counts.iter().map(|(service, wanted)| {
            let replicas = now.replicas(service).iter();
            let (ours, strangers): (Vec<&Replica>, Vec<&Replica>) =
                replicas.partition(|replica| !self.is_strange(replica));
            self.note_strangers(service, &strangers);
            let others = u32::try_from(strangers.len()).unwrap_or(u32::MAX);
            let there = u32::try_from(ours.len()).unwrap_or(u32::MAX);
            let wanted = if others > 0 {
                wanted.saturating_sub(others).max(there.min(*wanted))
            } else {
                *wanted
            };
            (
                service.clone(),
                (wanted, ours.into_iter().cloned().collect()),
            )
        });
        of_service.collect()
    }

    async fn vitals(&self, ids: &[&str]) -> Result<BTreeMap<String, Vitals>, Stop> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let vitals = self.reach.vitals(ids).await.map_err(Stop::new)?;
        let by_id = vitals.into_iter().map(|vitals| (vitals.id.clone(), vitals));
        Ok(by_id.collect())
    }

    fn seen(&self, replica: &Replica, vitals: &Vitals, usage: Option<f64>) -> Seen {
        Seen {
            state: vitals.state,
            health: vitals.health,
            restarts: vitals.restarts,
            exit_code: Some(vitals.exit_code),
            out_of_memory: vitals.out_of_memory,
            reason: Some(vitals.error.clone()).filter(|error| !error.is_empty()),
            uptime: self.uptime(vitals),
            started_at: vitals.started_at.clone(),
            cpu_percent: usage,
            ..Seen::listed(replica)
        }
    }

    fn standard(&self, service: &str) -> Standard {
        Standard {
            stable: self.options.stable,
            limit: self.wait_limit(service),
        }
    }

    /// Reads the engine's clock once. Without it, uptimes count from when they were first seen.
    async fn ask_the_time(&self) {
        if self.clock.get().is_none() {
            self.clock
                .set(self.reach.info().await.ok().map(|(_, clock)| clock));
        }
    }

    /// How long a replica has been up by the engine's own clock; this machine's may differ.
    fn uptime(&self, vitals: &Vitals) -> Option<Duration> {
        let started: Timestamp = vitals.started_at.parse().ok()?;
        let clock = self.clock.get()?;
        let engine_now = clock
            .engine_time?
            .checked_add(clock.read_at.elapsed())
            .ok()?;
        Duration::try_from(engine_now.duration_since(started)).ok()
    }

    fn note_strangers(&self, service: &str, strangers: &[&Replica]) {
        let mut known = self.strangers.borrow_mut();
        for stranger in strangers {
            if known.insert(stranger.id.clone()) {
                (self.emit)(Event::Note(format!(
                    "something else made `{}` of `{service}` meanwhile; it is left alone",
                    stranger.name
                )));
            }
        }
    }
}

/// A service at one look at an engine that keeps counts.
fn kept(now: &Project, service: &str, wanted: u32) -> ServiceSeen {
    let replicas = now.replicas(service).iter();
    let failures = now.failures.iter();
    ServiceSeen {
        wanted,
        kept: Some(now.count(service)),
        replicas: replicas
            .filter(|one| !one.leaving)
            .map(Seen::listed)
            .collect(),
        updating: now.is_updating(service),
        trouble: now
            .deployed
            .get(service)
            .and_then(|one| one.trouble.clone()),
        failures: failures
            .filter(|one| one.service == service)
            .map(Seen::listed)
            .collect(),
    }
}

fn stop(fault: Fault) -> Stop {
    let error = Error::new(fault.kind, fault.why);
    let error = match (fault.kind, fault.late) {
        (_, true) => error.hint("give it longer: rscale --wait-timeout 5m ..."),
        (Kind::Changed, _) => error.hint("see what runs: rscale status"),
        _ => error,
    };
    Stop {
        suspects: fault.suspect.into_iter().collect(),
        ..Stop::new(error).at(fault.service)
    }
}
