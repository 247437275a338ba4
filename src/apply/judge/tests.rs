//! Tables: what is seen, look after look, and what is made of it.

use std::time::Duration;

use super::{History, Judgement, Look, Seen, ServiceSeen, Standard, Verdict, judge};
use crate::error::Kind;
use crate::plan::Counts;
use crate::project::Project;
use crate::project::declared::{Declared, Healthcheck};
use crate::project::observed::{Health, Observed, Replica, State};

const SERVICE: &str = "web";
const LIMIT: Duration = Duration::from_secs(120);

/// Who looks after what fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// Nobody: containers stay as they are.
    Compose,
    /// The engine itself, which brings others in their place.
    Cluster,
}

/// A verification, look after look.
struct Watch {
    history: History,
    standard: Standard,
    wanted: u32,
}

impl Watch {
    fn new(engine: Engine, before: Vec<Replica>) -> Self {
        Self::with_failures(engine, before, Vec::new())
    }

    /// Some replicas failed and were replaced before the run.
    fn with_failures(engine: Engine, before: Vec<Replica>, failures: Vec<Replica>) -> Self {
        let declared = Declared::parse("services: {web: {image: app}}", "shop").unwrap();
        let observed = Observed {
            replicas: before,
            failures,
            ..Observed::default()
        };
        let project = Project::new(declared, observed);
        let counts: Counts = [(SERVICE.to_owned(), 1)].into();
        Self {
            history: History::new(&project, &counts, engine == Engine::Cluster),
            standard: Standard {
                stable: None,
                limit: LIMIT,
            },
            wanted: 1,
        }
    }

    fn wanting(mut self, count: u32) -> Self {
        self.wanted = count;
        self
    }

    fn stable(mut self, stable: Option<Duration>) -> Self {
        self.standard.stable = stable;
        self
    }

    fn look(&mut self, at: Duration, replicas: Vec<Seen>) -> Judgement {
        let seen = ServiceSeen {
            replicas,
            ..ServiceSeen::default()
        };
        self.look_at(at, seen)
    }

    fn look_at(&mut self, at: Duration, seen: ServiceSeen) -> Judgement {
        let seen = ServiceSeen {
            wanted: self.wanted,
            ..seen
        };
        let look = Look {
            at,
            services: [(SERVICE.to_owned(), seen)].into(),
        };
        self.history.note(&look);
        judge(&look, &self.history, |_| self.standard)
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The rows of a table, without blanks around the cells.
fn rows<const COLUMNS: usize>(table: &str) -> impl Iterator<Item = [&str; COLUMNS]> {
    table.trim().lines().map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        cells.try_into().expect("a row has a cell for each column")
    })
}

/// What stands in a cell; `-` is nothing.
fn some(cell: &str) -> Option<&str> {
    Some(cell).filter(|cell| *cell != "-")
}

fn number(cell: &str) -> u64 {
    cell.parse().expect("it is a number")
}

/// Replicas as they are seen: `a running healthy, b exited code=3`. Without a healthcheck unless health is said.
fn seen(words: &str) -> Vec<Seen> {
    let all = words.split(',').map(str::trim);
    all.filter(|one| !one.is_empty()).map(one).collect()
}

fn one(words: &str) -> Seen {
    let mut words = words.split(' ');
    let name = words.next().unwrap();
    let mut seen = Seen {
        id: name.into(),
        name: name.into(),
        state: State::Running,
        started_at: "noon".into(),
        ..Seen::default()
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("id", id) => seen.id = id.into(),
            ("code", code) => seen.exit_code = code.parse().ok(),
            ("why", reason) => seen.reason = Some(reason.into()),
            ("up", uptime) => seen.uptime = Some(secs(number(uptime))),
            ("since", started_at) => seen.started_at = started_at.into(),
            ("restarts", restarts) => seen.restarts = restarts.parse().unwrap(),
            ("config", hash) => seen.config_hash = hash.into(),
            ("cpu", percent) => seen.cpu_percent = percent.parse().ok(),
            ("failing", _) => seen.failing = true,
            ("oom", _) => seen.out_of_memory = true,
            (word, _) => match Health::parse(word) {
                Some(health) => seen.health = Some(health),
                None => seen.state = State::parse(word),
            },
        }
    }
    seen
}

