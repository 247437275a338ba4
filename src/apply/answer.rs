//! After a failure: the logs of what failed, then the way back, and nothing that was made stays.

use std::time::Duration;

use tokio::time::Instant;

use super::{Aftermath, Event, Failure, Run, Stop, Suspect, together};
use crate::error::{Error, Kind};
use crate::plan::done::Deed;
use crate::plan::{Step, undo};
use crate::project::Project;
use crate::project::observed::{Replica, State};

/// Time between two looks at what may still come.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// How long nothing new may have come after Compose was cut short; longer where it told of containers that are
/// not seen yet.
const SETTLE: Duration = Duration::from_secs(3);
const SETTLE_ANNOUNCED: Duration = Duration::from_secs(5);
/// So many times as long as a look takes: what a busy engine needs for one creation.
const LOOKS_OF_PATIENCE: u32 = 20;
/// All of it together at the most.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// How often what is left to take back is planned anew.
const TRIES: u32 = 4;
/// Lines of a failed replica's log that are shown.
const LOG_LINES: u32 = 10;

impl Run<'_> {
    /// Answers a failure: reads logs, rolls back unless told not to.
    pub(super) async fn clean_up(&self, stop: Stop) -> Failure {
        let now = self.patient_now().await;
        let logs = match &now {
            Ok(now) => self.logs(&stop, now).await,
            Err(_) => Vec::new(),
        };
        let nothing_changed = self.commands.borrow().is_empty();
        let aftermath = match now {
            _ if nothing_changed => Aftermath::Untouched,
            _ if self.options.keep || !stop.worth_rolling_back => Aftermath::Kept,
            Err(lost) => Aftermath::RollbackFailed(lost.error.message),
            Ok(_) => {
                (self.emit)(Event::RollingBack {
                    because: stop.error.message.clone(),
                });
                self.rolled_back(stop.unsettled).await
            }
        };
        let mut error = stop.error;
        for suspect in &stop.suspects {
            error = error.hint(match aftermath {
                Aftermath::Kept => {
                    format!("look at it: {}", self.reach.engine.look_at(&suspect.name))
                }
                _ => "leave it there to look at it: rscale --keep ...".to_owned(),
            });
        }
        let done = self.done.borrow();
        let drained: Vec<&str> = done.drained.values().map(|one| one.name.as_str()).collect();
        if !drained.is_empty() {
            error = error.hint(format!(
                "drained and still there, so it may take no more work: {} (or write `drain.undo`)",
                self.reach.engine.replace(&drained)
            ));
        }
        Failure {
            error,
            service: stop.service,
            logs,
            aftermath,
        }
    }

    /// Rolls back, and looks whether it is so.
    async fn rolled_back(&self, unsettled: bool) -> Aftermath {
        if let Err(error) = self.roll_back(unsettled).await {
            let message = if error.is_interrupted() {
                "interrupted again".to_owned()
            } else {
                error.message
            };
            let left = match self.now().await {
                Ok(now) => self.left(&now),
                Err(_) => vec!["not known".to_owned()],
            };
            return Aftermath::RollbackFailed(match left.as_slice() {
                [] => message,
                left => format!("{message}; made and left: {}", left.join(", ")),
            });
        }
        let now = match self.patient_now().await {
            Ok(now) => now,
            Err(lost) => return Aftermath::RollbackFailed(lost.error.message),
        };
        let left = self.left(&now);
        if !left.is_empty() {
            let left = left.join(", ");
            return Aftermath::RollbackFailed(format!("{left} could not be taken away"));
        }
        let fallen = self.fallen(&now);
        if !fallen.is_empty() {
            let fallen = fallen.join(", ");
            return Aftermath::RollbackFailed(format!("ran before, and not now: {fallen}"));
        }
        for service in self.differing(&now) {
            (self.emit)(Event::Note(format!(
                "`{service}` has its former count again, but not its former replicas: those that were brought back are of \
                 the configuration and image of now"
            )));
        }
        Aftermath::RolledBack
    }

    /// The last lines of the replicas that failed: those named by the verification, else new ones that
    /// exited.
    async fn logs(&self, stop: &Stop, now: &Project) -> Vec<(String, String)> {
        let mut names: Vec<Suspect> = stop.suspects.clone();
        if names.is_empty() && !stop.error.is_interrupted() {
            let exited =
                |replica: &&Replica| replica.state == State::Exited && self.is_new(replica);
            let touched = self.touched();
            let suspects = touched
                .keys()
                .flat_map(|service| now.replicas(service))
                .filter(exited);
            names.extend(suspects.take(1).map(Suspect::from));
        }
        let mut logs = Vec::new();
        for Suspect { id, name } in names {
            let engine = self.reach.engine;
            let mut specs = vec![engine.logs(&id, &name, LOG_LINES)];
            // What was just started again has not said anything yet.
            specs.extend(engine.earlier_logs(&name, LOG_LINES));
            for spec in specs {
                let Ok(output) = self.reach.run(&spec, None).await else {
                    continue;
                };
                let text = format!("{}{}", output.stdout, output.stderr);
                if !text.trim().is_empty() {
                    logs.push((name, text.trim_end().to_owned()));
                    break;
                }
            }
        }
        logs
    }

    /// Takes back what was done: plans it from what is there, does it, and looks again until nothing is left and
    /// nothing more can come. A part that fails does not keep the others from being tried.
    async fn roll_back(&self, unsettled: bool) -> Result<(), Error> {
        self.rolling_back.set(true);
        let began = Instant::now();
        let mut tries = 0;
        let mut quiet_since = Instant::now();
        let refreshes = loop {
            let looked = Instant::now();
            let now = self.patient_now().await.map_err(|stop| stop.error)?;
            let looking = looked.elapsed();
            let done = self.done.borrow().clone();
            let undo = undo(self.before, &now, &done, self.options.stop_timeout);
            let (refreshes, steps): (Vec<Step>, Vec<Step>) = undo
                .steps
                .iter()
                .cloned()
                .partition(|step| matches!(step, Step::Refresh(_)));
            if !steps.is_empty() {
                if tries == 0 {
                    (self.emit)(Event::Undoing(undo.clone()));
                }
                tries += 1;
                match self.take_back(&steps).await {
                    Ok(()) => {
                        let services = undo.changes.iter().map(|change| change.service.clone());
                        self.note(Deed::BroughtBack(services.collect()));
                    }
                    // Once it is back, what is left is planned anew.
                    Err(error) if error.kind == Kind::EngineAway && tries < TRIES => continue,
                    Err(error) => {
                        let refreshed = self.take_back(&refreshes).await;
                        return Err::<(), _>(error).and(refreshed);
                    }
                }
                quiet_since = Instant::now();
                if tries < TRIES {
                    continue;
                }
                break refreshes;
            }
            if self.is_stopped() {
                return Err(Error::interrupted());
            }
            let patience = self.patience(&now, looking);
            if !unsettled || quiet_since.elapsed() >= patience || began.elapsed() >= SETTLE_LIMIT {
                break refreshes;
            }
            self.reach.executor.pause(BETWEEN_LOOKS).await;
        };
        self.take_back(&refreshes).await
    }

    /// How long nothing new may have come before it is believed that nothing will: after a creation was cut short
    /// the engine goes on with what it was asked, and a busy one takes its time.
    fn patience(&self, now: &Project, looking: Duration) -> Duration {
        let known = |name: &str| {
            let made = &self.done.borrow().made;
            let there = now.replicas.values().flatten();
            made.values().any(|one| one.name == name)
                || there.into_iter().any(|replica| replica.name == name)
        };
        let least = if self.announced.borrow().may_come(known) {
            SETTLE_ANNOUNCED
        } else {
            SETTLE
        };
        least.max(looking * LOOKS_OF_PATIENCE)
    }

    async fn take_back(&self, steps: &[Step]) -> Result<(), Error> {
        let mut outcome = Ok(());
        let mut rest = steps;
        while !rest.is_empty() && !self.is_stopped() {
            let (together, after) = rest.split_at(together(rest));
            if matches!(together[0], Step::Create(_)) {
                // What comes from here on is in the place of what was removed.
                self.restoring.set(true);
            }
            let performed = self.perform(together).await;
            outcome = outcome.and(performed.map(|_| ()).map_err(|stop| stop.error));
            rest = after;
        }
        if !self.restoring.get() {
            return outcome;
        }
        // What a creation brought is seen at the next look at the latest.
        let seen = self.now().await;
        self.restoring.set(false);
        outcome.and(seen.map(|_| ()).map_err(|stop| stop.error))
    }

    /// Services whose replicas were brought back from another configuration or image than those that were
    /// removed: their count is the former one, they are not.
    fn differing(&self, now: &Project) -> Vec<String> {
        let restored = self.restored.borrow();
        let done = self.done.borrow();
        let mut services: Vec<String> = now
            .replicas
            .values()
            .flatten()
            .filter(|replica| restored.contains(&replica.id))
            .filter(|replica| {
                let mut removed = done.brought_back.values();
                removed.any(|old| {
                    old.service == replica.service
                        && (old.config_hash != replica.config_hash
                            || old.image_id != replica.image_id)
                })
            })
            .map(|replica| replica.service.clone())
            .collect();
        services.sort();
        services.dedup();
        services
    }

    /// What this run stopped or drained, that ran before, is still there and does not run.
    fn fallen(&self, now: &Project) -> Vec<String> {
        let done = self.done.borrow();
        let touched = |id: &String| done.stopped.contains_key(id) || done.draining.contains_key(id);
        let ran = |replica: &Replica| {
            let mut before = self.before.replicas(&replica.service).iter();
            before.any(|old| old.id == replica.id && old.is_running())
        };
        let replicas = now.replicas.values().flatten();
        let fallen = replicas.filter(|one| touched(&one.id) && one.can_start() && ran(one));
        fallen.map(|one| format!("`{}`", one.name)).collect()
    }

    /// What this run made and is still there.
    fn left(&self, now: &Project) -> Vec<String> {
        let done = self.done.borrow();
        let replicas = now.replicas.values().flatten();
        let made = replicas.filter(|replica| done.made.contains_key(&replica.id));
        made.map(|replica| format!("`{}`", replica.name)).collect()
    }
}
