//! The way back: from what was, what is, and what a run did, to a plan. It takes back only what the run did;
//! what somebody else made, recreated or removed meanwhile is theirs. Pure.

use std::time::Duration;

use super::done::{Done, Touched};
use super::{
    Change, Counts, End, Pending, Plan, PlanOptions, Reason, RefreshOthers, Remove, SetCounts,
    StartReplicas, Step, Undrain, Victim, drain, grace, plan,
};
use crate::project::Project;
use crate::project::observed::{Replica, State};

/// Makes the plan that takes back what a run did. It is empty when there is nothing left to take back.
///
/// `stop_timeout` is the grace of what is removed; above policy and declaration.
pub fn undo(before: &Project, now: &Project, done: &Done, stop_timeout: Option<Duration>) -> Plan {
    let mut undo = Undo {
        before,
        now,
        done,
        stop_timeout,
        plan: Plan::default(),
    };
    if now.deployed.is_empty() {
        undo.remove_made();
        undo.stop_started();
        undo.start_stopped();
        undo.restore_removed();
    } else {
        undo.release();
        undo.tell_back();
    }
    undo.undrain();
    undo.refresh();
    undo.plan
}

struct Undo<'a> {
    before: &'a Project,
    now: &'a Project,
    done: &'a Done,
    stop_timeout: Option<Duration>,
    plan: Plan,
}

