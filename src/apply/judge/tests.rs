//! The verdict as tables: what is seen, and what that means.

use std::time::Duration;

use super::{History, Judgement, Look, Seen, ServiceSeen, Standard, Verdict, judge};
use crate::error::Kind;
use crate::plan::Counts;
use crate::project::Project;
use crate::project::declared::{Declared, Healthcheck};
use crate::project::observed::{Health, Replica, State};

const LIMIT: Duration = Duration::from_secs(120);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A run to so many replicas of `web`, and what was seen of it so far.
struct Run {
    history: History,
    wanted: u32,
    stable: Option<Duration>,
}

impl Run {
    /// On an engine of containers.
    fn new(before: Vec<Replica>, wanted: u32) -> Self {
        Self::on(before, wanted, false)
    }

    /// On one that itself replaces what fails.
    fn replacing(before: Vec<Replica>, wanted: u32) -> Self {
        Self::on(before, wanted, true)
    }

    fn on(before: Vec<Replica>, wanted: u32, replaces: bool) -> Self {
        let declared = Declared::parse("services: {web: {image: a}}", "shop").unwrap();
        let project = Project::new(declared, before);
        let services = Counts::from([("web".into(), wanted)]);
        Self {
            history: History::new(&project, &services, replaces),
            wanted,
            stable: None,
        }
    }

    fn stable(self, stable: u64) -> Self {
        let stable = Some(seconds(stable));
        Self { stable, ..self }
    }

    fn look(&mut self, at: u64, replicas: &[Seen]) -> Judgement {
        self.look_at(at, |service| service.replicas = replicas.to_vec())
    }

    fn look_at(&mut self, at: u64, change: impl FnOnce(&mut ServiceSeen)) -> Judgement {
        let mut service = ServiceSeen {
            wanted: self.wanted,
            ..ServiceSeen::default()
        };
        change(&mut service);
        let look = Look {
            at: seconds(at),
            services: [("web".into(), service)].into(),
        };
        self.history.note(&look);
        let standard = Standard {
            stable: self.stable,
            limit: LIMIT,
        };
        judge(&look, &self.history, |_| standard)
    }
}

/// In a word: `ready`, `waiting: why`, `failed: why`.
fn said(judgement: &Judgement) -> String {
    match &judgement.verdict {
        Verdict::Ready => "ready".into(),
        Verdict::Waiting(why) => format!("waiting: {why}"),
        Verdict::Failed(fault) => format!("failed: {}", fault.why),
    }
}

fn running(id: &str) -> Seen {
    Seen {
        id: id.into(),
        name: format!("shop-{id}"),
        state: State::Running,
        started_at: "first".into(),
        config_hash: "now".into(),
        ..Seen::default()
    }
}

fn up_for(id: &str, up: u64) -> Seen {
    Seen {
        uptime: Some(seconds(up)),
        ..running(id)
    }
}

fn replica(id: &str, state: State) -> Replica {
    Replica {
        id: id.into(),
        name: format!("shop-{id}"),
        service: "web".into(),
        state,
        ..Replica::default()
    }
}

#[test]
fn a_state_says_whether_it_is_waited_for() {
    let exited = |code, out_of_memory| Seen {
        state: State::Exited,
        exit_code: Some(code),
        out_of_memory,
        ..running("1")
    };
    let health = |health| Seen {
        health: Some(health),
        ..running("1")
    };
    let state = |state| Seen {
        state,
        ..running("1")
    };
    let reason = |seen: Seen, reason: &str| Seen {
        reason: Some(reason.into()),
        ..seen
    };
    for (seen, expected) in [
        (health(Health::Healthy), "ready"),
        (
            health(Health::Starting),
            "waiting: `shop-1` is not healthy yet",
        ),
        (
            health(Health::Unhealthy),
            "failed: `shop-1` became unhealthy",
        ),
        (running("1"), "waiting: `shop-1` has not been up for 5s yet"),
        (
            state(State::Created),
            "waiting: `shop-1` is still in state `created`",
        ),
        (
            reason(state(State::Created), "no such file"),
            "failed: `shop-1` could not be started: no such file",
        ),
        (state(State::Restarting), "waiting: `shop-1` is restarting"),
        (state(State::Paused), "failed: `shop-1` is paused"),
        (exited(1, false), "failed: `shop-1` exited with code 1"),
        (exited(0, false), "failed: `shop-1` exited with code 0"),
        (
            exited(137, true),
            "failed: `shop-1` exited with code 137, out of memory",
        ),
        (
            Seen {
                restarts: 3,
                exit_code: Some(2),
                ..state(State::Restarting)
            },
            "failed: `shop-1` restarted 3 times, last exit code 2",
        ),
        (
            Seen {
                failing: true,
                ..reason(state(State::Created), "ErrImagePull")
            },
            "failed: ErrImagePull",
        ),
    ] {
        let seen = &[seen];
        let judgement = Run::new(Vec::new(), 1).look(0, seen);
        let got = said(&judgement).replace("`shop-1` ErrImagePull", "ErrImagePull");
        assert_eq!(got, expected, "{seen:?}");
    }
}

