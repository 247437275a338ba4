//! The planner on random projects: carrying out its steps, as the engine and Compose would, gives the wish,
//! and touches nothing that was not named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::plan::{
    Counts, Create, Plan, PlanOptions, RefreshOthers, Remove, Start, StartReplicas, Step, Victim,
    plan,
};
use crate::project::Project;
use crate::project::declared::{Condition, Declared, Dependency, Port, Published, Service};
use crate::project::observed::{Health, Replica, State};
use crate::project::policy::{Policy, Refresh};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

#[derive(Clone)]
struct Case {
    project: Project,
    wish: Counts,
    options: PlanOptions,
}

/// Short enough to be read when a case fails.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for service in self.project.declared.services.values() {
            write!(f, "\n  {} (declared {}", service.name, service.count)?;
            if service.start_hooks || service.has_port_range() {
                write!(
                    f,
                    ", hooks {}, range {}",
                    service.start_hooks,
                    service.has_port_range()
                )?;
            }
            for (name, dependency) in &service.depends_on {
                write!(f, ", {name} {:?}", dependency.condition)?;
            }
            write!(f, "):")?;
            for Replica {
                number,
                state,
                health,
                exit_code,
                ..
            } in self.project.replicas(&service.name)
            {
                write!(f, " {number} {state:?} {health:?} {exit_code:?};")?;
            }
        }
        let PlanOptions {
            step,
            pause,
            verify,
            no_deps,
            ..
        } = &self.options;
        write!(
            f,
            "\n  wish {:?}, step {step:?}, pause {pause:?}, verify {verify}, no_deps {no_deps}",
            self.wish
        )
    }
}

fn name(index: usize) -> String {
    format!("s{index}")
}

/// A replica's state, health and exit code.
type How = (State, Option<Health>, Option<i32>);

/// How a replica is. None is paused: the preflight refuses those.
fn condition() -> impl Strategy<Value = How> {
    prop_oneof![
        5 => Just((State::Running, None, None)),
        2 => Just((State::Running, Some(Health::Healthy), None)),
        1 => Just((State::Running, Some(Health::Unhealthy), None)),
        1 => Just((State::Running, Some(Health::Starting), None)),
        1 => Just((State::Exited, None, Some(0))),
        1 => Just((State::Exited, None, Some(1))),
        1 => Just((State::Created, None, None)),
        1 => Just((State::Restarting, None, None)),
        1 => Just((State::Dead, None, None)),
    ]
}

/// The replicas of one service: by number, holes included, with whether each is outdated.
fn replicas() -> impl Strategy<Value = Vec<(u32, How, bool)>> {
    btree_set(1u32..12, 0..6).prop_flat_map(|numbers| {
        let numbers: Vec<u32> = numbers.into_iter().collect();
        let count = numbers.len();
        (Just(numbers), vec((condition(), any::<bool>()), count)).prop_map(|(numbers, rest)| {
            numbers
                .into_iter()
                .zip(rest)
                .map(|(number, (how, old))| (number, how, old))
                .collect()
        })
    })
}

/// A service: its declared count, dependencies on earlier services, and whether only Compose can start it.
fn service(index: usize) -> impl Strategy<Value = Service> {
    let kind = prop_oneof![
        Just(Condition::Started),
        Just(Condition::Healthy),
        Just(Condition::CompletedSuccessfully)
    ];
    let dependencies = btree_map(0..index.max(1), kind, 0..=index.min(3));
    (0u32..4, dependencies, 0..6, any::<bool>()).prop_map(
        move |(count, dependencies, special, behind)| Service {
            name: name(index),
            count,
            policy: Policy {
                refresh: if behind { vec![reload()] } else { Vec::new() },
                ..Policy::default()
            },
            start_hooks: special == 0,
            ports: if special == 1 {
                vec![port_range()]
            } else {
                Vec::new()
            },
            depends_on: dependencies
                .into_iter()
                .filter(|(other, _)| *other < index)
                .map(|(other, condition)| {
                    (
                        name(other),
                        Dependency {
                            condition,
                            required: true,
                        },
                    )
                })
                .collect(),
            ..Service::default()
        },
    )
}

fn reload() -> Refresh {
    Refresh {
        service: "front".into(),
        project: Some("infra".into()),
        exec: vec!["reload".into()],
        timeout: Duration::from_secs(1),
    }
}