/// The same, as they were before the run.
fn had(words: &str) -> Vec<Replica> {
    let all = words.split(',').map(str::trim);
    let replica = |words: &str| {
        let leaving = words.ends_with(" leaving");
        let seen = one(words.trim_end_matches(" leaving"));
        Replica {
            service: SERVICE.into(),
            id: seen.id,
            name: seen.name,
            state: seen.state,
            health: seen.health,
            exit_code: seen.exit_code,
            reason: seen.reason,
            failing: seen.failing,
            leaving,
            ..Replica::default()
        }
    };
    all.filter(|one| !one.is_empty()).map(replica).collect()
}

/// The verdict in one line.
fn said(judgement: &Judgement) -> String {
    match &judgement.verdict {
        Verdict::Ready => "ready".into(),
        Verdict::Waiting(what) => format!("waits: {what}"),
        Verdict::Failed(fault) => {
            let how = match (fault.late, fault.kind) {
                (true, _) => "late",
                (false, Kind::Changed) => "changed",
                (false, _) => "failed",
            };
            format!("{how}: {}", fault.why)
        }
    }
}

/// What is seen of a replica, what is made of it where nobody looks after it, and where the engine does.
const STATES: &str = "
running                         | waits: `a` has not been up for 5s yet           | waits: `a` has not been up for 6s yet
running healthy                 | ready                                           | ready
running starting                | waits: `a` is not healthy yet                   | waits: `a` is not healthy yet
running unhealthy               | failed: `a` became unhealthy                    | waits: `a` is not healthy yet
running failing                 | failed: `a` is running                          | failed: `a` is running
created                         | waits: `a` is still in state `created`          | waits: `a` is still in state `created`
created why=no_such_file        | failed: `a` could not be started: no_such_file  | waits: `a` no_such_file
created failing why=no_image    | failed: `a` no_image                            | failed: `a` no_image
restarting                      | waits: `a` is restarting                        | waits: `a` is restarting
restarting code=7               | waits: `a` is restarting, last exit code 7      | waits: `a` is restarting, last exit code 7
paused                          | failed: `a` is paused                           | waits: `a` is paused
exited code=0                   | failed: `a` exited with code 0                  | waits: `a` is exited
exited code=3                   | failed: `a` exited with code 3                  | waits: `a` is exited
exited code=127 why=bad_format  | failed: `a` could not be started: bad_format    | waits: `a` bad_format
exited code=137 oom             | failed: `a` exited with code 137, out of memory | waits: `a` is exited
dead code=1                     | failed: `a` exited with code 1                  | waits: `a` is dead
removing                        | failed: `a` exited with code 0                  | waits: `a` is removing
";

#[test]
fn every_state_has_its_verdict() {
    for [state, compose, cluster] in rows(STATES) {
        for (engine, expected) in [(Engine::Compose, compose), (Engine::Cluster, cluster)] {
            let replica = seen(&format!("a {state}"));
            let judgement = Watch::new(engine, Vec::new()).look(secs(0), replica);
            assert_eq!(said(&judgement), expected, "{engine:?} {state}");
            let blamed = match &judgement.verdict {
                Verdict::Failed(fault) => fault.suspect.as_ref().map(|one| one.name.as_str()),
                _ => None,
            };
            let failed = expected.starts_with("failed");
            assert_eq!(blamed, failed.then_some("a"), "{engine:?} {state}");
        }
    }
}

