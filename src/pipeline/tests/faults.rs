//! Every command of every scenario goes wrong in every way, one at a time. Afterwards what is said equals what is
//! there, nothing that was made is left without being named, nobody else's containers were touched, and the same
//! command again does what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::container::Container;
use super::scenario::{Scenario, Story};
use super::simulation::{Fate, Trouble};
use crate::exec::recording::Moment;
use crate::plan::outcome::Outcome;
use crate::preflight::Rule;

const SHOP: &str = "
services:
  db: {image: postgres}
  web: {image: app, depends_on: {db: {condition: service_started, required: true}}}
  worker: {image: app, x-rscale: {drain: {exec: [touch, /tmp/draining], undo: [rm, /tmp/draining]}, refresh: [{service: web, exec: [reload]}]}}
  checked: {image: app, healthcheck: {test: [CMD, 'true']}}
";

const TROUBLES: [Trouble; 8] = [
    Trouble::Refuses,
    Trouble::Hangs,
    Trouble::DiesHalfway,
    Trouble::DiesAtTheEnd,
    Trouble::AnswersLate,
    Trouble::PrintsGarbage,
    Trouble::EngineAway(5),
    Trouble::EngineAway(600),
];

/// What is asked, of what is there.
const SCENARIOS: [(&str, &str); 8] = [
    ("grows", "web=3"),
    ("shrinks", "worker=1"),
    ("grows and shrinks", "web=3 worker=1"),
    ("grows by many", "worker=9"),
    ("ends", "worker=0"),
    ("with a healthcheck", "checked=3"),
    ("all of it", "web=2 worker=2 checked=1"),
    ("starts what does not run", "stopped=2"),
];

fn scenario(asks: &str) -> Scenario {
    Scenario::new(&format!("{SHOP}  stopped: {{image: app}}\n"))
        .running("db", 1)
        .running("web", 1)
        .running("worker", 3)
        .running("checked", 2)
        .container(Container::new("stopped", 1, "exited"))
        .container(Container::new("stopped", 2, "running"))
        .fate(
            "shop-checked-3",
            Fate::Healthy(std::time::Duration::from_secs(2)),
        )
        .asks(asks)
}

fn wanted(asks: &str) -> BTreeMap<String, usize> {
    let targets = asks.split(' ').filter_map(|target| target.split_once('='));
    targets
        .map(|(service, count)| (service.to_owned(), count.parse().unwrap()))
        .collect()
}

fn of<'c>(containers: &'c [Container], service: &str) -> Vec<&'c Container> {
    let of_service = containers.iter().filter(|one| one.service == service);
    of_service.collect()
}

fn ids(containers: &[Container]) -> BTreeSet<&str> {
    containers.iter().map(|one| one.id.as_str()).collect()
}

