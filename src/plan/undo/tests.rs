//! Tables: what was, what was done, what is, and the plan that takes it back; and on random ones, what holds of
//! every such plan.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::undo;
use crate::plan::done::{Deed, Done, Touched};
use crate::plan::{Counts, End, Plan, Step};
use crate::project::Project;
use crate::project::cluster::Deployed;
use crate::project::declared::Declared;
use crate::project::observed::{Health, Replica, State};

const SHOP: &str = "
services:
  db: {image: postgres}
  web:
    image: app
    depends_on: {db: {condition: service_started, required: true}}
    stop_grace_period: 40s
    x-rscale: {refresh: [{service: db, exec: [reload]}]}
  worker:
    image: app
    x-rscale: {drain: {exec: [drain], undo: [resume]}}
  silent:
    image: app
    x-rscale: {drain: {exec: [drain]}}
";

/// A project as the words say: `web: a, b exited; worker: c`. A letter is an id; who has it is called `web-a`.
fn project(words: &str) -> Project {
    let mut replicas = Vec::new();
    for service in words.split(';').map(str::trim) {
        let Some((service, all)) = service.split_once(':') else {
            continue;
        };
        let all = all.split(',').map(str::trim).filter(|one| !one.is_empty());
        for (number, one) in (1..).zip(all) {
            let (id, state) = one.split_once(' ').unwrap_or((one, "running"));
            replicas.push(Replica {
                number,
                ..replica(service, id, State::parse(state))
            });
        }
    }
    with(replicas)
}

fn with(replicas: Vec<Replica>) -> Project {
    Project::new(Declared::parse(SHOP, "shop").unwrap(), replicas)
}

fn replica(service: &str, id: &str, state: State) -> Replica {
    Replica {
        id: id.into(),
        name: format!("{service}-{id}"),
        service: service.into(),
        state,
        ..Replica::default()
    }
}

/// What a run did: `made web b c; told web 3`.
fn done(words: &str) -> Done {
    let mut done = Done::default();
    for deed in words
        .split(';')
        .map(str::trim)
        .filter(|deed| !deed.is_empty())
    {
        let words: Vec<&str> = deed.split(' ').collect();
        let touched = || -> Vec<Touched> {
            let ids = words[2..].iter();
            ids.map(|id| Touched::from(&replica(words[1], id, State::Running)))
                .collect()
        };
        let ids = || words[2..].iter().map(ToString::to_string).collect();
        if words[0] == "drained" {
            done.add(&Deed::Draining(touched()));
        }
        done.add(&match words[0] {
            "made" => Deed::Made(touched()),
            "started" => Deed::Starting(touched()),
            "draining" => Deed::Draining(touched()),
            "drained" => Deed::Drained(touched()),
            "undrained" => Deed::Undrained(ids()),
            "stopped" => Deed::Stopping(touched()),
            "removed" => Deed::Removing(touched()),
            "preferred" => Deed::Preferred(ids()),
            "released" => Deed::Released(ids()),
            "told" => Deed::Telling([(words[1].to_owned(), words[2].parse().unwrap())].into()),
            "back" => Deed::BroughtBack(vec![words[1].to_owned()]),
            "disturbed" => Deed::Disturbed(vec![words[1].to_owned()]),
            other => panic!("no deed: {other}"),
        });
    }
    done
}

fn said(plan: &Plan) -> String {
    let counts = |counts: &Counts| -> String {
        let all = counts
            .iter()
            .map(|(service, count)| format!("{service}={count}"));
        all.collect::<Vec<_>>().join(" ")
    };
    let steps = plan.steps.iter().map(|step| match step {
        Step::Remove(step) => {
            let what = match step.end {
                End::Removed => "remove, leave volumes of",
                End::RemovedWithVolumes => "remove",
                End::Stopped => "stop",
            };
            let ids = step.victims.iter().map(|victim| {
                let how = if victim.running {
                    ""
                } else {
                    " (does not run)"
                };
                victim.id.clone() + how
            });
            let drained = step.drain.as_ref().map_or("", |_| " drained");
            format!("{what}{drained} {}", ids.collect::<Vec<_>>().join(" "))
        }
        Step::Create(step) => format!(
            "create {} beside {}",
            counts(&step.counts),
            counts(&step.pins)
        ),
        Step::Start(step) => {
            let names = step.services.values().flat_map(|pending| &pending.existing);
            let new = step.services.values().flat_map(|pending| &pending.new);
            let new = new.map(|number| format!("#{number}"));
            let all: Vec<String> = names.cloned().chain(new).collect();
            format!("start {}", all.join(" "))
        }
        Step::SetCounts(step) => {
            format!(
                "tell {} where it is {}",
                counts(&step.counts),
                counts(&step.from)
            )
        }
        Step::Verify { counts: wanted } => format!("verify {}", counts(wanted)),
        Step::Release { ids } => format!("release {}", ids.join(" ")),
        Step::Undrain(step) => format!("{} in {}", step.command.join(" "), step.replica.name),
        Step::Refresh(step) => format!("refresh after {}", step.service),
        Step::Launch { .. } | Step::Pause(_) => format!("{step:?}"),
    });
    let steps: Vec<String> = steps.collect();
    if steps.is_empty() {
        "nothing".into()
    } else {
        steps.join(", ")
    }
}