/// How long a new replica must have been up beside others, and what is told of that.
fn window(watch: impl Fn() -> Watch, beside: &str, new: &str) -> (Duration, Option<Duration>) {
    for halves in 0..100 {
        let uptime = Duration::from_millis(500 * halves);
        let mut all = seen(beside);
        all.push(Seen {
            uptime: Some(uptime),
            ..one(new)
        });
        let wanted = u32::try_from(all.len()).unwrap();
        let judgement = watch().wanting(wanted).look(secs(0), all);
        match judgement.verdict {
            Verdict::Ready => return (uptime, judgement.watched.get(SERVICE).copied()),
            Verdict::Waiting(_) => {}
            Verdict::Failed(fault) => panic!("{}", fault.why),
        }
    }
    panic!("it is watched for ever");
}

/// Who runs beside it, who else was there before the run, and `--stable`; how long a new replica is watched, and
/// whether that is told.
const WINDOWS: &str = "
-                         | -                       | - | 5 | told
old up=30                 | -                       | - | 1 | -
old up=29                 | -                       | - | 5 | told
old up=30, other up=2     | -                       | - | 1 | -
old up=300 unhealthy      | -                       | - | 5 | told
old up=300 config=then    | -                       | - | 5 | told
old up=300                | gone exited code=1      | - | 5 | told
old up=300                | gone exited code=0      | - | 1 | -
old up=300                | gone exited code=1 leaving | - | 1 | -
old up=300                | gone restarting         | - | 5 | told
old up=300                | gone created failing    | - | 5 | told
-                         | -                       | 3 | 3 | -
old up=300                | -                       | 3 | 3 | -
-                         | -                       | 0 | 0 | -
";

#[test]
fn how_long_a_replica_is_watched_follows_from_what_is_known_of_its_kind() {
    for [beside, before, stable, expected, told] in rows(WINDOWS) {
        let beside = some(beside).unwrap_or_default();
        let mut there = had("old, other");
        // What is not well is no failure of the run when it was not well before.
        there.extend(had(some(before).unwrap_or_default()));
        there[0].health = beside.contains("unhealthy").then_some(Health::Unhealthy);
        let stable = some(stable).map(|typed| secs(number(typed)));
        let watch = || Watch::new(Engine::Compose, there.clone()).stable(stable);
        let expected = secs(number(expected));
        let told = some(told).map(|_| expected);
        let found = window(watch, beside, "new");
        assert_eq!(found, (expected, told), "{beside}, {before}, {stable:?}");
    }
}

#[test]
fn an_engine_that_hears_late_of_ends_is_given_a_second_more() {
    // Uptimes are not told there: what ran before the run is what is up for long.
    let typed = |seconds| Some(secs(seconds));
    for (beside, stable, expected, told) in [
        ("", None, 6, true),
        ("old", None, 2, false),
        ("old config=then", None, 6, true),
        ("old", typed(3), 4, false),
        ("", typed(0), 0, false),
    ] {
        let watch = || Watch::new(Engine::Cluster, had("old")).stable(stable);
        let expected = secs(expected);
        let found = window(watch, beside, "new");
        assert_eq!(found, (expected, told.then_some(expected)), "{beside}");
    }
}

#[test]
fn who_is_busy_with_its_start_is_watched_for_longer_but_not_for_ever() {
    for (measured, beside, stable, expected) in [
        (&[][..], "", None, 5),
        (&["49.9"], "", None, 5),
        (&["50"], "", None, 10),
        (&["400", "0.1"], "", None, 10),
        (&["99", "50"], "", None, 15),
        (&["99", "99", "99"], "", None, 20),
        (&["99", "99", "99", "99", "99"], "", None, 20),
        (&["99"], "old up=60", None, 1),
        (&["99"], "", Some(secs(2)), 2),
    ] {
        let watch = || {
            let mut watch = Watch::new(Engine::Compose, had("old")).stable(stable);
            for percent in measured {
                watch.look(secs(0), seen(&format!("new cpu={percent}, {beside}")));
            }
            watch
        };
        let found = window(watch, beside, "new").0;
        assert_eq!(found, secs(expected), "{measured:?} {beside} {stable:?}");
    }
}

