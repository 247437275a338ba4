//! After a failure: the logs of what failed, then the former counts, and nothing that was created stays.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Aftermath, Event, Failure, Run, Stop, Suspect};
use crate::engine::Control;
use crate::engine::cause::explain;
use crate::error::Error;
use crate::plan::{
    Counts, Pending, PlanOptions, Reason, RefreshOthers, Remove, Step, Victim, drain, grace, plan,
};
use crate::project::Project;
use crate::project::observed::{Replica, State};

/// Looks at the project after Compose was cut short: how far apart, how many without anything new are
/// enough, and how many there are at the most.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const QUIET_LOOKS: u32 = 2;
const LOOKS_AT_MOST: u32 = 20;
/// Lines of a failed replica's log that are shown.
const LOG_LINES: u32 = 10;

impl Run<'_> {
    /// Answers a failure: reads logs, rolls back unless told not to.
    pub(super) async fn clean_up(&self, stop: Stop) -> Failure {
        let now = self.now().await;
        let logs = match &now {
            Ok(now) => self.logs(&stop, now).await,
            Err(_) => Vec::new(),
        };
        let nothing_changed = self.commands.borrow().is_empty();
        let aftermath = match now {
            _ if nothing_changed => Aftermath::Untouched,
            _ if self.options.keep || !stop.worth_rolling_back => Aftermath::Kept,
            Err(lost) => Aftermath::RollbackFailed(lost.error.message),
            Ok(now) => {
                (self.emit)(Event::RollingBack {
                    because: stop.error.message.clone(),
                });
                match self.roll_back(now, stop.unsettled).await {
                    Ok(()) => Aftermath::RolledBack,
                    Err(error) => Aftermath::RollbackFailed(error.message),
                }
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
        let drained = self.drained.borrow();
        let drained: Vec<&str> = drained.keys().map(String::as_str).collect();
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
            names.extend(suspects.take(1).map(Suspect::of));
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

    /// Brings back what it can: a part that fails does not keep the others from being tried.
    async fn roll_back(&self, now: Project, unsettled: bool) -> Result<(), Error> {
        self.rolling_back.set(true);
        if let Control::Counts(_) = self.reach.engine.control() {
            let told = self.tell_back(&now).await;
            let undone = self.undo_drains().await;
            let refreshed = self.refresh_changed().await;
            return told.and(undone).and(refreshed);
        }
        let touched = self.touched();
        let removed = self.remove_all_created(&touched, now).await;
        let settled = if unsettled {
            self.remove_latecomers(&touched).await
        } else {
            Ok(())
        };
        let restarted = self.restart_stopped(&touched).await;
        let restored = self.restore_removed(&touched).await;
        let undone = self.undo_drains().await;
        let refreshed = self.refresh_changed().await;
        removed
            .and(settled)
            .and(restarted)
            .and(restored)
            .and(undone)
            .and(refreshed)
    }

    /// Balancers may have seen replicas come and go, so they are told of the set that is left.
    async fn refresh_changed(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        let disturbed = self.disturbed.borrow().clone();
        for name in disturbed {
            let Some(service) = self.before.service(&name) else {
                continue;
            };
            let step = RefreshOthers {
                service: name,
                refresh: service.policy.refresh.clone(),
                replicas: Pending::default(),
            };
            if !step.refresh.is_empty() {
                outcome = outcome.and(self.refresh(&step).await.map_err(|stop| stop.error));
            }
        }
        outcome
    }

    async fn remove_all_created(&self, touched: &Counts, now: Project) -> Result<(), Error> {
        let created = touched
            .keys()
            .filter_map(|service| self.created(service, now.replicas(service)));
        let removals: Vec<Remove> = created.collect();
        // Their anonymous volumes are as new as they are.
        let removals = removals.iter().map(|step| self.remove_created(step));
        let outcomes = join_all(removals).await;
        let outcome: Result<(), Stop> = outcomes.into_iter().collect();
        outcome.map_err(|stop| stop.error)
    }

    /// When one creation fails, Compose gives up on those beside it, but the engine goes on with what it
    /// was asked: such containers appear after Compose has ended.
    async fn remove_latecomers(&self, touched: &Counts) -> Result<(), Error> {
        let mut quiet = 0;
        for _ in 0..LOOKS_AT_MOST {
            self.reach.executor.pause(BETWEEN_LOOKS).await;
            let now = self.now().await.map_err(|stop| stop.error)?;
            let services = touched.keys().flat_map(|service| now.replicas(service));
            if services.into_iter().any(|replica| self.is_new(replica)) {
                quiet = 0;
                self.remove_all_created(touched, now).await?;
            } else {
                quiet += 1;
            }
            if quiet == QUIET_LOOKS {
                break;
            }
        }
        Ok(())
    }

    /// The removal of what this run created of a service. Replicas that run may work already, so they
    /// have their grace like any other.
    fn created(&self, service: &str, replicas: &[Replica]) -> Option<Remove> {
        let declared = self.before.service(service);
        let victims: Vec<Victim> = replicas
            .iter()
            .filter(|replica| self.is_new(replica))
            .map(|replica| Victim {
                id: replica.id.clone(),
                name: replica.name.clone(),
                running: replica.is_running(),
                reason: Reason::HighestNumber,
            })
            .collect();
        (!victims.is_empty()).then(|| Remove {
            service: service.to_owned(),
            victims,
            drain: drain(declared),
            grace: grace(declared, self.options.stop_timeout),
            pre_stop: declared
                .map(|service| service.pre_stop.clone())
                .unwrap_or_default(),
        })
    }

    /// Starts what ran before and was stopped, but not removed.
    async fn restart_stopped(&self, touched: &Counts) -> Result<(), Error> {
        let now = self.now().await.map_err(|stop| stop.error)?;
        let ran_before = |replica: &&Replica| {
            let before = self.before.replicas(&replica.service);
            before
                .iter()
                .any(|old| old.id == replica.id && old.is_running())
        };
        let stopped: Vec<&str> = touched
            .keys()
            .flat_map(|service| now.replicas(service))
            .filter(|replica| replica.can_start() && ran_before(replica))
            .map(|replica| replica.name.as_str())
            .collect();
        let engine = self.reach.containers()?;
        self.bring_up(engine, &stopped, &|_| {})
            .await
            .map_err(|error| explain(&error))
    }

    /// Brings back replicas that were removed, as new ones: the same plan as for any scale.
    async fn restore_removed(&self, touched: &Counts) -> Result<(), Error> {
        let now = self.now().await.map_err(|stop| stop.error)?;
        let short: Counts = touched
            .iter()
            .filter(|(service, count)| now.count(service) < **count)
            .map(|(service, count)| (service.clone(), *count))
            .collect();
        if short.is_empty() {
            return Ok(());
        }
        let options = PlanOptions {
            verify: true,
            no_deps: true,
            ..PlanOptions::default()
        };
        for step in &plan(&now, &short, &options).steps {
            let outcome = match step {
                Step::Create(step) => self.create(step).await,
                Step::Start(step) => self.start(step).await,
                Step::Launch { counts } => self.launch(counts).await,
                Step::Verify { counts } => self.verify(counts).await.map(|_| ()),
                // Growing to a former count removes nothing and does not rest; the refresh comes last.
                Step::Remove(_) | Step::Pause(_) | Step::Refresh(_) | Step::SetCounts(_) => Ok(()),
            };
            outcome.map_err(|stop| stop.error)?;
        }
        Ok(())
    }
}