/// What was; what was done; what is; the plan.
const CONTAINERS: &str = "
web: a            | made web b c                | web: a, b, c created      | remove b c (does not run)
web: a            | made web b                  | web: a                    | nothing
web: a            | made web b                  | web: a, b, x              | remove b
web: a            |                             | web: a, x exited, y dead  | nothing
web:              | made web b                  | web: b                    | remove b
worker: a         | made worker b               | worker: a, b              | remove drained b
worker: a         | made worker b; drained worker b | worker: a, b          | remove drained b
web: a, b exited  | started web b               | web: a, b                 | stop b
web: a, b exited  | started web b               | web: a, b restarting      | stop b
web: a, b exited  | started web b               | web: a, b exited          | nothing
web: a, b exited  | started web b; stopped web b | web: a, b                | nothing
web: a, b         | stopped web b               | web: a, b exited          | start web-b
web: a, b         | stopped web b               | web: a, b                 | nothing
web: a, b         | stopped web b               | web: a, b removing        | nothing
web: a, b exited  | stopped web b               | web: a, b exited          | nothing
web: a, b         | stopped web b               | web: a                    | nothing
web: a, b         | removed web b               | web: a                    | create web=2 beside db=0, start #2, verify web=2
web: a, b         | removed web b               | web: a, b                 | nothing
web: a, b         | stopped web b; removed web b | web: a, b exited         | start web-b
web: a, b         | removed web b; back web     | web: a, x                 | nothing
web: a, b         | removed web b               | web: a, x                 | nothing
web: a, b         | removed web b               | web: a, x, y              | nothing
web: a, b, c      | removed web b c             | web: a, x                 | create web=3 beside db=0, start #3, verify web=3
web: a, b, c      | removed web c               | web: a                    | create web=2 beside db=0, start #2, verify web=2
web: a, b         | removed web b               | web: a dead               | create web=2 beside db=0, start #2, verify web=2
web: a, b         | removed web b               | web: x exited             | create web=2 beside db=0, start #2, verify web=2
web: a            | made web b; removed web b   | web: a                    | nothing
web: a, b; db: d  | removed web b; made web c   | web: a, c; db: d          | remove c, create web=2 beside db=1, start #2, verify web=2
worker: a, b      | drained worker b            | worker: a, b              | resume in worker-b
worker: a, b      | draining worker b           | worker: a, b              | nothing
worker: a, b      | draining worker b           | worker: a, b exited       | start worker-b
worker: a, b      | drained worker b; undrained worker b | worker: a, b exited | start worker-b
worker: a, b      | drained worker b            | worker: a, b exited       | start worker-b, resume in worker-b
worker: a, b      | drained worker b            | worker: a                 | nothing
worker: a, b      | drained worker b; undrained worker b | worker: a, b     | nothing
worker: a, b      | drained worker b; removed worker b | worker: a          | create worker=2 beside , start #2, verify worker=2
silent: a, b      | drained silent b            | silent: a, b              | nothing
web: a            | made web b; disturbed web   | web: a, b                 | remove b, refresh after web
worker: a         | disturbed worker            | worker: a                 | nothing
";

#[test]
fn each_deed_is_taken_back_and_nothing_else_is_touched() {
    for row in CONTAINERS.trim().lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [before, did, now, expected] = cells[..] else {
            panic!("four cells: {row}");
        };
        let plan = undo(&project(before), &project(now), &done(did), None);
        assert_eq!(said(&plan), expected, "{row}");
    }
}

/// The counts that were, that were told and that are; and the plan.
const COUNTS: &str = "
web 2, worker 1 | told web 4                | web 4, worker 1 | tell web=2 where it is web=4
web 4           | told web 2                | web 2           | tell web=4 where it is web=2, verify web=4
web 2           | told web 4                | web 5           | nothing
web 2           | told web 4                | web 2           | nothing
web 2           | told web 4; told web 6    | web 6           | tell web=2 where it is web=6
web 2           | told web 4; told web 6    | web 4           | nothing
web 2, worker 3 | told web 1; told worker 4 | web 1, worker 4 | tell web=2 worker=3 where it is web=1 worker=4, verify web=2
web 2           | preferred web a           | web 2           | release a
web 2           | preferred web a; released web a | web 2     | nothing
web 2           | preferred web a; told web 1 | web 1         | release a, tell web=2 where it is web=1, verify web=2, refresh after web
web 2           | made web a                | web 2           | nothing
";