fn all_names(service: &str, replicas: &BTreeMap<String, BTreeMap<u32, State>>) -> BTreeSet<String> {
    let numbers = replicas.get(service).into_iter().flat_map(BTreeMap::keys);
    numbers
        .map(|number| format!("shop-{service}-{number}"))
        .collect()
}

fn port_range() -> Port {
    Port {
        host_ip: None,
        published: Published::Range(8000, 8099),
        target: "80".into(),
        protocol: "tcp".into(),
    }
}

fn case() -> impl Strategy<Value = Case> {
    (3usize..=6).prop_flat_map(|count| {
        let services: Vec<_> = (0..count)
            .map(|index| (service(index), replicas()))
            .collect();
        let wish = btree_map(0..count, 0u32..9, 1..=count);
        let options = (
            proptest::option::of(1u32..4),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        );
        (services, wish, options).prop_map(|(services, wish, (step, rest, verify, no_deps))| {
            let mut declared = Declared {
                name: "shop".into(),
                ..Declared::default()
            };
            let mut observed = Vec::new();
            for (service, replicas) in services {
                for (number, (state, health, exit_code), outdated) in replicas {
                    observed.push(Replica {
                        id: format!("{}-{number}-id", service.name),
                        name: format!("shop-{}-{number}", service.name),
                        service: service.name.clone(),
                        number,
                        state,
                        health,
                        exit_code,
                        outdated,
                        ..Replica::default()
                    });
                }
                declared.services.insert(service.name.clone(), service);
            }
            Case {
                project: Project::new(declared, observed),
                wish: wish
                    .into_iter()
                    .map(|(index, count)| (name(index), count))
                    .collect(),
                options: PlanOptions {
                    step,
                    pause: if rest {
                        Duration::from_secs(1)
                    } else {
                        Duration::ZERO
                    },
                    verify,
                    no_deps,
                    ..PlanOptions::default()
                },
            }
        })
    })
}

/// What is there while a plan is carried out: by service and number, whether it can be started yet.
#[derive(Debug, Clone)]
struct World<'a> {
    case: &'a Case,
    plan: &'a Plan,
    replicas: BTreeMap<String, BTreeMap<u32, State>>,
    /// What the balancer of each service was told of last; at first what is there.
    told: BTreeMap<String, BTreeSet<String>>,
}

type Checked = Result<(), TestCaseError>;

impl<'a> World<'a> {
    fn new(case: &'a Case, plan: &'a Plan) -> Self {
        let states =
            |replicas: &Vec<Replica>| replicas.iter().map(|one| (one.number, one.state)).collect();
        let replicas = case
            .project
            .replicas
            .iter()
            .map(|(service, all)| (service.clone(), states(all)))
            .collect();
        let told = case.project.replicas.keys();
        let told = told.map(|service| (service.clone(), all_names(service, &replicas)));
        Self {
            case,
            plan,
            told: told.collect(),
            replicas,
        }
    }

    /// It is told of what is there, and of nothing that was not named.
    fn refresh(&mut self, step: &RefreshOthers) -> Checked {
        let RefreshOthers {
            service, replicas, ..
        } = step;
        prop_assert!(
            self.case.wish.contains_key(service),
            "{service} was not named"
        );
        let new = replicas.new.iter();
        let new = new.map(|number| format!("shop-{service}-{number}"));
        let told: BTreeSet<String> = replicas.existing.iter().cloned().chain(new).collect();
        prop_assert_eq!(&told, &all_names(service, &self.replicas));
        self.told.insert(service.clone(), told);
        Ok(())
    }

    fn count(&self, service: &str) -> u32 {
        self.replicas
            .get(service)
            .map_or(0, |all| u32::try_from(all.len()).unwrap())
    }

    fn carry_out(&mut self, step: &Step) -> Checked {
        match step {
            Step::Remove(step) => self.remove(step),
            Step::Create(step) => self.create(step),
            Step::Start(step) => self.start(step),
            Step::Launch { counts } => self.launch(counts),
            Step::Verify { counts } => self.verify(counts),
            Step::Refresh(step) => self.refresh(step),
            Step::SetCounts(step) => {
                prop_assert!(false, "Compose keeps no counts: {step:?}");
                Ok(())
            }
            Step::Release { .. } | Step::Undrain(_) => {
                prop_assert!(false, "nothing was drained before: {step:?}");
                Ok(())
            }
            Step::Pause(duration) => {
                prop_assert!(
                    self.case.options.step.is_some() && *duration == self.case.options.pause
                );
                Ok(())
            }
        }
    }

