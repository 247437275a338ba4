//! What one named service needs: which replicas go, in which order, which have to be started, which are
//! new, and how that is spread over the waves of `--step`.

use super::{Change, Pending, Reason, Victim};
use crate::project::observed::{Health, Replica, State};
use crate::project::{Marks, Project};

/// What is known of one named service before its steps are laid out.
pub struct Draft<'a> {
    pub service: &'a str,
    from: u32,
    to: u32,
    /// Replicas that go before anything else: those that no start brings up as they should be, and victims that do
    /// not run.
    pub broken: Vec<Victim>,
    /// Victims that run, in the order in which they go.
    victims: Vec<Victim>,
    /// Kept replicas, by number and name.
    kept: Vec<(u32, String)>,
    /// Kept replicas that have to be started, by name.
    pub to_start: Vec<String>,
    /// The number that Compose gives to the next new replica.
    next_number: u32,
}

impl<'a> Draft<'a> {
    pub fn new(project: &'a Project, service: &'a str, to: u32) -> Self {
        let replicas = project.replicas(service);
        let from = project.count(service);
        let order = removal_order(replicas, &project.marks);
        let useless = replicas.iter().filter(|replica| replica.is_useless());
        let surplus = (from.saturating_sub(to) as usize).max(useless.count());
        let (leaving, kept) = order.split_at(surplus);
        let victims = leaving.iter().map(|(reason, replica)| Victim {
            id: replica.id.clone(),
            name: replica.name.clone(),
            running: replica.is_running() || replica.state == State::Restarting,
            reason: *reason,
        });
        let (victims, broken) = victims.partition(|victim: &Victim| victim.running);
        let mut to_start: Vec<&Replica> = kept
            .iter()
            .map(|(_, replica)| *replica)
            .filter(|replica| replica.can_start())
            .collect();
        to_start.sort_by_key(|replica| replica.number);
        let mut kept: Vec<(u32, String)> = kept
            .iter()
            .map(|(_, replica)| (replica.number, replica.name.clone()))
            .collect();
        kept.sort();
        let highest = kept.last().map(|(number, _)| *number);
        Self {
            service,
            from,
            to,
            broken,
            victims,
            kept,
            to_start: to_start
                .iter()
                .map(|replica| replica.name.clone())
                .collect(),
            next_number: highest.unwrap_or(0).saturating_add(1),
        }
    }

    pub fn change(&self) -> Change {
        Change {
            service: self.service.to_owned(),
            from: self.from,
            to: self.to,
            restarted: u32::try_from(self.to_start.len()).unwrap_or(u32::MAX),
            replaced: self
                .to
                .saturating_sub(self.base())
                .saturating_sub(self.to.saturating_sub(self.from)),
        }
    }

    /// How many replicas are there once the broken ones are gone.
    pub fn base(&self) -> u32 {
        self.from - u32::try_from(self.broken.len()).unwrap_or(self.from)
    }

    pub fn needs_start(&self) -> bool {
        self.to > self.base() || !self.to_start.is_empty()
    }

    pub fn waves(&self, step: Option<u32>) -> u32 {
        let distance = self.base().abs_diff(self.to);
        match step {
            Some(step) => distance.div_ceil(step).max(1),
            None => 1,
        }
    }

    pub fn count_after(&self, wave: u32, step: Option<u32>) -> u32 {
        let Some(step) = step else { return self.to };
        let moved = step
            .saturating_mul(wave + 1)
            .min(self.base().abs_diff(self.to));
        if self.to > self.base() {
            self.base() + moved
        } else {
            self.base() - moved
        }
    }

    fn count_before(&self, wave: u32, step: Option<u32>) -> u32 {
        match wave.checked_sub(1) {
            Some(before) => self.count_after(before, step),
            None => self.base(),
        }
    }

    pub fn creates_in(&self, wave: u32, step: Option<u32>) -> bool {
        self.count_after(wave, step) > self.count_before(wave, step)
    }

    pub fn grows_in(&self, wave: u32, step: Option<u32>) -> bool {
        self.creates_in(wave, step) || (wave == 0 && !self.to_start.is_empty())
    }

    /// The numbers of the replicas that a wave creates.
    pub fn numbers_of(&self, wave: u32, step: Option<u32>) -> Vec<u32> {
        let (before, after) = (self.count_before(wave, step), self.count_after(wave, step));
        let made = before.saturating_sub(self.base());
        let first = self.next_number.saturating_add(made);
        (first..first.saturating_add(after.saturating_sub(before))).collect()
    }

    /// Whether what goes did not run, and nothing else happens.
    pub fn only_loses_broken_ones(&self) -> bool {
        !self.broken.is_empty() && self.victims.is_empty() && !self.needs_start()
    }

    /// The replicas that there are after a wave.
    pub fn replicas_after(&self, wave: u32, step: Option<u32>) -> Pending {
        let after = self.count_after(wave, step);
        let gone = self.base().saturating_sub(after) as usize;
        let staying = self.victims.iter().skip(gone);
        let kept = self.kept.iter().map(|(_, name)| name.clone());
        Pending {
            existing: kept
                .chain(staying.map(|victim| victim.name.clone()))
                .collect(),
            new: (0..=wave)
                .flat_map(|wave| self.numbers_of(wave, step))
                .collect(),
        }
    }

