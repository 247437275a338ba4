//! Verification: nothing counts as up before the engine says so of every single replica.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Run, Stop, Suspect};
use crate::duration;
use crate::error::{Error, Kind};
use crate::plan::Counts;
use crate::project::observed::{Health, State, Vitals};

/// Time between two looks: short at first, longer when it takes its time.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(50);
pub(super) const LAST_LOOK: Duration = Duration::from_millis(500);
/// Restarts by the engine within one run after which a replica is taken to be crashing for good.
pub(super) const RESTART_LIMIT: u32 = 3;

/// How one replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Ready,
    /// Not yet; what it waits for.
    Waiting(String),
    /// It will not come up; why.
    Failed(String),
}

/// What decides about a replica besides its vitals.
#[derive(Debug, Clone, Copy)]
pub struct Standard {
    /// How long it must stay up without a healthcheck.
    pub stable: Duration,
    /// How long it has been up, as far as is known.
    pub uptime: Duration,
    /// How often the engine had restarted it when it was first looked at; 0 for a new one.
    pub restarts_before: u32,
}

/// Judges one replica.
pub fn judge(vitals: &Vitals, standard: Standard) -> Verdict {
    let restarts = vitals.restarts.saturating_sub(standard.restarts_before);
    let ended = || match (vitals.out_of_memory, vitals.error.as_str()) {
        (true, _) => format!("exited with code {}, out of memory", vitals.exit_code),
        (false, "") => format!("exited with code {}", vitals.exit_code),
        (false, error) => format!("could not be started: {error}"),
    };
    match (vitals.state, vitals.health) {
        _ if restarts >= RESTART_LIMIT => Verdict::Failed(format!(
            "restarted {restarts} times, last exit code {}",
            vitals.exit_code
        )),
        (State::Exited | State::Dead | State::Removing, _) => Verdict::Failed(ended()),
        (State::Created, _) if !vitals.error.is_empty() => Verdict::Failed(ended()),
        (State::Created, _) => Verdict::Waiting("is still in state `created`".into()),
        (State::Paused, _) => Verdict::Failed("is paused".into()),
        (State::Restarting, _) => Verdict::Waiting(format!(
            "is restarting, last exit code {}",
            vitals.exit_code
        )),
        (State::Running, Some(Health::Unhealthy)) => Verdict::Failed("became unhealthy".into()),
        (State::Running, Some(Health::Healthy)) => Verdict::Ready,
        (State::Running, Some(Health::Starting)) => Verdict::Waiting("is not healthy yet".into()),
        (State::Running, None) if standard.uptime >= standard.stable => Verdict::Ready,
        (State::Running, None) => Verdict::Waiting(format!(
            "has not been up for {} yet",
            duration::show(standard.stable)
        )),
    }
}

/// What was seen of a replica at the first look.
struct FirstLook {
    at: Instant,
    started_at: String,
    restarts: u32,
}