    fn observed(&self, victim: &Victim) -> Option<&Replica> {
        self.case
            .project
            .replicas
            .values()
            .flatten()
            .find(|replica| replica.id == victim.id)
    }

    fn remove(&mut self, step: &Remove) -> Checked {
        prop_assert!(
            self.case.wish.contains_key(&step.service),
            "{} was not named",
            step.service
        );
        for victim in &step.victims {
            let Some(replica) = self.observed(victim).cloned() else {
                return Err(TestCaseError::fail(format!("{victim:?} was not there")));
            };
            prop_assert_eq!(
                (&replica.service, &replica.name),
                (&step.service, &victim.name)
            );
            let runs = matches!(replica.state, State::Running | State::Restarting);
            prop_assert_eq!(
                victim.running,
                runs,
                "it is stopped when it runs, and only then"
            );
            let removed = self
                .replicas
                .get_mut(&step.service)
                .and_then(|all| all.remove(&replica.number));
            prop_assert!(removed.is_some(), "{:?} went twice", victim);
            if is_good(&replica) {
                let left = self
                    .case
                    .project
                    .replicas(&step.service)
                    .iter()
                    .filter(|other| {
                        !is_good(other) && self.replicas[&step.service].contains_key(&other.number)
                    });
                let left: Vec<&Replica> = left.collect();
                prop_assert!(left.is_empty(), "{:?} went before {:?}", replica, left);
            }
        }
        Ok(())
    }

    /// As Compose: every service of the selection is brought to its count, removing the highest numbers or
    /// adding to them; with `--detach` everything in it is started.
    fn create(&mut self, step: &Create) -> Checked {
        let selection = closure(&self.case.project, step.counts.keys());
        for service in &selection {
            let (count, is_change) = match (step.counts.get(service), step.pins.get(service)) {
                (Some(count), None) => (*count, true),
                (None, Some(count)) => (*count, false),
                both => {
                    return Err(TestCaseError::fail(format!(
                        "{service} is given as {both:?}: `up` would reset it"
                    )));
                }
            };
            let now = self.count(service);
            prop_assert!(
                !is_change || self.case.wish.contains_key(service),
                "{service} was not named"
            );
            if is_change {
                prop_assert!(
                    count >= now,
                    "Compose would choose the victims of {service}: {now} -> {count}"
                );
            } else if self.plan.dependencies.get(service) == Some(&count) {
                prop_assert!(count >= now, "{service} would shrink");
            } else {
                prop_assert_eq!(count, now, "{} is not held at what it has", service);
            }
            let all = self.replicas.entry(service.clone()).or_default();
            let mut next = all.keys().last().map_or(1, |highest| highest + 1);
            while u32::try_from(all.len()).unwrap() < count {
                all.insert(next, State::Created);
                next += 1;
            }
            if step.start == Start::WithDependencies {
                for state in all.values_mut().filter(|state| can_start(**state)) {
                    let allowed = self.case.wish.contains_key(service)
                        || self.plan.dependencies.contains_key(service);
                    prop_assert!(allowed, "{service} was not named and is started");
                    *state = State::Running;
                }
            }
        }
        let unneeded: Vec<&String> = step
            .pins
            .keys()
            .filter(|service| !selection.contains(*service))
            .collect();
        prop_assert!(
            unneeded.is_empty(),
            "pins outside the selection: {:?}",
            unneeded
        );
        Ok(())
    }

    fn launch(&mut self, counts: &Counts) -> Checked {
        for (service, &count) in counts {
            prop_assert!(
                self.case.wish.contains_key(service),
                "{service} was not named"
            );
            prop_assert_eq!(
                count,
                self.count(service),
                "replicas of {} would be made without deps",
                service
            );
            let all = self.replicas.entry(service.clone()).or_default();
            all.values_mut()
                .filter(|state| can_start(**state))
                .for_each(|state| *state = State::Running);
        }
        Ok(())
    }