    pub fn victims_of(&self, wave: u32, step: Option<u32>) -> &[Victim] {
        let (before, after) = (self.count_before(wave, step), self.count_after(wave, step));
        if after >= before {
            return &[];
        }
        let gone = (self.base() - before) as usize;
        &self.victims[gone..gone + (before - after) as usize]
    }
}

/// Replicas in the order in which they go, with the reason for each.
pub fn removal_order<'r>(replicas: &'r [Replica], marks: &Marks) -> Vec<(Reason, &'r Replica)> {
    let mut order: Vec<(Reason, &Replica)> = replicas
        .iter()
        .map(|replica| {
            let reason = match replica.state {
                State::Dead | State::Removing => Reason::Dead,
                State::Exited | State::Created if replica.outdated => Reason::Stale,
                State::Exited | State::Created => Reason::Exited,
                State::Restarting => Reason::Restarting,
                State::Running | State::Paused if replica.health == Some(Health::Unhealthy) => {
                    Reason::Unhealthy
                }
                State::Running | State::Paused if marks.drained.contains(&replica.id) => {
                    Reason::Drained
                }
                State::Running | State::Paused if replica.outdated => Reason::Outdated,
                State::Running | State::Paused => match replica.running_tasks {
                    Some(0) => Reason::Idle,
                    Some(_) => Reason::Busy,
                    None => Reason::HighestNumber,
                },
            };
            (reason, replica)
        })
        .collect();
    order.sort_by(|(reason_a, a), (reason_b, b)| {
        let busy = |replica: &Replica| replica.running_tasks.is_some_and(|count| count > 0);
        reason_a
            .cmp(reason_b)
            // Of two outdated ones, the idle one first.
            .then(busy(a).cmp(&busy(b)))
            .then(b.number.cmp(&a.number))
    });
    order
}

#[cfg(test)]
mod tests {
    use super::{Draft, Reason, removal_order};
    use crate::project::declared::Declared;
    use crate::project::observed::{Health, Replica, State};
    use crate::project::{Marks, Project};

    #[test]
    fn what_does_not_run_and_is_outdated_is_made_anew_and_the_rest_started() {
        let exited = |number, outdated| Replica {
            id: format!("id-{number}"),
            name: format!("shop-web-{number}"),
            service: "web".into(),
            number,
            state: State::Exited,
            outdated,
            ..Replica::default()
        };
        let replicas = vec![exited(1, true), exited(2, false), exited(3, true)];
        let declared = Declared::parse("services: {web: {image: a}}", "shop").unwrap();
        let project = Project::new(declared, replicas);
        for (to, broken, started) in [
            (3, ["id-3", "id-1"].as_slice(), ["shop-web-2"].as_slice()),
            (2, &["id-3", "id-1"], &["shop-web-2"]),
            (1, &["id-3", "id-1"], &["shop-web-2"]),
            (0, &["id-3", "id-1", "id-2"], &[]),
        ] {
            let draft = Draft::new(&project, "web", to);
            let ids: Vec<&str> = draft.broken.iter().map(|one| one.id.as_str()).collect();
            assert_eq!(
                (ids.as_slice(), draft.to_start.as_slice()),
                (
                    broken,
                    &started
                        .iter()
                        .map(|name| (*name).to_owned())
                        .collect::<Vec<_>>()[..]
                ),
                "{to}"
            );
        }
    }

    #[test]
    fn broken_ones_go_first_then_outdated_then_idle_then_unknown_then_busy_ones() {
        let replica = |number, running_tasks| Replica {
            number,
            state: State::Running,
            running_tasks,
            ..Replica::default()
        };
        let replicas = [
            replica(1, Some(0)),
            replica(2, Some(1)),
            replica(3, Some(0)),
            replica(4, None),
            replica(5, Some(2)),
            Replica {
                outdated: true,
                ..replica(6, Some(0))
            },
            Replica {
                outdated: true,
                ..replica(7, Some(1))
            },
            Replica {
                health: Some(Health::Unhealthy),
                ..replica(8, Some(1))
            },
            Replica {
                id: "drained".into(),
                ..replica(9, Some(1))
            },
        ];
        let marks = Marks {
            drained: ["drained".into()].into(),
            ..Marks::default()
        };
        let order: Vec<(u32, Reason)> = removal_order(&replicas, &marks)
            .into_iter()
            .map(|(reason, replica)| (replica.number, reason))
            .collect();
        assert_eq!(
            order,
            [
                (8, Reason::Unhealthy),
                (9, Reason::Drained),
                (6, Reason::Outdated),
                (7, Reason::Outdated),
                (3, Reason::Idle),
                (1, Reason::Idle),
                (4, Reason::HighestNumber),
                (5, Reason::Busy),
                (2, Reason::Busy),
            ]
        );
    }
}