#[test]
fn whom_the_processor_decides_on_is_told_with_the_time_left() {
    let mut watch = Watch::new(Engine::Compose, Vec::new()).wanting(3);
    let judgement = watch.look(secs(0), seen("a up=1, b up=5, c starting"));
    let doubtful = judgement.doubtful.iter();
    let doubtful: Vec<(&str, Duration)> = doubtful.map(|(id, left)| (id.as_str(), *left)).collect();
    assert_eq!(doubtful, [("a", secs(4))]);
}

#[test]
fn without_a_clock_of_the_engine_a_replica_is_up_since_it_was_first_seen_to_run() {
    let waits = "waits: `a` has not been up for 5s yet";
    let mut watch = Watch::new(Engine::Compose, Vec::new());
    for (at, replica, expected) in [
        (0, "a created", "waits: `a` is still in state `created`"),
        (1, "a", waits),
        (5, "a", waits),
        // It died and came back between two looks.
        (6, "a since=later", waits),
        (10, "a since=later", waits),
        (11, "a since=later", "ready"),
        (12, "a restarting", "waits: `a` is restarting"),
        (13, "a since=later", waits),
        (17, "a since=later", waits),
        (18, "a since=later", "ready"),
    ] {
        let judgement = watch.look(secs(at), seen(replica));
        assert_eq!(said(&judgement), expected, "{replica} at {at} s");
    }
}

#[test]
fn who_restarts_again_and_again_has_failed() {
    let waits = "waits: `a` has not been up for 5s yet";
    let failed = "failed: `a` restarted 3 times, last exit code 9";
    // A new one: each of its restarts is this run's.
    for (replica, expected) in [
        (
            "a restarting restarts=1 code=9",
            "waits: `a` is restarting, last exit code 9",
        ),
        ("a running restarts=2 code=9", waits),
        ("a running restarts=3 code=9", failed),
        ("a restarting restarts=3 code=9", failed),
        ("a running healthy restarts=3 code=9", failed),
    ] {
        let judgement = Watch::new(Engine::Compose, Vec::new()).look(secs(0), seen(replica));
        assert_eq!(said(&judgement), expected, "{replica}");
    }
    // One that was there before: what it went through earlier is none of this run's.
    let mut watch = Watch::new(Engine::Compose, had("a"));
    for (at, replica, expected) in [
        (0, "a restarts=40", "ready"),
        (1, "a restarts=42", waits),
        (2, "a restarts=43 code=9", failed),
    ] {
        assert_eq!(said(&watch.look(secs(at), seen(replica))), expected);
    }
    // Others that are up for long are no evidence where one of the new ones restarted.
    let mut watch = Watch::new(Engine::Compose, had("old")).wanting(2);
    let judgement = watch.look(secs(0), seen("old up=900, a restarts=1"));
    assert_eq!(said(&judgement), waits);
}

#[test]
fn a_replica_that_failed_in_this_run_has_to_last_longer_than_was_typed() {
    let watch = || Watch::new(Engine::Cluster, Vec::new()).stable(Some(secs(1)));
    assert_eq!(window(watch, "", "a restarts=1").0, secs(5));
    assert_eq!(window(watch, "", "a").0, secs(2));
}

