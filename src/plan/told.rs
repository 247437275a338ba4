//! The plan for an engine that keeps counts itself: it is told a count, brings and takes replicas, and every
//! one is verified.

use std::collections::BTreeSet;

use super::draft::removal_order;
use super::{
    Change, Counts, End, Pending, Plan, PlanOptions, RefreshOthers, Remove, SetCounts, Step,
    Victim, drain, grace,
};
use crate::project::Project;
use crate::project::observed::{Replica, State};

/// One named service on its way from count to count.
struct Way<'a> {
    service: &'a str,
    from: u32,
    to: u32,
    /// Replicas that count, in the order in which they go.
    order: Vec<Victim>,
}

impl<'a> Way<'a> {
    fn new(project: &'a Project, service: &'a str, to: u32) -> Self {
        let staying: Vec<Replica> = project
            .replicas(service)
            .iter()
            .filter(|replica| !replica.leaving)
            .cloned()
            .collect();
        let mut order = removal_order(&staying, &project.marks);
        let deployed = project.deployed.get(service);
        if deployed.is_some_and(|deployed| deployed.highest_goes) {
            order.sort_by_key(|(_, replica)| std::cmp::Reverse(replica.number));
        }
        let victim = |(reason, replica): &(_, &Replica)| Victim {
            id: replica.id.clone(),
            name: replica.name.clone(),
            running: replica.is_running() || replica.state == State::Restarting,
            reason: *reason,
        };
        Self {
            service,
            from: project.count(service),
            to,
            order: order.iter().map(victim).collect(),
        }
    }

    fn waves(&self, step: Option<u32>) -> u32 {
        let distance = self.from.abs_diff(self.to);
        step.map_or(u32::from(distance > 0), |step| distance.div_ceil(step))
    }

    fn before(&self, wave: u32, step: Option<u32>) -> u32 {
        let most = self.from.abs_diff(self.to);
        let moved = step.map_or(if wave == 0 { 0 } else { most }, |step| {
            step.saturating_mul(wave).min(most)
        });
        if self.to > self.from {
            self.from + moved
        } else {
            self.from - moved
        }
    }

    fn after(&self, wave: u32, step: Option<u32>) -> u32 {
        self.before(wave + 1, step)
    }

    /// The replicas that go from one count to another, as far as they exist.
    fn victims(&self, before: u32, after: u32) -> &[Victim] {
        let place = |count: u32| ((self.from - count) as usize).min(self.order.len());
        &self.order[place(before)..place(after)]
    }

    /// The replicas that stay at a count, by name.
    fn names_at(&self, count: u32) -> Vec<String> {
        let gone = self.from.saturating_sub(count) as usize;
        let staying = self.order.iter().skip(gone);
        let mut names: Vec<String> = staying.map(|victim| victim.name.clone()).collect();
        names.sort();
        names
    }
}

/// Makes the plan. With `choice` the engine lets rscale say which replicas go, so these are drained first.
pub fn told(project: &Project, wish: &Counts, options: &PlanOptions, choice: bool) -> Plan {
    let ways: Vec<Way> = wish
        .iter()
        .map(|(service, &to)| Way::new(project, service, to))
        .collect();
    let change = |way: &Way| Change {
        service: way.service.to_owned(),
        from: way.from,
        to: way.to,
        restarted: 0,
        replaced: 0,
    };
    let mut plan = Plan {
        changes: ways.iter().map(change).collect(),
        ..Plan::default()
    };
    let waves = ways.iter().map(|way| way.waves(options.step)).max();
    for wave in 0..waves.unwrap_or(0) {
        if wave > 0 && !options.pause.is_zero() {
            plan.steps.push(Step::Pause(options.pause));
        }
        let ends = |way: &Way| {
            (
                way.before(wave, options.step),
                way.after(wave, options.step),
            )
        };
        let (grown, rest): (Vec<&Way>, Vec<&Way>) = ways.iter().partition(|way| {
            let (before, after) = ends(way);
            after > before
        });
        let shrunk: Vec<&Way> = rest
            .into_iter()
            .filter(|way| ends(way).0 > ends(way).1)
            .collect();
        for (group, shrinks) in [(grown, false), (shrunk, true)] {
            if group.is_empty() {
                continue;
            }
            let at = |which: fn((u32, u32)) -> u32| -> Counts {
                let count = |way: &&Way| (way.service.to_owned(), which(ends(way)));
                group.iter().map(count).collect()
            };
            let counts = at(|(_, after)| after);
            let leaving = group.iter().filter(|_| shrinks && choice).map(|way| {
                let (before, after) = ends(way);
                leaving(project, way, way.victims(before, after), options)
            });
            plan.steps.push(Step::SetCounts(SetCounts {
                leaving: leaving.collect(),
                from: at(|(before, _)| before),
                counts: counts.clone(),
                wait: options.verify,
            }));
            let refreshes: Vec<Step> = group
                .iter()
                .filter_map(|way| refresh(project, way, ends(way).1))
                .collect();
            let verified: Counts = counts
                .into_iter()
                .filter(|(_, count)| *count > 0 && options.verify)
                .collect();
            let verify = (!verified.is_empty()).then_some(Step::Verify { counts: verified });
            if shrinks {
                plan.steps.extend(refreshes.into_iter().chain(verify));
            } else {
                plan.steps.extend(verify.into_iter().chain(refreshes));
            }
        }
    }
    for way in &ways {
        plan.undrain(project, way.service);
        plan.release(project, way.service);
    }
    plan
}