impl Undo<'_> {
    fn is_made(&self, replica: &Replica) -> bool {
        self.done.made.contains_key(&replica.id)
    }

    /// Of what was touched, what is there.
    fn there<'s>(&'s self, touched: impl Iterator<Item = &'s Touched>) -> Vec<&'s Replica> {
        let find = |one: &Touched| {
            let mut replicas = self.now.replicas(&one.service).iter();
            replicas.find(|replica| replica.id == one.id)
        };
        touched.filter_map(find).collect()
    }

    /// What the run made goes, its anonymous volumes with it: they are as new. What runs may work already, so it
    /// has its drain and its grace like any other.
    fn remove_made(&mut self) {
        for (service, replicas) in &self.now.replicas {
            let made = replicas.iter().filter(|replica| self.is_made(replica));
            let victims: Vec<Victim> = made
                .map(|replica| Victim {
                    id: replica.id.clone(),
                    name: replica.name.clone(),
                    running: replica.is_running(),
                    reason: Reason::Undone,
                })
                .collect();
            if !victims.is_empty() {
                let step = self.ending(service, victims, End::RemovedWithVolumes);
                self.plan.steps.push(step);
            }
        }
    }

    /// What did not run before and was started is stopped again.
    fn stop_started(&mut self) {
        let mut steps = Vec::new();
        for (service, replicas) in &self.now.replicas {
            let started = |replica: &&Replica| {
                let up = replica.is_running() || replica.state == State::Restarting;
                up && self.done.started.contains_key(&replica.id)
            };
            let victims: Vec<Victim> = replicas
                .iter()
                .filter(started)
                .map(|replica| Victim {
                    id: replica.id.clone(),
                    name: replica.name.clone(),
                    running: true,
                    reason: Reason::Undone,
                })
                .collect();
            if !victims.is_empty() {
                steps.push(self.ending(service, victims, End::Stopped));
            }
        }
        self.plan.steps.extend(steps);
    }

    fn ending(&self, service: &str, victims: Vec<Victim>, end: End) -> Step {
        let declared = self.before.service(service);
        Step::Remove(Remove {
            service: service.to_owned(),
            victims,
            drain: drain(declared),
            grace: grace(declared, self.stop_timeout),
            pre_stop: declared
                .map(|service| service.pre_stop.clone())
                .unwrap_or_default(),
            end,
        })
    }

    /// What ran before and was stopped, or ended in its drain, is started again.
    fn start_stopped(&mut self) {
        let ended = self
            .done
            .stopped
            .values()
            .chain(self.done.draining.values());
        let ran_before = |replica: &&&Replica| {
            let mut before = self.before.replicas(&replica.service).iter();
            before.any(|old| old.id == replica.id && old.is_running())
        };
        let mut step = StartReplicas::default();
        for replica in self
            .there(ended)
            .iter()
            .filter(|replica| replica.can_start())
            .filter(ran_before)
        {
            let pending: &mut Pending = step.services.entry(replica.service.clone()).or_default();
            if !pending.existing.contains(&replica.name) {
                pending.existing.push(replica.name.clone());
            }
        }
        if !step.services.is_empty() {
            self.plan.steps.push(Step::Start(step));
        }
    }

    /// As many as were removed come back, as new ones: never more than there were, and whatever others did to the
    /// count meanwhile stays.
    fn restore_removed(&mut self) {
        let mut rest = self.now.clone();
        for replicas in rest.replicas.values_mut() {
            replicas.retain(|replica| !self.is_made(replica));
        }
        let mut missing = Counts::new();
        let is_there = |one: &&Touched| {
            let mut replicas = rest.replicas(&one.service).iter();
            replicas.any(|replica| replica.id == one.id)
        };
        let ran_before = |one: &&Touched| {
            let mut before = self.before.replicas(&one.service).iter();
            before.any(|old| old.id == one.id)
        };
        let removed = self.done.removed.values();
        for one in removed.filter(ran_before).filter(|one| !is_there(one)) {
            *missing.entry(one.service.clone()).or_default() += 1;
        }
        let counts: Counts = missing
            .into_iter()
            .map(|(service, missing)| {
                let there = rest.count(&service);
                let wanted = (there + missing)
                    .min(self.before.count(&service))
                    .max(there);
                (service, wanted)
            })
            .filter(|(service, wanted)| *wanted > rest.count(service))
            .collect();
        if counts.is_empty() {
            return;
        }
        let options = PlanOptions {
            verify: true,
            no_deps: true,
            ..PlanOptions::default()
        };
        let back = plan(&rest, &counts, &options);
        self.plan.changes.extend(back.changes);
        // The refresh comes last.
        let steps = back.steps.into_iter();
        self.plan
            .steps
            .extend(steps.filter(|step| !matches!(step, Step::Refresh(_))));
    }

    /// What was chosen to go first is like any other again.
    fn release(&mut self) {
        let replicas = self.now.replicas.values().flatten();
        let chosen =
            |replica: &&Replica| !replica.leaving && self.done.preferred.contains(&replica.id);
        let ids: Vec<String> = replicas.filter(chosen).map(|one| one.id.clone()).collect();
        if !ids.is_empty() {
            self.plan.steps.push(Step::Release { ids });
        }
    }

    /// The former counts are told, of every service whose count is still the one that the run told.
    fn tell_back(&mut self) {
        let ours: Counts = self
            .done
            .told
            .iter()
            .filter(|(service, count)| {
                self.now.count(service) == **count && self.before.count(service) != **count
            })
            .map(|(service, count)| (service.clone(), *count))
            .collect();
        if ours.is_empty() {
            return;
        }
        let counts: Counts = ours
            .keys()
            .map(|service| (service.clone(), self.before.count(service)))
            .collect();
        let grown: Counts = counts
            .iter()
            .filter(|(service, count)| ours[*service] < **count)
            .map(|(service, count)| (service.clone(), *count))
            .collect();
        let changes = ours.iter().map(|(service, from)| Change {
            service: service.clone(),
            from: *from,
            to: counts[service],
            restarted: 0,
            replaced: 0,
        });
        self.plan.changes.extend(changes);
        self.plan.steps.push(Step::SetCounts(SetCounts {
            counts,
            from: ours,
            leaving: Vec::new(),
            wait: true,
        }));
        if !grown.is_empty() {
            self.plan.steps.push(Step::Verify { counts: grown });
        }
    }

    /// What was drained and stays takes work again, where the policy says how.
    fn undrain(&mut self) {
        let running = |replica: &&Replica| {
            let again = replica.can_start() || replica.is_running();
            again && !self.is_made(replica) && !replica.leaving
        };
        let drained = self.there(self.done.drained.values()).into_iter();
        let mut steps = Vec::new();
        for replica in drained.filter(running) {
            let policy = drain(self.before.service(&replica.service));
            if let Some(command) = policy.and_then(|drain| drain.undo) {
                steps.push(Step::Undrain(Undrain {
                    service: replica.service.clone(),
                    replica: replica.into(),
                    command,
                }));
            }
        }
        self.plan.steps.extend(steps);
    }

    /// Balancers may have seen replicas come and go, so they are told of the set that is left.
    fn refresh(&mut self) {
        for service in &self.done.disturbed {
            let refresh = self.before.service(service).map(|one| &one.policy.refresh);
            if let Some(refresh) = refresh.filter(|refresh| !refresh.is_empty()) {
                self.plan.steps.push(Step::Refresh(RefreshOthers {
                    service: service.clone(),
                    refresh: refresh.clone(),
                    replicas: Pending::default(),
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests;