    fn start(&mut self, step: &StartReplicas) -> Checked {
        for (service, pending) in &step.services {
            prop_assert!(
                self.case.wish.contains_key(service),
                "{service} was not named"
            );
            let mut started = Vec::new();
            for (number, state) in self.replicas.entry(service.clone()).or_default() {
                if can_start(*state) {
                    *state = State::Running;
                    started.push(format!("shop-{service}-{number}"));
                }
            }
            let new = pending
                .new
                .iter()
                .map(|number| format!("shop-{service}-{number}"));
            let told: Vec<String> = pending.existing.iter().cloned().chain(new).collect();
            prop_assert_eq!(
                told,
                started,
                "what is told (left) is not what is started (right)"
            );
        }
        Ok(())
    }

    fn verify(&self, counts: &Counts) -> Checked {
        prop_assert!(self.case.options.verify);
        for (service, &count) in counts {
            prop_assert!(
                self.case.wish.contains_key(service),
                "{service} was not named"
            );
            prop_assert_eq!(
                count,
                self.count(service),
                "{} is verified at a count that it has not",
                service
            );
            for (number, state) in &self.replicas[service] {
                prop_assert!(
                    matches!(state, State::Running | State::Restarting),
                    "{service} {number} is verified in state {state:?}"
                );
            }
        }
        Ok(())
    }
}

fn can_start(state: State) -> bool {
    matches!(state, State::Created | State::Exited)
}

fn is_good(replica: &Replica) -> bool {
    replica.state == State::Running && replica.health != Some(Health::Unhealthy)
}

/// Services and all that they depend on.
fn closure<'a>(project: &Project, names: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let mut open: Vec<String> = names.cloned().collect();
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop() {
        if found.insert(name.clone()) {
            open.extend(project.declared.services[&name].depends_on.keys().cloned());
        }
    }
    found
}