#[test]
fn failures_that_the_engine_remembers_count_from_the_run_on() {
    let ids = |words: &str| -> String {
        let ids = words.split(' ').filter(|id| !id.is_empty());
        let failure = |id| format!("a id={id} exited why=exited_with_code_3");
        ids.map(failure).collect::<Vec<_>>().join(",")
    };
    let look = |replica: &str, failures: &str| ServiceSeen {
        replicas: seen(replica),
        failures: seen(&ids(failures)),
        ..ServiceSeen::default()
    };
    let waits = "waits: `a` is not healthy yet";
    let failed = "failed: `a` exited_with_code_3, 3 times";
    for (before, now, expected) in [
        ("", "x y", waits),
        ("", "x y z", failed),
        ("x", "x y z", waits),
        ("x", "w x y z", failed),
    ] {
        let before = had(&ids(before));
        let mut watch = Watch::with_failures(Engine::Cluster, Vec::new(), before);
        let judgement = watch.look_at(secs(0), look("a starting", now));
        assert_eq!(said(&judgement), expected, "{now}");
    }
    // It kept failing before the run: that it still does is no failure of the run.
    let before = had(&ids("u v w"));
    let mut watch = Watch::with_failures(Engine::Cluster, had("a exited"), before);
    let judgement = watch.look_at(secs(0), look("a exited", "u v w x y z"));
    assert_eq!(said(&judgement), "ready");
    assert_eq!(judgement.unwell.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn when_the_time_is_up_what_is_waited_for_is_the_reason() {
    let late = "late: `a` is not healthy yet after 2m";
    let moment = Duration::from_millis(1);
    for (at, replica, expected) in [
        (
            LIMIT.saturating_sub(moment),
            "a starting",
            "waits: `a` is not healthy yet",
        ),
        (LIMIT, "a starting", late),
        (LIMIT * 2, "a starting", late),
        (LIMIT * 2, "a healthy", "ready"),
        (LIMIT * 2, "a paused", "failed: `a` is paused"),
    ] {
        let mut watch = Watch::new(Engine::Compose, Vec::new());
        let judgement = watch.look(at, seen(replica));
        assert_eq!(said(&judgement), expected, "{replica} at {at:?}");
    }
    let mut watch = Watch::new(Engine::Cluster, Vec::new()).wanting(2);
    let judgement = watch.look(LIMIT, seen("a healthy"));
    assert_eq!(said(&judgement), "late: `web` has 1 of 2 replicas after 2m");
}

#[test]
fn what_somebody_else_changed_is_said_as_such() {
    // How many are wanted, and who is there at one look after the other.
    for (wanted, looks, expected) in [
        (
            2,
            &["a healthy"][..],
            "`web` has 1 of the 2 replicas wanted",
        ),
        (
            2,
            &["a healthy, b starting", "a healthy"],
            "`b` disappeared while it was being verified",
        ),
        (
            1,
            &["a healthy, b healthy"],
            "`web` has 2 of the 1 replicas wanted",
        ),
    ] {
        let mut watch = Watch::new(Engine::Compose, Vec::new()).wanting(wanted);
        let looks = looks.iter().map(|look| watch.look(secs(0), seen(look)));
        let last = looks.last().unwrap();
        assert_eq!(said(&last), format!("changed: {expected}"));
    }
    let mut watch = Watch::new(Engine::Cluster, Vec::new());
    for (kept, expected) in [
        (1, "ready"),
        (
            3,
            "changed: `web` was told to have 1, and something else set it to 3 meanwhile",
        ),
    ] {
        let look = ServiceSeen {
            kept: Some(kept),
            replicas: seen("a healthy"),
            ..ServiceSeen::default()
        };
        assert_eq!(said(&watch.look_at(secs(0), look)), expected);
    }
}

/// Of three that are wanted: at which second which of them are there, and what is said to stand in the way; what is
/// made of the last look.
const TROUBLES: &str = "
0 a -       | 60 a -     |              | waits: `web` has 1 of 3 replicas
0 a quota   | 9 a quota  |              | waits: `web` has 1 of 3 replicas: quota
0 a quota   | 10 a quota |              | failed: `web` has 1 of 3 replicas: quota
0 a quota   | 8 a -      | 12 a quota   | waits: `web` has 1 of 3 replicas: quota
0 a,b quota | 8 a quota  | 12 a quota   | waits: `web` has 1 of 3 replicas: quota
0 a,b quota | 8 a quota  | 18 a quota   | failed: `web` has 1 of 3 replicas: quota
0 a quota   | 10 a,b,c quota |          | ready
";

#[test]
fn what_an_engine_says_it_cannot_make_is_believed_after_a_while() {
    for [first, second, third, expected] in rows(TROUBLES) {
        let mut watch = Watch::new(Engine::Cluster, Vec::new()).wanting(3);
        let looks = [first, second, third];
        let looks = looks.into_iter().filter(|look| !look.is_empty());
        let last = looks.map(|look| {
            let words: Vec<&str> = look.split(' ').collect();
            let there: Vec<Seen> = seen(words[1]).into_iter().map(healthy).collect();
            let service = ServiceSeen {
                replicas: there,
                trouble: some(words[2]).map(str::to_owned),
                ..ServiceSeen::default()
            };
            watch.look_at(secs(number(words[0])), service)
        });
        let last = last.last().unwrap();
        assert_eq!(said(&last), expected, "{first}, {second}, {third}");
    }
}

fn healthy(one: Seen) -> Seen {
    Seen {
        health: Some(Health::Healthy),
        ..one
    }
}

#[test]
fn a_failed_replica_that_is_not_replaced_is_the_trouble() {
    let look = |replicas: &str| ServiceSeen {
        replicas: seen(replicas),
        failures: seen("b exited why=exited_with_code_3"),
        ..ServiceSeen::default()
    };
    let why = "`web` has 1 of 2 replicas: `b` exited_with_code_3, and is not started again";
    let mut watch = Watch::new(Engine::Cluster, Vec::new()).wanting(2);
    let judgement = watch.look_at(secs(0), look("a healthy"));
    assert_eq!(said(&judgement), format!("waits: {why}"));
    let judgement = watch.look_at(secs(10), look("a healthy"));
    assert_eq!(said(&judgement), format!("failed: {why}"));
    let Verdict::Failed(fault) = judgement.verdict else {
        panic!("it failed");
    };
    assert_eq!(fault.suspect.unwrap().name, "b");
    let judgement = watch.look_at(secs(11), look("a healthy, b healthy"));
    assert_eq!(said(&judgement), "ready");
}

#[test]
fn while_the_engine_replaces_replicas_there_may_be_more_of_them() {
    let waits = "waits: `c` is still in state `created`";
    for (updating, replicas, expected) in [
        (true, "a healthy, b healthy, c created", "ready"),
        (false, "a healthy, b healthy, c created", waits),
        (true, "a healthy, c created", waits),
    ] {
        let mut watch = Watch::new(Engine::Cluster, Vec::new()).wanting(2);
        let look = ServiceSeen {
            replicas: seen(replicas),
            updating,
            ..ServiceSeen::default()
        };
        let judgement = watch.look_at(secs(0), look);
        assert_eq!(said(&judgement), expected, "{updating} {replicas}");
    }
}

/// Who looks after replicas, how one was before the run and how it is now; what is made of it, and whether it is
/// told as unwell.
const UNWELL: &str = "
compose | a running unhealthy    | a running unhealthy    | ready                                  | told
compose | a running unhealthy    | a running healthy      | ready                                  | -
compose | a running unhealthy    | a exited code=0        | failed: `a` exited with code 0         | -
compose | a running unhealthy    | a id=b running unhealthy | failed: `a` became unhealthy         | -
cluster | a running unhealthy    | a running unhealthy    | ready                                  | told
cluster | a running unhealthy    | a id=b running unhealthy | ready                                | told
cluster | a running unhealthy    | a exited               | ready                                  | told
cluster | a created why=no_image | a created why=no_image | ready                                  | told
cluster | a created              | a created              | waits: `a` is still in state `created` | -
";

#[test]
fn who_was_unwell_before_is_told_and_not_blamed_on_the_run() {
    for [engine, before, now, expected, told] in rows(UNWELL) {
        let engine = match engine {
            "compose" => Engine::Compose,
            _ => Engine::Cluster,
        };
        let judgement = Watch::new(engine, had(before)).look(secs(0), seen(now));
        assert_eq!(said(&judgement), expected, "{engine:?} {before}, {now}");
        let unwell = judgement.unwell.get("a").map(String::as_str);
        let told = some(told).map(|_| SERVICE);
        assert_eq!(unwell, told, "{engine:?} {before}, {now}");
    }
}

#[test]
fn who_ran_before_need_not_be_watched_again() {
    let judgement = Watch::new(Engine::Compose, had("a")).look(secs(0), seen("a"));
    assert_eq!(said(&judgement), "ready");
    assert!(judgement.watched.is_empty());
    // It exited before and was started: it is like a new one.
    let judgement = Watch::new(Engine::Compose, had("a exited")).look(secs(0), seen("a"));
    assert_eq!(said(&judgement), "waits: `a` has not been up for 5s yet");
    assert_eq!(judgement.watched[SERVICE], secs(5));
}

#[test]
fn replicas_are_counted_by_how_far_they_are() {
    let mut watch = Watch::new(Engine::Compose, Vec::new()).wanting(4);
    let judgement = watch.look(
        secs(0),
        seen("a healthy, b starting, c created, d restarting"),
    );
    let tally = judgement.tallies[SERVICE];
    assert_eq!((tally.there, tally.running, tally.ready), (4, 2, 1));
}

/// What is seen of `a`, which may take 10 s, and of `b`, which may take 60 s, and when; the verdict, and who is done.
const SERVICES: &str = "
running healthy  | running healthy  | 0  | ready                                   | a b
running starting | running healthy  | 0  | waits: `a` is not healthy yet           | b
running healthy  | running starting | 59 | waits: `b` is not healthy yet           | a
running starting | paused           | 0  | failed: `b` is paused                   |
running starting | running starting | 10 | late: `a` is not healthy yet after 10s  |
running healthy  | running starting | 60 | late: `b` is not healthy yet after 1m   | a
";

#[test]
fn services_are_judged_each_by_its_own_standard_and_a_failure_outweighs_a_wait() {
    for [a, b, at, expected, done] in rows(SERVICES) {
        let yaml = "services: {a: {image: x}, b: {image: x}}";
        let project = Project::new(Declared::parse(yaml, "shop").unwrap(), Vec::new());
        let counts: Counts = [("a".to_owned(), 1), ("b".to_owned(), 1)].into();
        let mut history = History::new(&project, &counts, false);
        let service = |name: &str, state: &str| {
            let seen = ServiceSeen {
                wanted: 1,
                replicas: seen(&format!("{name} {state}")),
                ..ServiceSeen::default()
            };
            (name.to_owned(), seen)
        };
        let look = Look {
            at: secs(number(at)),
            services: [service("a", a), service("b", b)].into(),
        };
        history.note(&look);
        let judgement = judge(&look, &history, |service| Standard {
            stable: None,
            limit: secs(if service == "a" { 10 } else { 60 }),
        });
        assert_eq!(said(&judgement), expected);
        let names: Vec<String> = judgement.done.iter().cloned().collect();
        assert_eq!(names.join(" "), done, "{expected}");
    }
}

#[test]
fn a_healthcheck_says_how_long_a_start_may_take() {
    let check = Healthcheck {
        start_period: secs(60),
        interval: secs(30),
        timeout: secs(10),
        retries: 3,
    };
    assert_eq!(check.allowance(), secs(180));
    let at_once = Healthcheck {
        retries: 0,
        start_period: Duration::ZERO,
        ..check
    };
    assert_eq!(at_once.allowance(), secs(40));
    let never = Healthcheck {
        retries: u32::MAX,
        interval: Duration::MAX,
        ..check
    };
    assert_eq!(never.allowance(), Duration::MAX);
}
