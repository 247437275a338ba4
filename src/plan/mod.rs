//! The plan: from a project and a wish to an ordered list of steps. Pure data; printing it is `--dry-run`.
//!
//! Replicas are added and verified before any that runs is taken away, so that a failure finds the old
//! ones still there.

mod dependencies;
pub mod done;
mod draft;
pub mod outcome;
mod told;
mod undo;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::project::Project;
use crate::project::declared::{Hook, Service};
use crate::project::observed::{Handle, Replica};
use crate::project::policy::{Drain, Refresh};
use dependencies::{missing_dependencies, pins, who_starts};
use draft::Draft;
pub use told::told;
pub use undo::undo;

/// The counts wished for, by service.
pub type Counts = BTreeMap<String, u32>;

/// What the command line says about the way there.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// At most this many replicas of a service at a time.
    pub step: Option<u32>,
    /// Between two such steps.
    pub pause: Duration,
    /// Whether replicas are verified.
    pub verify: bool,
    /// Leave dependencies alone, even those that have no containers.
    pub no_deps: bool,
    /// Grace for removed replicas; above policy and declaration.
    pub stop_timeout: Option<Duration>,
    pub build: bool,
    pub pull: Option<Pull>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    Always,
    Missing,
    Never,
}

/// What will be done, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// Dependencies that have no running replica and are started: service and count.
    pub dependencies: Counts,
    pub steps: Vec<Step>,
}

/// What happens to one of the named services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub service: String,
    pub from: u32,
    pub to: u32,
    /// Replicas that exist, do not run, and are started.
    pub restarted: u32,
    /// Replicas that no start brings up as they should be, in whose place new ones are created.
    pub replaced: u32,
}

impl Change {
    pub fn is_none(&self) -> bool {
        self.from == self.to && self.restarted == 0 && self.replaced == 0
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Replicas go: drain, hooks, SIGTERM, grace, removal.
    Remove(Remove),
    /// An engine that keeps counts is told new ones.
    SetCounts(SetCounts),
    /// Replicas are created; with dependencies to wait for, Compose starts them in the same call.
    Create(Create),
    /// Replicas that do not run are started, several at a time.
    Start(StartReplicas),
    /// Replicas that do not run are started by Compose.
    Launch { counts: Counts },
    /// Every replica of these services must come up.
    Verify { counts: Counts },
    /// Other containers are told that a set of replicas changed.
    Refresh(RefreshOthers),
    /// Replicas that were chosen to go first are like any other again.
    Release { ids: Vec<String> },
    /// A drained replica takes work again.
    Undrain(Undrain),
    /// A rest between two steps of `--step`.
    Pause(Duration),
}

impl Step {
    /// The replicas that go in it.
    pub fn victims(&self) -> impl Iterator<Item = &Victim> {
        let removals = match self {
            Self::Remove(remove) => std::slice::from_ref(remove),
            Self::SetCounts(told) => &told.leaving,
            _ => &[],
        };
        removals.iter().flat_map(|remove| &remove.victims)
    }
}

/// A drained replica that is to take work again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undrain {
    pub service: String,
    pub replica: Handle,
    /// The policy's `drain.undo`.
    pub command: Vec<String>,
}

/// Replicas of one service that go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    pub service: String,
    pub victims: Vec<Victim>,
    pub drain: Option<Drain>,
    pub grace: Option<Duration>,
    pub pre_stop: Vec<Hook>,
    pub end: End,
}

/// What becomes of replicas that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Removed,
    /// Their anonymous volumes go as well.
    RemovedWithVolumes,
    /// They stay, stopped, as they were before.
    Stopped,
}

/// New counts for an engine that keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetCounts {
    pub counts: Counts,
    /// What the engine is expected to keep now; another count means that somebody else changed it.
    pub from: Counts,
    /// The replicas that go, where rscale can say which: they are drained first.
    pub leaving: Vec<Remove>,
    /// Whether those that go are waited for.
    pub wait: bool,
}

/// A replica that goes, and why this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Victim {
    pub id: String,
    pub name: String,
    pub running: bool,
    pub reason: Reason,
}

impl Victim {
    pub fn handle(&self) -> Handle {
        Handle {
            id: self.id.clone(),
            name: self.name.clone(),
        }
    }

    /// Whether a command can be run in it.
    pub fn can_drain(&self) -> bool {
        self.running && self.reason != Reason::Restarting
    }
}