#[test]
fn counts_that_were_told_are_told_back_where_they_are_still_ours() {
    let project = |words: &str| {
        let mut project = project("web: a, b; worker: c");
        let deployed = words.split(", ").map(|word| {
            let (service, count) = word.split_once(' ').unwrap();
            Deployed {
                service: service.into(),
                count: count.parse().unwrap(),
                ..Deployed::default()
            }
        });
        project.describe(deployed.collect());
        project
    };
    for row in COUNTS.trim().lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [before, did, now, expected] = cells[..] else {
            panic!("four cells: {row}");
        };
        let mut plan = undo(&project(before), &project(now), &done(did), None);
        if !expected.contains("refresh") {
            plan.steps.retain(|step| !matches!(step, Step::Refresh(_)));
        }
        assert_eq!(said(&plan), expected, "{row}");
    }
}

#[test]
fn what_goes_has_its_grace() {
    let grace = |typed: Option<Duration>| {
        let plan = undo(
            &project("web:"),
            &project("web: a"),
            &done("made web a"),
            typed,
        );
        match plan.steps.as_slice() {
            [Step::Remove(step)] => step.grace,
            steps => panic!("{steps:?}"),
        }
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(grace(None), seconds(40));
    assert_eq!(grace(seconds(3)), seconds(3));
}

/// What became of a replica that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fared {
    Well,
    /// It was drained.
    Drained,
    /// It was drained and ended by that.
    EndedInItsDrain,
    /// It was stopped.
    Stopped,
    /// It was removed.
    Removed,
    /// It was started, where it did not run.
    Started,
    /// Somebody else removed it.
    Taken,
}

/// One service: who was there and how that fared, whom the run made, and whom others made meanwhile.
type Fate = (Vec<(State, Fared)>, Vec<State>, Vec<State>);

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        4 => Just(State::Running),
        1 => Just(State::Exited),
        1 => Just(State::Created),
        1 => Just(State::Restarting),
        1 => Just(State::Dead),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    let fared = prop_oneof![
        3 => Just(Fared::Well),
        1 => Just(Fared::Drained),
        1 => Just(Fared::EndedInItsDrain),
        1 => Just(Fared::Stopped),
        1 => Just(Fared::Removed),
        1 => Just(Fared::Started),
        1 => Just(Fared::Taken),
    ];
    (
        vec((state(), fared), 0..5),
        vec(state(), 0..4),
        vec(state(), 0..3),
    )
}

/// The project before a run and in the middle of it, and what the run did.
fn story(fates: &[(&str, Fate)]) -> (Project, Project, Done) {
    let (mut before, mut now, mut done) = (Vec::new(), Vec::new(), Done::default());
    for (service, (had, made, theirs)) in fates {
        let mut number = 0;
        let mut next = |kind: &str, state: State| {
            number += 1;
            Replica {
                number,
                // Whose it is must not be told by how it is.
                outdated: number % 2 == 0,
                health: (number % 3 == 0).then_some(Health::Unhealthy),
                ..replica(service, &format!("{service}-{kind}-{number}"), state)
            }
        };
        for (state, fared) in had {
            let one = next("old", *state);
            before.push(one.clone());
            let touched = vec![Touched::from(&one)];
            let ran = one.is_running();
            let mut became = |state: State| {
                now.push(Replica {
                    state,
                    ..one.clone()
                });
            };
            match fared {
                Fared::Drained if ran => {
                    done.add(&Deed::Draining(touched.clone()));
                    done.add(&Deed::Drained(touched));
                    became(State::Running);
                }
                Fared::EndedInItsDrain if ran => {
                    done.add(&Deed::Draining(touched));
                    became(State::Exited);
                }
                Fared::Stopped if ran => {
                    done.add(&Deed::Stopping(touched));
                    became(State::Exited);
                }
                Fared::Started if one.can_start() => {
                    done.add(&Deed::Starting(touched));
                    became(State::Running);
                }
                Fared::Removed => {
                    if ran {
                        done.add(&Deed::Stopping(touched.clone()));
                    }
                    done.add(&Deed::Removing(touched));
                }
                Fared::Taken => {}
                // Nothing was done to it, or could be.
                _ => became(one.state),
            }
        }
        for state in made {
            let one = next("made", *state);
            done.add(&Deed::Made(vec![Touched::from(&one)]));
            now.push(one);
        }
        now.extend(theirs.iter().map(|state| next("theirs", *state)));
        done.add(&Deed::Disturbed(vec![(*service).to_owned()]));
    }
    (with(before), with(now), done)
}