/// How long a new replica without a healthcheck is watched, beside what is there already.
#[test]
fn the_window_follows_what_is_known() {
    let of = |others: &[Seen], stable: Option<u64>| -> (u64, bool) {
        let before = others
            .iter()
            .map(|one| replica(&one.id, one.state))
            .collect();
        let mut run = Run::new(before, count(others) + 1);
        run.stable = stable.map(seconds);
        let mut watched = false;
        for at in 0..60 {
            let all = [others, &[running("new")]].concat();
            let judgement = run.look(at, &all);
            watched |= judgement.watched.contains_key("web");
            if judgement.verdict == Verdict::Ready {
                return (at, watched);
            }
        }
        panic!("never ready")
    };
    let older = Seen {
        config_hash: "before".into(),
        ..up_for("1", 3600)
    };
    let unwell = Seen {
        health: Some(Health::Unhealthy),
        ..up_for("2", 3600)
    };
    for (others, stable, expected) in [
        (vec![], None, (5, true)),
        (vec![up_for("1", 3600)], None, (1, false)),
        (vec![up_for("1", 30)], None, (1, false)),
        (vec![up_for("1", 10)], None, (5, true)),
        (vec![older], None, (5, true)),
        (vec![up_for("1", 3600)], Some(9), (9, false)),
        (vec![], Some(2), (2, false)),
        (vec![], Some(0), (0, false)),
    ] {
        assert_eq!(of(&others, stable), expected, "{others:?} {stable:?}");
    }
    // One that is unhealthy is no evidence; that it was so before is no failure.
    let mut run = Run::new(
        vec![Replica {
            health: Some(Health::Unhealthy),
            ..replica("2", State::Running)
        }],
        2,
    );
    let both = [unwell, running("new")];
    assert_eq!(
        said(&run.look(1, &both)),
        "waiting: `shop-new` has not been up for 5s yet"
    );
    let judgement = run.look(6, &both);
    assert_eq!(judgement.verdict, Verdict::Ready);
    assert!(judgement.unwell.contains_key("shop-2"));
}

fn count(of: &[Seen]) -> u32 {
    u32::try_from(of.len()).unwrap()
}

#[test]
fn what_crashed_lately_is_evidence_against_it() {
    let crashed = Replica {
        exit_code: Some(1),
        ..replica("9", State::Exited)
    };
    let mut run = Run::new(vec![replica("1", State::Running), crashed], 2);
    let seen = [up_for("1", 3600), running("new")];
    assert_eq!(
        said(&run.look(2, &seen)),
        "waiting: `shop-new` has not been up for 5s yet"
    );
}

#[test]
fn a_processor_that_is_busy_is_watched_for_up_to_three_windows_more() {
    let busy = Seen {
        cpu_percent: Some(97.0),
        ..running("1")
    };
    let mut run = Run::new(Vec::new(), 1);
    assert!(run.look(0, &[running("1")]).doubtful.contains_key("1"));
    for (at, seen, window) in [
        (4, &busy, 10),
        (9, &busy, 15),
        (14, &busy, 20),
        (19, &busy, 20),
    ] {
        let judgement = run.look(at, std::slice::from_ref(seen));
        assert_eq!(judgement.watched["web"], seconds(window), "at {at}");
        assert_ne!(judgement.verdict, Verdict::Ready);
    }
    assert_eq!(run.look(20, &[running("1")]).verdict, Verdict::Ready);
}

#[test]
fn one_that_started_again_is_watched_from_then_on() {
    let mut run = Run::new(Vec::new(), 1);
    run.look(0, &[running("1")]);
    let again = Seen {
        started_at: "second".into(),
        restarts: 1,
        ..running("1")
    };
    assert!(said(&run.look(4, std::slice::from_ref(&again))).starts_with("waiting"));
    assert!(said(&run.look(8, std::slice::from_ref(&again))).starts_with("waiting"));
    assert_eq!(said(&run.look(9, std::slice::from_ref(&again))), "ready");
    // With `--stable 1s` as well: a crash loop is up for a moment each time.
    let mut run = Run::new(Vec::new(), 1).stable(1);
    run.look(0, &[running("1")]);
    run.look(1, std::slice::from_ref(&again));
    assert!(said(&run.look(5, std::slice::from_ref(&again))).starts_with("waiting"));
    assert_eq!(said(&run.look(6, &[again])), "ready");
}