impl Run<'_> {
    /// Waits until every replica of these services is up for good. Gives the replicas, by name, that
    /// were unhealthy before the run and still are, and their services: theirs is no failure of this scale.
    ///
    /// # Errors
    /// A replica failed, fewer exist than wanted, the time is up, or rscale was interrupted.
    pub(super) async fn verify(&self, counts: &Counts) -> Result<BTreeMap<String, String>, Stop> {
        let (now, ()) = tokio::join!(self.now(), self.ask_the_time());
        let now = now?;
        for (service, &count) in counts {
            let there = now.count(service);
            if there != count {
                let error = Error::new(
                    Kind::Changed,
                    format!("`{service}` has {there} of the {count} replicas wanted"),
                )
                .hint("something else may be changing this project: docker compose ps --all");
                return Err(Stop::new(error).at(service));
            }
        }
        let replicas: BTreeMap<&str, (&str, &str)> = counts
            .keys()
            .flat_map(|service| now.replicas(service))
            .map(|replica| {
                (
                    replica.id.as_str(),
                    (replica.service.as_str(), replica.name.as_str()),
                )
            })
            .collect();
        let ids: Vec<&str> = replicas.keys().copied().collect();
        let deadline = Instant::now() + self.options.wait_timeout;
        let mut first_looks: BTreeMap<String, FirstLook> = BTreeMap::new();
        let mut rest = FIRST_LOOK;
        loop {
            let all = self.reach.vitals(&ids).await.map_err(Stop::new)?;
            let mut waiting: Vec<(&str, &str, String)> = Vec::new();
            let mut unwell = BTreeMap::new();
            let mut seen: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
            if all.len() < ids.len() {
                let gone = ids
                    .iter()
                    .find(|id| !all.iter().any(|vitals| vitals.id == **id));
                let (service, name) = gone.map_or(("", "a replica"), |id| replicas[id]);
                let error = Error::new(
                    Kind::Changed,
                    format!("`{name}` disappeared while it was being verified"),
                );
                return Err(Stop::new(error).at(service));
            }
            for vitals in &all {
                let (service, name) = replicas[vitals.id.as_str()];
                let standard = self.standard(vitals, &mut first_looks);
                let tally = seen.entry(service).or_default();
                tally.0 += u32::from(vitals.state == State::Running);
                match judge(vitals, standard) {
                    Verdict::Ready => tally.1 += 1,
                    Verdict::Waiting(what) => waiting.push((vitals.id.as_str(), name, what)),
                    Verdict::Failed(_)
                        if self.was_unwell(&vitals.id) && vitals.state == State::Running =>
                    {
                        unwell.insert(name.to_owned(), service.to_owned());
                    }
                    Verdict::Failed(why) => return Err(failed(service, &vitals.id, name, &why)),
                }
            }
            for (service, (running, ready)) in seen {
                if ready == counts[service] {
                    self.note_verified(service);
                }
                self.note_progress(service, |progress| {
                    progress.wanted = counts[service];
                    progress.created = counts[service];
                    progress.started = running;
                    progress.ready = ready;
                });
            }
            let Some((id, name, what)) = waiting.first() else {
                for service in counts.keys() {
                    self.note_verified(service);
                }
                return Ok(unwell);
            };
            if self.reach.executor.interrupted() && !self.rolling_back.get() {
                return Err(Stop::new(Error::interrupted()));
            }
            if Instant::now() >= deadline {
                let service = replicas
                    .values()
                    .find(|(_, other)| other == name)
                    .map_or("", |(service, _)| service);
                let limit = duration::show(self.options.wait_timeout);
                let stop = failed(service, id, name, &format!("{what} after {limit}"));
                return Err(Stop {
                    error: stop
                        .error
                        .hint("give it longer: rscale --wait-timeout 5m ..."),
                    ..stop
                });
            }
            self.reach.executor.pause(rest).await;
            rest = (rest * 3 / 2).min(LAST_LOOK);
        }
    }

    fn standard(&self, vitals: &Vitals, first_looks: &mut BTreeMap<String, FirstLook>) -> Standard {
        let new = !self
            .before
            .replicas
            .values()
            .flatten()
            .any(|old| old.id == vitals.id);
        let first = first_looks
            .entry(vitals.id.clone())
            .or_insert_with(|| FirstLook {
                at: Instant::now(),
                started_at: vitals.started_at.clone(),
                restarts: if new { 0 } else { vitals.restarts },
            });
        if first.started_at != vitals.started_at {
            first.at = Instant::now();
            first.started_at.clone_from(&vitals.started_at);
        }
        Standard {
            stable: self.options.stable,
            uptime: self
                .uptime(vitals)
                .unwrap_or(Duration::ZERO)
                .max(first.at.elapsed()),
            restarts_before: first.restarts,
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

    fn was_unwell(&self, id: &str) -> bool {
        self.before
            .replicas
            .values()
            .flatten()
            .any(|old| old.id == id && old.health == Some(Health::Unhealthy))
    }
}

fn failed(service: &str, id: &str, name: &str, why: &str) -> Stop {
    let error = Error::new(Kind::Replica, format!("`{name}` {why}"));
    Stop {
        suspects: vec![Suspect {
            id: id.to_owned(),
            name: name.to_owned(),
        }],
        ..Stop::new(error).at(service)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Standard, Verdict, judge};
    use crate::project::observed::{Health, State, Vitals};

    fn vitals(state: State, health: Option<Health>) -> Vitals {
        Vitals {
            id: "f00".into(),
            state,
            health,
            exit_code: 3,
            out_of_memory: false,
            error: String::new(),
            restarts: 0,
            started_at: String::new(),
        }
    }

    fn standard(uptime: u64) -> Standard {
        Standard {
            stable: Duration::from_secs(1),
            uptime: Duration::from_millis(uptime),
            restarts_before: 2,
        }
    }

    #[test]
    fn only_a_replica_that_is_up_for_good_is_ready() {
        let waiting = |what: &str| Verdict::Waiting(what.into());
        let failed = |why: &str| Verdict::Failed(why.into());
        for (state, health, uptime, verdict) in [
            (State::Running, None, 1000, Verdict::Ready),
            (
                State::Running,
                None,
                999,
                waiting("has not been up for 1s yet"),
            ),
            (State::Running, Some(Health::Healthy), 0, Verdict::Ready),
            (
                State::Running,
                Some(Health::Starting),
                9999,
                waiting("is not healthy yet"),
            ),
            (
                State::Running,
                Some(Health::Unhealthy),
                9999,
                failed("became unhealthy"),
            ),
            (
                State::Created,
                None,
                0,
                waiting("is still in state `created`"),
            ),
            (
                State::Restarting,
                None,
                0,
                waiting("is restarting, last exit code 3"),
            ),
            (State::Exited, None, 0, failed("exited with code 3")),
            (State::Dead, None, 0, failed("exited with code 3")),
            (State::Paused, None, 9999, failed("is paused")),
        ] {
            assert_eq!(
                judge(&vitals(state, health), standard(uptime)),
                verdict,
                "{state:?} {health:?}"
            );
        }
    }

    #[test]
    fn a_crash_loop_fails_and_former_restarts_do_not_count() {
        let mut replica = vitals(State::Running, None);
        replica.restarts = 4;
        assert_eq!(judge(&replica, standard(5000)), Verdict::Ready);
        replica.restarts = 5;
        assert_eq!(
            judge(&replica, standard(5000)),
            Verdict::Failed("restarted 3 times, last exit code 3".into())
        );
    }

    #[test]
    fn the_engines_own_words_are_passed_on() {
        let mut replica = vitals(State::Created, None);
        replica.error = "exec: \"nosuch\": not found".into();
        assert_eq!(
            judge(&replica, standard(0)),
            Verdict::Failed("could not be started: exec: \"nosuch\": not found".into())
        );
        let mut replica = vitals(State::Exited, None);
        replica.out_of_memory = true;
        assert_eq!(
            judge(&replica, standard(0)),
            Verdict::Failed("exited with code 3, out of memory".into())
        );
    }
}