/// Why a replica is chosen, first reasons first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Dead,
    /// It does not run, and what it would run is not what the file says any more.
    Stale,
    Exited,
    Restarting,
    Unhealthy,
    /// An earlier run told it to take no more work.
    Drained,
    Outdated,
    /// Its worker runs nothing.
    Idle,
    HighestNumber,
    /// It goes although its worker is at a task: all others are, too.
    Busy,
    /// It was made or started by a run that is taken back.
    Undone,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Stale => "does not run, older configuration",
            Self::Exited => "does not run",
            Self::Restarting => "keeps restarting",
            Self::Unhealthy => "unhealthy",
            Self::Drained => "drained already",
            Self::Outdated => "older configuration",
            Self::Idle => "idle",
            Self::HighestNumber => "highest number",
            Self::Busy => "busy",
            Self::Undone => "of this run",
        }
    }
}

/// One call of `docker compose up`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The services that change.
    pub counts: Counts,
    /// Their dependencies, held at what they have.
    pub pins: Counts,
    pub start: Start,
    pub build: bool,
    pub pull: Option<Pull>,
}

/// Who starts new replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// rscale, several at a time; Compose starts one after another.
    ByRscale,
    /// Compose, because only it knows how (hooks, files that it copies in) or because several at a time
    /// would race (port ranges). Dependencies are not part of it.
    ByCompose,
    /// Compose, in the call that creates them, together with dependencies that are not up yet.
    WithDependencies,
}

/// Replicas to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartReplicas {
    pub services: BTreeMap<String, Pending>,
}

/// Replicas of one service, in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// Those that exist, by name.
    pub existing: Vec<String>,
    /// Those that a step before creates, by number.
    pub new: Vec<u32>,
}

/// What is run in other containers once a set of replicas changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshOthers {
    /// The service whose replicas changed.
    pub service: String,
    pub refresh: Vec<Refresh>,
    /// The replicas that it is expected to have by then.
    pub replicas: Pending,
}