#[test]
fn restarts_from_before_the_run_are_none_of_its() {
    let before = Replica {
        restarts: Some(7),
        ..replica("1", State::Running)
    };
    let seen = Seen {
        restarts: 7,
        ..up_for("1", 3600)
    };
    assert_eq!(said(&Run::new(vec![before], 1).look(0, &[seen])), "ready");
}

#[test]
fn what_is_missing_was_taken_by_somebody() {
    let mut run = Run::new(Vec::new(), 2);
    run.look(0, &[running("1"), running("2")]);
    let judgement = run.look(1, &[running("1")]);
    let Verdict::Failed(fault) = judgement.verdict else {
        panic!("{judgement:?}")
    };
    assert_eq!(
        (fault.kind, fault.why.as_str()),
        (
            Kind::Changed,
            "`shop-2` disappeared while it was being verified"
        )
    );
    let short = Run::new(Vec::new(), 2).look(0, &[running("1")]);
    assert_eq!(said(&short), "failed: `web` has 1 of the 2 replicas wanted");
}

#[test]
fn only_the_time_was_up() {
    let starting = Seen {
        health: Some(Health::Starting),
        ..running("1")
    };
    let mut run = Run::new(Vec::new(), 1);
    assert!(said(&run.look(119, std::slice::from_ref(&starting))).starts_with("waiting"));
    let judgement = run.look(120, &[starting]);
    let Verdict::Failed(fault) = judgement.verdict else {
        panic!("{judgement:?}")
    };
    assert_eq!(
        (fault.late, fault.why.as_str()),
        (true, "`shop-1` is not healthy yet after 2m")
    );
    assert_eq!(fault.suspect.unwrap().name, "shop-1");
}

#[test]
fn an_engine_that_replaces_is_waited_for_until_it_says_that_it_cannot() {
    let mut run = Run::replacing(Vec::new(), 2);
    let judgement = run.look(0, &[up_for("1", 100)]);
    assert_eq!(said(&judgement), "waiting: `web` has 1 of 2 replicas");
    let troubled = |service: &mut ServiceSeen| {
        service.replicas = vec![up_for("1", 100)];
        service.trouble = Some("no suitable node".into());
    };
    run.look(20, &[up_for("1", 100)]);
    assert!(said(&run.look_at(21, troubled)).starts_with("waiting"));
    assert!(said(&run.look_at(29, troubled)).starts_with("waiting"));
    assert_eq!(
        said(&run.look_at(30, troubled)),
        "failed: `web` has 1 of 2 replicas: no suitable node"
    );
}

#[test]
fn an_engine_that_was_told_otherwise_meanwhile_is_not_argued_with() {
    let judgement = Run::replacing(Vec::new(), 2).look_at(0, |service| {
        service.replicas = vec![running("1")];
        service.kept = Some(1);
    });
    let Verdict::Failed(fault) = judgement.verdict else {
        panic!("{judgement:?}")
    };
    assert_eq!(fault.kind, Kind::Changed);
}

#[test]
fn what_failed_three_times_is_not_replaced_for_ever() {
    let failure = |id: &str| Seen {
        id: id.into(),
        name: "web.1".into(),
        reason: Some("exited with code 1".into()),
        ..Seen::default()
    };
    let mut run = Run::replacing(Vec::new(), 1);
    let with = |times: usize| {
        move |service: &mut ServiceSeen| {
            service.replicas = vec![running("4")];
            service.failures = ["a", "b", "c"][..times]
                .iter()
                .map(|id| failure(id))
                .collect();
        }
    };
    assert!(said(&run.look_at(0, with(2))).starts_with("waiting"));
    assert_eq!(
        said(&run.look_at(1, with(3))),
        "failed: `web.1` exited with code 1, 3 times"
    );
}

#[test]
fn a_healthcheck_says_how_long_it_may_take() {
    let check = Healthcheck {
        start_period: seconds(60),
        interval: seconds(30),
        timeout: seconds(10),
        retries: 3,
    };
    assert_eq!(check.allowance(), seconds(180));
    let never = Healthcheck {
        retries: u32::MAX,
        interval: Duration::MAX,
        ..check
    };
    assert_eq!(never.allowance(), Duration::MAX);
}