/// How many replicas of each service there were when the wish was made.
fn from(case: &Case, service: &str) -> u32 {
    case.project.count(service)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn carrying_out_the_plan_gives_the_wish_and_touches_nothing_else(case in case()) {
        let plan = plan(&case.project, &case.wish, &case.options);
        let mut world = World::new(&case, &plan);
        for step in &plan.steps {
            world.carry_out(step)?;
            for (service, &to) in &case.wish {
                let highest = from(&case, service).max(to);
                prop_assert!(world.count(service) <= highest, "{} has more than {}", service, highest);
            }
        }
        for (service, &to) in &case.wish {
            prop_assert_eq!(world.count(service), to, "{} has not what was wished", service);
            let idle = world.replicas.get(service).into_iter().flatten().filter(|(_, state)| {
                !matches!(state, State::Running | State::Restarting)
            });
            prop_assert_eq!(idle.count(), 0, "some replicas of {} do not run", service);
        }
        let named = |service: &str| case.wish.contains_key(service) || plan.dependencies.contains_key(service);
        let before = World::new(&case, &plan);
        for service in case.project.declared.services.keys().filter(|service| !named(service)) {
            // Asked for an unknown service, `entry` leaves an empty one behind.
            let (was, is) = (before.replicas.get(service), world.replicas.get(service).filter(|all| !all.is_empty()));
            prop_assert_eq!(was, is, "{} was touched", service);
        }
    }

    #[test]
    fn balancers_know_every_set_of_replicas_that_is_left(case in case()) {
        let plan = plan(&case.project, &case.wish, &case.options);
        let mut world = World::new(&case, &plan);
        for step in &plan.steps {
            world.carry_out(step)?;
        }
        for service in case.wish.keys().filter(|name| !case.project.declared.services[*name].policy.refresh.is_empty()) {
            let there = all_names(service, &world.replicas);
            let told = world.told.get(service).cloned().unwrap_or_default();
            prop_assert_eq!(told, there, "{} has other replicas than its balancer knows", service);
        }
    }

    #[test]
    fn a_wave_moves_no_service_by_more_than_the_step(case in case()) {
        let Some(step) = case.options.step else { return Ok(()) };
        let plan = plan(&case.project, &case.wish, &case.options);
        let mut world = World::new(&case, &plan);
        // What is broken goes first, all at once.
        let broken = plan.steps.iter().take_while(|step| match step {
            Step::Remove(step) => step.victims.iter().all(|victim| !victim.running),
            Step::Refresh(_) => true,
            _ => false,
        });
        let broken = broken.count();
        for (index, what) in plan.steps.iter().enumerate() {
            let before: Counts = case.wish.keys().map(|service| (service.clone(), world.count(service))).collect();
            world.carry_out(what)?;
            if index < broken {
                continue;
            }
            for (service, &count) in &before {
                let moved = world.count(service).abs_diff(count);
                prop_assert!(moved <= step, "{} moved by {} at once in {:?}", service, moved, what);
            }
        }
    }

    #[test]
    fn what_is_told_of_each_service_is_right(case in case()) {
        let plan = plan(&case.project, &case.wish, &case.options);
        let told: Vec<(&str, u32, u32)> =
            plan.changes.iter().map(|change| (change.service.as_str(), change.from, change.to)).collect();
        let wished: Vec<(&str, u32, u32)> =
            case.wish.iter().map(|(service, &to)| (service.as_str(), from(&case, service), to)).collect();
        prop_assert_eq!(told, wished);
        for change in &plan.changes {
            let service = &change.service;
            let is_named = plan.steps.iter().any(|step| match step {
                Step::Remove(step) => step.service == *service,
                Step::Create(step) => step.counts.contains_key(service),
                Step::Start(step) => step.services.contains_key(service),
                Step::Launch { counts } => counts.contains_key(service),
                Step::Verify { .. } | Step::Refresh(_) | Step::Pause(_) | Step::SetCounts(_) | Step::Release { .. } | Step::Undrain(_) => false,
            });
            prop_assert_eq!(change.is_none(), !is_named, "{:?} and its steps do not agree", change);
        }
    }

    #[test]
    fn without_deps_no_dependency_gains_a_container(case in case()) {
        let options = PlanOptions { no_deps: true, ..case.options.clone() };
        let plan = plan(&case.project, &case.wish, &options);
        for (service, count) in &plan.dependencies {
            prop_assert_eq!(*count, case.project.count(service), "{} would gain containers", service);
        }
    }

    #[test]
    fn with_verification_nothing_that_runs_goes_before_what_grows_is_verified(case in case()) {
        let options = PlanOptions { verify: true, step: None, ..case.options.clone() };
        let plan = plan(&case.project, &case.wish, &options);
        let runs = |step: &Step| matches!(step, Step::Remove(step) if step.victims.iter().any(|victim| victim.running));
        let grows = |step: &Step| matches!(step, Step::Create(_) | Step::Start(_) | Step::Launch { .. });
        if let (Some(last), Some(first)) =
            (plan.steps.iter().rposition(grows), plan.steps.iter().position(runs))
        {
            let verified = plan.steps[last..].iter().position(|step| matches!(step, Step::Verify { .. }));
            prop_assert!(verified.is_some_and(|at| last + at < first), "{:#?}", plan.steps);
        }
    }
}

/// A generator that makes only easy cases would prove nothing.
#[test]
fn the_random_projects_are_of_many_kinds() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..500 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let plan = plan(&case.project, &case.wish, &case.options);
        for step in &plan.steps {
            seen.insert(match step {
                Step::Remove(step) if step.victims.iter().any(|victim| victim.running) => {
                    "removes what runs"
                }
                Step::Remove(_) => "removes what is broken",
                Step::Create(step) if step.start == Start::WithDependencies => {
                    "creates with dependencies"
                }
                Step::Create(step) if step.pins.is_empty() => "creates without pins",
                Step::Create(_) => "creates with pins",
                Step::Launch { .. } => "launches",
                Step::SetCounts(_) => "sets counts",
                Step::Release { .. } => "releases",
                Step::Undrain(_) => "undrains",
                Step::Start(step)
                    if step
                        .services
                        .values()
                        .all(|pending| pending.existing.is_empty()) =>
                {
                    "starts new ones"
                }
                Step::Start(_) => "starts existing ones",
                Step::Verify { .. } => "verifies",
                Step::Refresh(_) => "refreshes",
                Step::Pause(_) => "rests",
            });
        }
        if !plan.dependencies.is_empty() {
            seen.insert("starts dependencies");
        }
        if plan
            .steps
            .iter()
            .filter(|step| matches!(step, Step::Create(_)))
            .count()
            > 2
        {
            seen.insert("goes in waves");
        }
    }
    assert_eq!(seen.len(), 13, "{seen:?}");
}
