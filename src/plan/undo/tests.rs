//! The way back as tables: what was, what is, what the run did, and the plan that follows.

use super::undo;
use crate::plan::done::{Deed, Done, Touched};
use crate::plan::{Counts, Plan, Step};
use crate::project::Project;
use crate::project::cluster::Deployed;
use crate::project::declared::Declared;
use crate::project::observed::{Observed, Replica, State};

const SHOP: &str = "services:
  web: {image: a, x-rscale: {drain: {exec: [stop], undo: [go]}}}
";

fn replica(id: &str, state: State) -> Replica {
    Replica {
        id: id.into(),
        name: format!("shop-web-{id}"),
        service: "web".into(),
        number: id.parse().unwrap_or(9),
        state,
        ..Replica::default()
    }
}

/// `1 2! 3`: those with a mark do not run.
fn project(replicas: &str) -> Project {
    let replicas = replicas
        .split_whitespace()
        .map(|word| match word.strip_suffix('!') {
            Some(id) => replica(id, State::Exited),
            None => replica(word, State::Running),
        });
    let declared = Declared::parse(SHOP, "shop").unwrap();
    Project::new(declared, replicas.collect::<Vec<_>>())
}

/// On an engine that keeps counts.
fn kept(count: u32) -> Project {
    let deployed = vec![Deployed {
        service: "web".into(),
        count,
        ..Deployed::default()
    }];
    let observed = Observed {
        deployed,
        ..Observed::default()
    };
    Project::new(Declared::parse(SHOP, "shop").unwrap(), observed)
}

fn touched(ids: &str) -> Vec<Touched> {
    let ids = ids.split_whitespace();
    ids.map(|id| Touched::from(&replica(id, State::Running)))
        .collect()
}

fn done(deeds: &[Deed]) -> Done {
    let mut done = Done::default();
    for deed in deeds {
        done.add(deed);
    }
    done
}

/// A word for each step: `removes 2 3`, `starts 1`, `makes 3`.
fn said(plan: &Plan) -> String {
    let steps = plan.steps.iter().filter_map(|step| {
        let ids = || -> String {
            let ids = step.victims().map(|victim| format!(" {}", victim.id));
            ids.collect()
        };
        Some(match step {
            Step::Remove(remove) if remove.end == crate::plan::End::Stopped => {
                format!("stops{}", ids())
            }
            Step::Remove(_) => format!("removes{}", ids()),
            Step::Start(start) => {
                let names = start
                    .services
                    .values()
                    .flat_map(|pending| &pending.existing);
                let names: Vec<&str> = names
                    .map(|name| name.trim_start_matches("shop-web-"))
                    .collect();
                if names.is_empty() {
                    return None;
                }
                format!("starts {}", names.join(" "))
            }
            Step::Create(create) => format!("makes {}", create.counts["web"]),
            Step::SetCounts(told) => format!("tells {}", told.counts["web"]),
            Step::Undrain(undrain) => format!("undrains {}", undrain.replica.id),
            Step::Release { ids } => format!("releases {}", ids.join(" ")),
            _ => return None,
        })
    });
    steps.collect::<Vec<_>>().join(", ")
}

#[test]
fn every_deed_is_taken_back_and_nothing_else() {
    let made = |ids| Deed::Made(touched(ids));
    let removing = |ids| Deed::Removing(touched(ids));
    for (before, now, deeds, expected) in [
        ("1", "1", vec![], ""),
        ("1", "1 2 3", vec![made("2 3")], "removes 2 3"),
        // What came meanwhile is not this run's.
        ("1", "1 2 3", vec![made("2")], "removes 2"),
        ("1", "1 3", vec![made("2")], ""),
        ("1 2!", "1 2", vec![Deed::Starting(touched("2"))], "stops 2"),
        (
            "1 2",
            "1 2!",
            vec![Deed::Stopping(touched("2"))],
            "starts 2",
        ),
        // It did not run before, or somebody started it again.
        ("1 2!", "1 2!", vec![Deed::Stopping(touched("2"))], ""),
        ("1 2", "1 2", vec![Deed::Stopping(touched("2"))], ""),
        ("1 2 3", "1", vec![removing("2 3")], "makes 3"),
        // One was removed by somebody else: that stays so.
        ("1 2 3", "1", vec![removing("3")], "makes 2"),
        // Somebody has made others already.
        ("1 2 3", "1 7 8", vec![removing("2 3")], ""),
        (
            "1 2",
            "1 2",
            vec![Deed::Drained(touched("2"))],
            "undrains 2",
        ),
        (
            "1 2",
            "1 2!",
            vec![Deed::Draining(touched("2")), Deed::Drained(touched("2"))],
            "starts 2, undrains 2",
        ),
        // A drain that failed may have ended it all the same.
        (
            "1 2",
            "1 2!",
            vec![Deed::Draining(touched("2"))],
            "starts 2",
        ),
        (
            "1 2",
            "1 2",
            vec![
                Deed::Drained(touched("2")),
                Deed::Undrained(vec!["2".into()]),
            ],
            "",
        ),
        // What a run made goes, whatever else it did to it.
        (
            "1",
            "1 2",
            vec![made("2"), Deed::Drained(touched("2"))],
            "removes 2",
        ),
    ] {
        let plan = undo(&project(before), &project(now), &done(&deeds), None);
        assert_eq!(said(&plan), expected, "{before} -> {now}, {deeds:?}");
    }
}

#[test]
fn a_count_that_was_told_is_told_back_where_it_is_still_that_one() {
    let told = |count| Deed::Telling(Counts::from([("web".into(), count)]));
    for (before, now, deeds, expected) in [
        (1, 3, vec![told(3)], "tells 1"),
        (3, 1, vec![told(1)], "tells 3"),
        (1, 5, vec![told(3)], ""),
        (1, 1, vec![told(3)], ""),
        (1, 3, vec![], ""),
    ] {
        let plan = undo(&kept(before), &kept(now), &done(&deeds), None);
        assert_eq!(said(&plan), expected, "{before} -> {now}, {deeds:?}");
    }
}