/// What is wrong with what was said, if anything.
fn lies(story: &Story, wanted: &BTreeMap<String, usize>) -> Option<String> {
    let touches = |one: &&Container| wanted.contains_key(&one.service);
    let others = |all: &[Container]| -> Vec<String> {
        let others = all.iter().filter(|one| !touches(one));
        others
            .map(|one| format!("{} {}", one.id, one.state))
            .collect()
    };
    if others(&story.before) != others(&story.after) {
        return Some("other services were touched".into());
    }
    if story.scaled.is_none() {
        let same = ids(&story.before) == ids(&story.after);
        return (!same).then(|| "it ended with an error and changed something".into());
    }
    let document = story.document();
    for service in &document.services {
        let there = of(&story.after, &service.name);
        let running = there.iter().filter(|one| one.state == "running").count();
        if let Some(said) = service.running.filter(|said| *said as usize != running) {
            return Some(format!(
                "says that {said} of {} run, {running} do",
                service.name
            ));
        }
        let before = ids(&story.before);
        let new = there.iter().filter(|one| !before.contains(one.id.as_str()));
        if let Some(created) = &service.created {
            let new: BTreeSet<&String> = new.map(|one| &one.name).collect();
            if new != created.iter().collect() {
                return Some(format!("names {created:?} as made, and {new:?} are there"));
            }
        }
        let had = of(&story.before, &service.name);
        let ran = |all: &[&Container]| all.iter().filter(|one| one.state == "running").count();
        match document.outcome {
            Outcome::Scaled | Outcome::Unchanged
                if running != wanted[&service.name] || there.len() != running =>
            {
                return Some(format!("{} is not what was asked for", service.name));
            }
            Outcome::RolledBack if there.len() != had.len() || running < ran(&had) => {
                return Some(format!("{} is not what it was", service.name));
            }
            _ => {}
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn whatever_command_goes_wrong_the_truth_is_said_and_the_next_run_gets_there() {
    let mut table = String::new();
    let (mut wrong, mut trials) = (Vec::new(), 0);
    for (name, asks) in SCENARIOS {
        let wanted = wanted(asks);
        let quiet = scenario(asks);
        let story = quiet.run().await;
        assert_eq!(lies(&story, &wanted), None, "{name}: {}", story.told());
        assert_eq!(story.scaled().outcome(), Outcome::Scaled, "{name}");
        let commands = quiet.asked();
        for trouble in TROUBLES {
            let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
            for at in 0..commands {
                trials += 1;
                let troubled = scenario(asks);
                troubled.trouble(at, trouble);
                let story = troubled.run().await;
                let outcome = match &story.scaled {
                    Some(scaled) => scaled.outcome().to_string(),
                    None => "error".into(),
                };
                *outcomes.entry(outcome).or_default() += 1;
                let place = || {
                    let told = story.scaled.as_ref().map(|_| story.told());
                    format!(
                        "{name} ({asks}), command {at} {trouble:?}:\n{}",
                        told.unwrap_or_else(|| format!("{:?}", story.error))
                    )
                };
                if let Some(lie) = lies(&story, &wanted) {
                    wrong.push(format!("{lie}: {}", place()));
                }
                tokio::time::sleep(std::time::Duration::from_secs(1000)).await;
                let again = troubled.run().await;
                let there = again.scaled.is_some()
                    && matches!(
                        again.scaled().outcome(),
                        Outcome::Scaled | Outcome::Unchanged
                    );
                if !there {
                    wrong.push(format!("the next run does not get there: {}", place()));
                } else if let Some(lie) = lies(&again, &wanted) {
                    wrong.push(format!("the next run: {lie}: {}", place()));
                }
            }
            let _ = writeln!(table, "{name:26} {trouble:?}: {outcomes:?}");
        }
    }
    println_for_people(&format!("{table}{trials} trials"));
    assert!(
        wrong.is_empty(),
        "{} of {trials}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(12)].join("\n\n")
    );
}

/// The table, for who runs it with `--nocapture`.
#[expect(clippy::print_stdout)]
fn println_for_people(text: &str) {
    println!("{text}");
}

/// What comes of interruptions and kills, at each command of each scenario.
#[tokio::test(start_paused = true)]
async fn whenever_it_is_interrupted_or_killed_the_truth_is_said_and_the_next_run_gets_there() {
    let moments = [
        Moment::Interruption,
        Moment::TwoInterruptions,
        Moment::KillBefore,
        Moment::KillAfter,
    ];
    let mut table = String::new();
    let (mut wrong, mut trials) = (Vec::new(), 0);
    for (name, asks) in SCENARIOS {
        let wanted = wanted(asks);
        let quiet = scenario(asks);
        quiet.run().await;
        for moment in moments {
            let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
            for at in 0..quiet.asked() {
                trials += 1;
                let stopped = scenario(asks);
                stopped.comes_at(at, moment);
                let story = stopped.run().await;
                let outcome = match (&story.scaled, &story.error) {
                    (Some(scaled), _) => scaled.outcome().to_string(),
                    (None, Some(_)) => "error".into(),
                    (None, None) => "killed".into(),
                };
                let killed = outcome == "killed";
                *outcomes.entry(outcome).or_default() += 1;
                let place = format!("{name} ({asks}), {moment:?} at command {at}");
                let lie = lies(&story, &wanted).filter(|_| !killed);
                wrong.extend(lie.map(|lie| format!("{place}: {lie}\n{}", story.told())));
                let exit = story.scaled.as_ref().map(|scaled| scaled.exit().code());
                let exit = exit.or(story.error.as_ref().map(|error| error.exit().code()));
                if !killed && exit != Some(130) {
                    wrong.push(format!("{place}: exit {exit:?}"));
                }
                if moment == Moment::Interruption
                    && !killed
                    && story.scaled.is_some()
                    && story.scaled().outcome() == Outcome::Interrupted
                    && story.there() != quiet_there(&story)
                {
                    wrong.push(format!("{place}: not as before\n{}", story.told()));
                }
                let half_done = killed && is_half_done(&story, &wanted);
                tokio::time::sleep(std::time::Duration::from_secs(1000)).await;
                let again = stopped.run().await;
                let told = again.scaled.as_ref().is_some_and(|scaled| {
                    let mut findings = scaled.findings.iter();
                    findings.any(|finding| finding.rule == Rule::KilledRun)
                });
                if half_done {
                    *outcomes.entry("left half-done".into()).or_default() += 1;
                }
                if told != half_done {
                    wrong.push(format!("{place}: half-done {half_done}, and told: {told}"));
                }
                if !stopped.drained().is_empty() {
                    wrong.push(format!("{place}: {:?} stay drained", stopped.drained()));
                }
                tokio::time::sleep(std::time::Duration::from_secs(1000)).await;
                let third = stopped.run().await;
                if !third.scaled().findings.is_empty() {
                    wrong.push(format!(
                        "{place}: still told of: {:?}",
                        third.scaled().findings
                    ));
                }
                let there = again.scaled.is_some()
                    && matches!(
                        again.scaled().outcome(),
                        Outcome::Scaled | Outcome::Unchanged
                    );
                let lie = lies(&again, &wanted);
                if !there || lie.is_some() {
                    wrong.push(format!("{place}: the next run does not get there: {lie:?}"));
                }
            }
            let _ = writeln!(table, "{name:26} {moment:?}: {outcomes:?}");
        }
    }
    println_for_people(&format!("{table}{trials} trials"));
    assert!(
        wrong.is_empty(),
        "{} of {trials}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(12)].join("\n\n")
    );
}

/// Whether a service that was to change is neither as it was nor as it was to become.
fn is_half_done(story: &Story, wanted: &BTreeMap<String, usize>) -> bool {
    let there = |all: &[Container], service: &str| -> Vec<(String, String)> {
        let of_service = of(all, service).into_iter();
        of_service
            .map(|one| (one.id.clone(), one.state.clone()))
            .collect()
    };
    wanted.iter().any(|(service, count)| {
        let now = there(&story.after, service);
        let arrived = now.len() == *count && now.iter().all(|(_, state)| state == "running");
        !arrived && now != there(&story.before, service)
    })
}

/// What a run that was killed left half-done is undone by what is told of it, at each command of each scenario.
#[tokio::test(start_paused = true)]
async fn what_is_told_of_a_killed_run_undoes_it() {
    let (mut wrong, mut undone) = (Vec::new(), 0);
    for (name, asks) in SCENARIOS {
        let quiet = scenario(asks);
        quiet.run().await;
        for (at, moment) in (0..quiet.asked())
            .flat_map(|at| [Moment::KillBefore, Moment::KillAfter].map(|moment| (at, moment)))
        {
            let killed = scenario(asks);
            killed.comes_at(at, moment);
            let story = killed.run().await;
            if !is_half_done(&story, &wanted(asks)) {
                continue;
            }
            undone += 1;
            let killed = killed.with(|scaling| scaling.dry_run = true);
            let asked_about = killed.run().await;
            let mut findings = asked_about.scaled().findings.iter();
            let told = findings.find(|finding| finding.rule == Rule::KilledRun);
            let undo = told.and_then(|finding| finding.hint.split_once("to undo it: rscale "));
            let place = format!("{name} ({asks}), {moment:?} at command {at}");
            let Some((_, undo)) = undo else {
                wrong.push(format!("{place}: not told how to undo it: {told:?}"));
                continue;
            };
            let killed = killed.asks(undo).with(|scaling| scaling.dry_run = false);
            let back = killed.run().await;
            let counts = |all: &[Container]| -> BTreeMap<String, usize> {
                let services = wanted(asks).into_keys();
                services
                    .map(|service| (service.clone(), of(all, &service).len()))
                    .collect()
            };
            if counts(&back.after) != counts(&story.before) || !killed.drained().is_empty() {
                let drained = killed.drained();
                wrong.push(format!(
                    "{place}: not undone by {undo}, drained: {drained:?}"
                ));
            }
            if !killed.run().await.scaled().findings.is_empty() {
                wrong.push(format!("{place}: told of again"));
            }
        }
    }
    assert!(undone > 20, "{undone}");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

fn quiet_there(story: &Story) -> String {
    super::scenario::there(&story.before)
}