/// Carries a plan out as an engine would, and takes down what that does.
fn carry_out(plan: &Plan, steps: &[Step], now: &Project, done: &mut Done) -> Project {
    let mut replicas: Vec<Replica> = now.replicas.values().flatten().cloned().collect();
    for step in steps {
        match step {
            Step::Remove(step) => {
                for victim in &step.victims {
                    let at = replicas.iter().position(|one| one.id == victim.id);
                    let one = &mut replicas[at.expect("who goes is there")];
                    done.add(&Deed::Stopping(vec![Touched::from(&*one)]));
                    one.state = State::Exited;
                }
                if step.end == End::RemovedWithVolumes {
                    let goes =
                        |one: &Replica| step.victims.iter().any(|victim| victim.id == one.id);
                    let gone = replicas.extract_if(.., |one| goes(one));
                    done.add(&Deed::Removing(
                        gone.map(|one| Touched::from(&one)).collect(),
                    ));
                }
            }
            Step::Create(step) => {
                for (service, count) in &step.counts {
                    let there = replicas.iter().filter(|one| one.service == *service);
                    let there = there.count();
                    assert!(there <= *count as usize, "Compose would take some away");
                    replicas.extend((there..*count as usize).map(|nth| {
                        replica(service, &format!("{service}-again-{nth}"), State::Created)
                    }));
                }
            }
            Step::Start(step) => {
                let existing: Vec<&String> = step
                    .services
                    .values()
                    .flat_map(|pending| &pending.existing)
                    .collect();
                for one in &mut replicas {
                    if existing.contains(&&one.name) || one.id.contains("-again-") {
                        one.state = State::Running;
                    }
                }
            }
            Step::Undrain(step) => done.add(&Deed::Undrained(vec![step.replica.id.clone()])),
            Step::Verify { .. } | Step::Refresh(_) => {}
            step => panic!("no container needs {step:?}"),
        }
    }
    if steps.len() == plan.steps.len() {
        let services = plan.changes.iter().map(|change| change.service.clone());
        done.add(&Deed::BroughtBack(services.collect()));
    }
    with(replicas)
}

fn is_empty(plan: &Plan) -> bool {
    let refreshes = |step: &Step| matches!(step, Step::Refresh(_));
    plan.steps.iter().all(refreshes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn only_what_the_run_did_is_taken_back_and_only_once(
        web in fate(),
        worker in fate(),
        silent in fate(),
        ends_early in proptest::option::of(0usize..6),
    ) {
        let fates = [("web", web), ("worker", worker), ("silent", silent)];
        let (before, now, mut done) = story(&fates);
        let did = done.clone();
        let plan = undo(&before, &now, &done, None);
        for step in &plan.steps {
            for victim in step.victims() {
                let ours = did.made.contains_key(&victim.id) || did.started.contains_key(&victim.id);
                prop_assert!(ours, "{victim:?} is not the run's");
            }
            let existing = match step {
                Step::Start(step) => step.services.values().flat_map(|pending| &pending.existing).collect(),
                _ => Vec::new(),
            };
            for name in existing {
                let mut ours = did.stopped.values().chain(did.draining.values());
                prop_assert!(ours.any(|one| one.name == *name), "{name} was not stopped by the run");
            }
        }
        // It may be cut short, and be taken up again.
        let early = ends_early.unwrap_or(usize::MAX).min(plan.steps.len());
        let mut after = carry_out(&plan, &plan.steps[..early], &now, &mut done);
        if early < plan.steps.len() {
            let rest = undo(&before, &after, &done, None);
            after = carry_out(&rest, &rest.steps, &after, &mut done);
        }
        let again = undo(&before, &after, &done, None);
        prop_assert!(is_empty(&again), "a second time: {}", said(&again));

        for (service, (had, _, theirs)) in &fates {
            let there = after.replicas(service);
            let left = there.iter().find(|one| did.made.contains_key(&one.id));
            prop_assert!(left.is_none(), "{left:?} is left");
            for one in now.replicas(service).iter().filter(|one| one.id.contains("-theirs-")) {
                prop_assert!(there.contains(one), "{one:?} is theirs");
            }
            for one in now.replicas(service) {
                let untouched = !did.made.contains_key(&one.id)
                    && !did.started.contains_key(&one.id)
                    && !did.stopped.contains_key(&one.id)
                    && !did.draining.contains_key(&one.id);
                prop_assert!(!untouched || there.contains(one), "{one:?} was untouched");
            }
            let alone = theirs.is_empty() && had.iter().all(|(_, fared)| *fared != Fared::Taken);
            if alone {
                prop_assert_eq!(before.count(service), after.count(service));
            }
            for old in before.replicas(service).iter().filter(|old| old.is_running()) {
                let same = there.iter().find(|one| one.id == old.id);
                prop_assert!(same.is_none_or(Replica::is_running), "{old:?} ran before");
            }
        }
    }
}