/// Makes the plan.
///
/// `wish` names only services of the file; the preflight has seen to that.
pub fn plan(project: &Project, wish: &Counts, options: &PlanOptions) -> Plan {
    let drafts: Vec<Draft> = wish
        .iter()
        .map(|(service, &to)| Draft::new(project, service, to))
        .collect();
    let mut plan = Plan {
        changes: drafts.iter().map(Draft::change).collect(),
        ..Plan::default()
    };
    let grown: Vec<&Draft> = drafts.iter().filter(|draft| draft.needs_start()).collect();
    let named = grown.iter().map(|draft| draft.service);
    plan.dependencies = missing_dependencies(project, named, wish, options.no_deps);
    // Broken replicas make room first: Compose counts them, and a dead one keeps its name.
    for draft in &drafts {
        plan.remove(project, draft, &draft.broken, options);
        if draft.only_loses_broken_ones() {
            plan.refresh(project, draft, 0, options);
        }
    }
    // What each named service has at this point of the plan.
    let mut now: Counts = drafts
        .iter()
        .map(|draft| (draft.service.to_owned(), draft.base()))
        .collect();
    let waves = drafts
        .iter()
        .map(|draft| draft.waves(options.step))
        .max()
        .unwrap_or(0);
    for wave in 0..waves {
        if wave > 0 && !options.pause.is_zero() {
            plan.steps.push(Step::Pause(options.pause));
        }
        plan.grow(project, &grown, wave, &mut now, options);
        let shrinking: Vec<&Draft> = drafts
            .iter()
            .filter(|draft| !draft.victims_of(wave, options.step).is_empty())
            .collect();
        for draft in &shrinking {
            plan.remove(
                project,
                draft,
                draft.victims_of(wave, options.step),
                options,
            );
            plan.refresh(project, draft, wave, options);
            now.insert(
                draft.service.to_owned(),
                draft.count_after(wave, options.step),
            );
        }
        let counts: Counts = shrinking
            .iter()
            .map(|draft| (draft.service.to_owned(), now[draft.service]))
            .filter(|(_, count)| *count > 0)
            .collect();
        if options.verify && !counts.is_empty() {
            plan.steps.push(Step::Verify { counts });
        }
    }
    for draft in &drafts {
        plan.undrain(project, draft.service);
    }
    plan
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether drained replicas of a service take work again.
    pub fn undrains(&self, service: &str) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::Undrain(undrain) if undrain.service == service))
    }

    fn remove(
        &mut self,
        project: &Project,
        draft: &Draft,
        victims: &[Victim],
        options: &PlanOptions,
    ) {
        if victims.is_empty() {
            return;
        }
        let declared = project.service(draft.service);
        self.steps.push(Step::Remove(Remove {
            service: draft.service.to_owned(),
            victims: victims.to_vec(),
            drain: drain(declared),
            grace: grace(declared, options.stop_timeout),
            pre_stop: declared
                .map(|service| service.pre_stop.clone())
                .unwrap_or_default(),
            end: End::Removed,
        }));
    }

    /// What an earlier run drained and this one keeps takes work again, where the policy says how.
    fn undrain(&mut self, project: &Project, service: &str) {
        let drain = drain(project.service(service));
        let Some(command) = drain.and_then(|drain| drain.undo) else {
            return;
        };
        let goes = |replica: &&Replica| {
            let removed = self.steps.iter().flat_map(Step::victims);
            let mut removed = removed.map(|victim| &victim.id);
            removed.any(|id| *id == replica.id)
        };
        // By then those that do not run are started.
        let drained = |replica: &&Replica| {
            let runs = replica.is_running() || replica.can_start();
            runs && !replica.leaving && project.marks.drained.contains(&replica.id)
        };
        let staying = project.replicas(service).iter().filter(drained);
        let steps: Vec<Step> = staying
            .filter(|replica| !goes(replica))
            .map(|replica| {
                Step::Undrain(Undrain {
                    service: service.to_owned(),
                    replica: replica.into(),
                    command: command.clone(),
                })
            })
            .collect();
        self.steps.extend(steps);
    }

    fn refresh(&mut self, project: &Project, draft: &Draft, wave: u32, options: &PlanOptions) {
        let refresh = project
            .service(draft.service)
            .map(|service| service.policy.refresh.clone())
            .unwrap_or_default();
        if !refresh.is_empty() {
            self.steps.push(Step::Refresh(RefreshOthers {
                service: draft.service.to_owned(),
                refresh,
                replicas: draft.replicas_after(wave, options.step),
            }));
        }
    }

    fn grow(
        &mut self,
        project: &Project,
        grown: &[&Draft],
        wave: u32,
        now: &mut Counts,
        options: &PlanOptions,
    ) {
        let growing: Vec<&&Draft> = grown
            .iter()
            .filter(|draft| draft.grows_in(wave, options.step))
            .collect();
        if growing.is_empty() {
            return;
        }
        // Once the first wave is up, so are the dependencies.
        let alone = options.no_deps || wave > 0;
        for start in [Start::ByRscale, Start::ByCompose, Start::WithDependencies] {
            let of_kind: Vec<&&&Draft> = growing
                .iter()
                .filter(|draft| who_starts(project, draft.service, alone) == start)
                .collect();
            if of_kind.is_empty() {
                continue;
            }
            let count = |draft: &Draft| {
                let after = draft.count_after(wave, options.step);
                (draft.service.to_owned(), after)
            };
            let created: Counts = of_kind
                .iter()
                .filter(|draft| {
                    start == Start::WithDependencies || draft.creates_in(wave, options.step)
                })
                .map(|draft| count(draft))
                .collect();
            if !created.is_empty() {
                now.extend(created.clone());
                self.steps.push(Step::Create(Create {
                    pins: pins(project, &created, now, &self.dependencies),
                    counts: created,
                    start,
                    build: options.build,
                    pull: options.pull,
                }));
            }
            if start == Start::ByCompose {
                let counts = of_kind.iter().map(|draft| count(draft)).collect();
                self.steps.push(Step::Launch { counts });
            }
            if start == Start::ByRscale {
                let mut replicas = StartReplicas::default();
                for draft in of_kind {
                    let first = (wave == 0).then(|| draft.to_start.clone());
                    let pending = Pending {
                        existing: first.unwrap_or_default(),
                        new: draft.numbers_of(wave, options.step),
                    };
                    replicas.services.insert(draft.service.to_owned(), pending);
                }
                self.steps.push(Step::Start(replicas));
            }
        }
        if options.verify {
            let counts = growing
                .iter()
                .map(|draft| {
                    (
                        draft.service.to_owned(),
                        draft.count_after(wave, options.step),
                    )
                })
                .collect();
            self.steps.push(Step::Verify { counts });
        }
        for draft in growing {
            self.refresh(project, draft, wave, options);
        }
    }
}

/// What is run in a replica before it is stopped.
pub fn drain(service: Option<&Service>) -> Option<Drain> {
    service.and_then(|service| service.policy.drain.clone())
}

/// Grace of removed replicas: what was typed, then the policy, then the declaration; `None` leaves it to
/// the container's own, 10 s unless it says otherwise.
pub fn grace(service: Option<&Service>, typed: Option<Duration>) -> Option<Duration> {
    typed.or_else(|| {
        service.and_then(|service| service.policy.stop_timeout.or(service.stop_grace_period))
    })
}