impl Plan {
    /// What an earlier run marked as the first to go, and this one keeps, is like any other again.
    fn release(&mut self, project: &Project, service: &str) {
        let replicas = project.replicas(service).iter();
        let marked = replicas
            .filter(|replica| !replica.leaving && project.marks.preferred.contains(&replica.id));
        let victims: BTreeSet<&String> = self
            .steps
            .iter()
            .flat_map(Step::victims)
            .map(|victim| &victim.id)
            .collect();
        let ids = marked.map(|replica| replica.id.clone());
        let ids: Vec<String> = ids.filter(|id| !victims.contains(id)).collect();
        if !ids.is_empty() {
            self.steps.push(Step::Release { ids });
        }
    }
}

fn leaving(project: &Project, way: &Way, victims: &[Victim], options: &PlanOptions) -> Remove {
    let declared = project.service(way.service);
    // What the engine runs in a replica that goes is not run twice.
    let by_engine = project
        .deployed
        .get(way.service)
        .is_some_and(|deployed| deployed.has_pre_stop);
    let own = declared.filter(|_| !by_engine);
    Remove {
        service: way.service.to_owned(),
        victims: victims.to_vec(),
        drain: drain(own),
        grace: project
            .deployed
            .get(way.service)
            .and_then(|deployed| deployed.grace)
            .or_else(|| grace(declared, options.stop_timeout)),
        pre_stop: own
            .map(|service| service.pre_stop.clone())
            .unwrap_or_default(),
        end: End::Removed,
    }
}

fn refresh(project: &Project, way: &Way, count: u32) -> Option<Step> {
    let refresh = &project.service(way.service)?.policy.refresh;
    (!refresh.is_empty()).then(|| {
        Step::Refresh(RefreshOthers {
            service: way.service.to_owned(),
            refresh: refresh.clone(),
            replicas: Pending {
                existing: way.names_at(count),
                new: Vec::new(),
            },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{PlanOptions, Step};
    use super::told;
    use crate::project::Project;
    use crate::project::cluster::Deployed;
    use crate::project::declared::Declared;
    use crate::project::observed::{Observed, Replica, State};

    fn project(counts: &[(&str, u32)]) -> Project {
        let deployed = |(service, count): &(&str, u32)| Deployed {
            service: (*service).to_owned(),
            count: *count,
            ..Deployed::default()
        };
        let replicas = counts.iter().flat_map(|(service, count)| {
            (1..=*count).map(move |number| Replica {
                id: format!("{service}{number}"),
                name: format!("{service}.{number}"),
                service: (*service).to_owned(),
                number,
                state: State::Running,
                ..Replica::default()
            })
        });
        let observed = Observed {
            replicas: replicas.collect(),
            deployed: counts.iter().map(deployed).collect(),
            ..Observed::default()
        };
        let declared = Declared {
            by_engine: true,
            ..Declared::default()
        };
        Project::new(declared, observed)
    }

    fn steps(project: &Project, wish: &[(&str, u32)], step: Option<u32>) -> Vec<String> {
        let wish = wish
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        let options = PlanOptions {
            step,
            verify: true,
            ..PlanOptions::default()
        };
        let plan = told(project, &wish.collect(), &options, true);
        let show = |step: &Step| match step {
            Step::SetCounts(step) => {
                let victims = step.leaving.iter().flat_map(|one| &one.victims);
                let victims: Vec<&str> = victims.map(|victim| victim.name.as_str()).collect();
                format!("{:?} -> {:?} {victims:?}", step.from, step.counts)
            }
            Step::Verify { counts } => format!("verify {counts:?}"),
            other => format!("{other:?}"),
        };
        plan.steps.iter().map(show).collect()
    }

    #[test]
    fn what_grows_comes_before_what_shrinks() {
        let project = project(&[("a", 1), ("b", 3), ("c", 2)]);
        assert_eq!(
            steps(&project, &[("a", 2), ("b", 1), ("c", 2)], None),
            [
                r#"{"a": 1} -> {"a": 2} []"#,
                r#"verify {"a": 2}"#,
                r#"{"b": 3} -> {"b": 1} ["b.3", "b.2"]"#,
                r#"verify {"b": 1}"#,
            ]
        );
        assert!(steps(&project, &[("a", 1)], None).is_empty());
    }

    #[test]
    fn steps_are_told_one_after_another() {
        let project = project(&[("a", 1), ("b", 4)]);
        assert_eq!(
            steps(&project, &[("a", 4), ("b", 0)], Some(2)),
            [
                r#"{"a": 1} -> {"a": 3} []"#,
                r#"verify {"a": 3}"#,
                r#"{"b": 4} -> {"b": 2} ["b.4", "b.3"]"#,
                r#"verify {"b": 2}"#,
                r#"{"a": 3} -> {"a": 4} []"#,
                r#"verify {"a": 4}"#,
                r#"{"b": 2} -> {"b": 0} ["b.2", "b.1"]"#,
            ]
        );
    }

    #[test]
    fn where_the_highest_number_goes_its_state_does_not_matter() {
        let mut project = project(&[("db", 3)]);
        project.replicas.get_mut("db").unwrap()[0].state = State::Exited;
        let wish = [("db", 2)];
        assert_eq!(
            steps(&project, &wish, None)[0],
            r#"{"db": 3} -> {"db": 2} ["db.1"]"#
        );
        project.deployed.get_mut("db").unwrap().highest_goes = true;
        assert_eq!(
            steps(&project, &wish, None)[0],
            r#"{"db": 3} -> {"db": 2} ["db.3"]"#
        );
    }
}
