//! The one verdict on replicas: from what is seen now and what was seen before. Pure; time is part of what is
//! seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Suspect;
use crate::duration;
use crate::error::Kind;
use crate::plan::Counts;
use crate::project::Project;
use crate::project::observed::{Health, Replica, State};

/// Restarts by the engine within one run after which a replica is taken to be crashing for good.
const RESTART_LIMIT: u32 = 3;
/// How long a replica without a healthcheck is watched where one of the same kind has been up for long.
const KNOWN_WINDOW: Duration = Duration::from_secs(1);
/// How long where nothing of the kind is known to stay up. Python, Ruby and JVMs need some seconds to fail.
const UNKNOWN_WINDOW: Duration = Duration::from_secs(5);
/// How often that window is begun again for a replica whose processor is still busy with its start.
const BUSY_WINDOWS: u32 = 3;
/// The processor's share in percent of one core from which a replica is taken to be still starting.
pub const BUSY_PERCENT: f64 = 50.0;
/// How long a replica of the same kind must have been up to count as evidence.
const UP_FOR_LONG: Duration = Duration::from_secs(30);
/// How late the manager of a cluster hears that a replica ended: that much longer one must have been seen to
/// run.
const NEWS: Duration = Duration::from_secs(1);
/// How long a replica must run whose predecessor failed in this run: a crash loop is up for a moment each time.
/// It is what Swarm's own `docker service scale` waits.
const AFTER_A_FAILURE: Duration = Duration::from_secs(5);
/// How long an engine may say that it cannot make more replicas before that is believed: what ends makes room.
const TROUBLE_LASTS: Duration = Duration::from_secs(10);

/// One replica at one look.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub id: String,
    pub name: String,
    pub state: State,
    pub health: Option<Health>,
    pub restarts: u32,
    /// Where the engine tells it.
    pub exit_code: Option<i32>,
    pub out_of_memory: bool,
    /// Why it is not up, in the engine's own words.
    pub reason: Option<String>,
    /// Whether the reason will not go away by itself.
    pub failing: bool,
    /// By the engine's own clock.
    pub uptime: Option<Duration>,
    /// Another one with each restart.
    pub started_at: String,
    /// Replicas with the same run the same.
    pub config_hash: String,
    /// Percent of one core, where it was measured.
    pub cpu_percent: Option<f64>,
}

impl Seen {
    /// As a listing tells it.
    pub fn listed(replica: &Replica) -> Self {
        Self {
            id: replica.id.clone(),
            name: replica.name.clone(),
            state: replica.state,
            health: replica.health,
            restarts: replica.restarts.unwrap_or(0),
            exit_code: replica.exit_code,
            reason: replica.reason.clone(),
            failing: replica.failing,
            config_hash: replica.config_hash.clone(),
            ..Self::default()
        }
    }

    fn is_good(&self) -> bool {
        self.state == State::Running && self.health != Some(Health::Unhealthy)
    }

    fn suspect(&self) -> Suspect {
        Suspect {
            id: self.id.clone(),
            name: self.name.clone(),
        }
    }

    fn last_exit(&self) -> String {
        self.exit_code
            .map_or(String::new(), |code| format!(", last exit code {code}"))
    }
}

/// One service at one look.
#[derive(Debug, Clone, Default)]
pub struct ServiceSeen {
    pub wanted: u32,
    /// The count that the engine keeps, where it keeps one.
    pub kept: Option<u32>,
    /// Replicas that count and are to be verified.
    pub replicas: Vec<Seen>,
    /// Whether the engine is replacing replicas by newer ones.
    pub updating: bool,
    /// Why the engine cannot make more.
    pub trouble: Option<String>,
    /// Replicas that failed and were replaced, latest first.
    pub failures: Vec<Seen>,
}

/// One look at the services that are verified.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Since the verification began.
    pub at: Duration,
    pub services: BTreeMap<String, ServiceSeen>,
}

/// What is asked of the replicas of a service.
#[derive(Debug, Clone, Copy)]
pub struct Standard {
    /// `--stable`: how long one without a healthcheck must stay up; `None` leaves it to what is known.
    pub stable: Option<Duration>,
    /// How long all of it may take.
    pub limit: Duration,
}

/// What is known of a replica from before the run.
#[derive(Debug, Clone)]
struct Before {
    id: String,
    name: String,
    good: bool,
    /// It was not well: that it still is not is no failure of this run.
    unwell: bool,
}

/// What was seen of a replica at earlier looks.
#[derive(Debug, Clone)]
struct Past {
    up_since: Duration,
    started_at: String,
    /// Restarts that are none of this run's.
    restarts: u32,
    /// How often its processor was still busy when it had been watched for long enough.
    busy_windows: u32,
}

/// Everything from earlier looks that a verdict rests on.
#[derive(Debug)]
pub struct History {
    /// Whether the engine itself replaces what fails.
    replaces: bool,
    before: BTreeMap<String, Vec<Before>>,
    /// Services of which some replica did not stay up before the run.
    crashed: BTreeSet<String>,
    failures: Vec<(String, String)>,
    replicas: BTreeMap<String, Past>,
    seen: BTreeMap<String, BTreeMap<String, String>>,
    troubles: BTreeMap<String, (Duration, u32)>,
}

impl History {
    /// From the project before the run; `replaces` says whether its engine itself replaces what fails.
    pub fn new(project: &Project, services: &Counts, replaces: bool) -> Self {
        let failures: Vec<(String, String)> = project
            .failures
            .iter()
            .map(|one| (one.id.clone(), one.name.clone()))
            .collect();
        let crashes = |name: &str| failures.iter().filter(|(_, failed)| failed == name).count();
        let of = |replica: &Replica| {
            let on_its_way =
                replica.state == State::Created && replica.reason.is_none() && !replica.failing;
            Before {
                id: replica.id.clone(),
                name: replica.name.clone(),
                good: replica.is_good(),
                unwell: if replaces {
                    (!replica.is_good() && !on_its_way)
                        || crashes(&replica.name) >= RESTART_LIMIT as usize
                } else {
                    replica.health == Some(Health::Unhealthy)
                },
            }
        };
        let staying = |service: &String| {
            let replicas = project.replicas(service).iter();
            replicas.filter(|one| !one.leaving).collect::<Vec<_>>()
        };
        let before = services.keys().map(|service| {
            let replicas = staying(service).into_iter().map(of).collect();
            (service.clone(), replicas)
        });
        let crashed = services.keys().filter(|service| {
            let did = |replica: &&Replica| {
                replica.state == State::Restarting
                    || replica.exit_code.is_some_and(|code| code != 0)
                    || replica.failing
            };
            staying(service).iter().any(did)
        });
        Self {
            replaces,
            before: before.collect(),
            crashed: crashed.cloned().collect(),
            failures,
            replicas: BTreeMap::new(),
            seen: BTreeMap::new(),
            troubles: BTreeMap::new(),
        }
    }

    /// Takes in a look.
    pub fn note(&mut self, look: &Look) {
        for (service, seen) in &look.services {
            for one in &seen.replicas {
                let restarts = match self.before(service, one) {
                    Some(_) => one.restarts,
                    // An engine may remember failures of the one that had this name, and count them as restarts.
                    None => u32::try_from(self.failures_of(&one.name)).unwrap_or(u32::MAX),
                };
                let past = self.replicas.entry(one.id.clone()).or_insert_with(|| Past {
                    up_since: look.at,
                    started_at: one.started_at.clone(),
                    restarts,
                    busy_windows: 0,
                });
                if one.state != State::Running || past.started_at != one.started_at {
                    past.up_since = look.at;
                    past.started_at.clone_from(&one.started_at);
                }
                if one
                    .cpu_percent
                    .is_some_and(|percent| percent >= BUSY_PERCENT)
                    && past.busy_windows < BUSY_WINDOWS
                {
                    past.busy_windows += 1;
                }
            }
            let names = seen.replicas.iter();
            let names = names.map(|one| (one.id.clone(), one.name.clone()));
            self.seen.entry(service.clone()).or_default().extend(names);
            let there = count(seen.replicas.len());
            let trouble = self.troubles.entry(service.clone());
            let (since, had) = trouble.or_insert((look.at, there));
            if *had != there || self.replaces && !is_troubled(seen) {
                (*since, *had) = (look.at, there);
            }
        }
    }

    /// How long a replica has been up, as far as is known.
    fn uptime(&self, seen: &Seen, at: Duration) -> Duration {
        let past = self.replicas.get(&seen.id);
        let watched = past.map_or(Duration::ZERO, |past| at.saturating_sub(past.up_since));
        seen.uptime.unwrap_or(Duration::ZERO).max(watched)
    }

    fn before(&self, service: &str, seen: &Seen) -> Option<&Before> {
        let mut before = self.before.get(service)?.iter();
        before.find(|one| one.id == seen.id || (self.replaces && one.name == seen.name))
    }

    fn failures_of(&self, name: &str) -> usize {
        let same = self.failures.iter().filter(|(_, failed)| failed == name);
        same.count()
    }

    fn restarts(&self, seen: &Seen) -> u32 {
        let before = self.replicas.get(&seen.id).map_or(0, |past| past.restarts);
        seen.restarts.saturating_sub(before)
    }

    /// Whether it ran before the run and has not been restarted since.
    fn ran_before(&self, service: &str, seen: &Seen) -> bool {
        let before = self.before.get(service).into_iter().flatten();
        let same = |one: &Before| one.id == seen.id && one.good;
        before.into_iter().any(same) && self.restarts(seen) == 0
    }
}

/// How long a replica without a healthcheck must stay up, and whether that is so long because nothing of its
/// kind is known to.
fn window(
    service: &str,
    seen: &ServiceSeen,
    one: &Seen,
    standard: Standard,
    history: &History,
    at: Duration,
) -> (Duration, bool) {
    let news = if history.replaces {
        NEWS
    } else {
        Duration::ZERO
    };
    if let Some(stable) = standard.stable {
        return match stable {
            // No window at all is asked for.
            Duration::ZERO => (Duration::ZERO, false),
            stable if history.restarts(one) > 0 => (stable.max(AFTER_A_FAILURE), false),
            stable => (stable + news, false),
        };
    }
    let long = |other: &&Seen| {
        let up = if history.replaces {
            history.ran_before(service, other)
        } else {
            history.uptime(other, at) >= UP_FOR_LONG
        };
        other.config_hash == one.config_hash
            && other.is_good()
            && up
            && history.restarts(other) == 0
    };
    let restarted = seen
        .replicas
        .iter()
        .any(|other| history.restarts(other) > 0);
    let known = seen.replicas.iter().any(|other| long(&other));
    if known && !restarted && !history.crashed.contains(service) {
        return (KNOWN_WINDOW + news, false);
    }
    let past = history.replicas.get(&one.id);
    let busy = past.map_or(0, |past| past.busy_windows);
    (UNKNOWN_WINDOW * (1 + busy) + news, true)
}

/// How one replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Ready,
    /// Not yet; what it waits for.
    Waiting(String),
    /// It will not come up; why.
    Failed(String),
    /// As bad as before the run.
    StillUnwell,
}

fn stands(one: &Seen, window: Duration, up: bool, history: &History) -> Standing {
    let reason = |or: String| one.reason.clone().unwrap_or(or);
    // What nobody replaces has failed; what the engine replaces is waited for.
    let unless_replaced = |or: String, failed: String| {
        if history.replaces {
            Standing::Waiting(reason(or))
        } else {
            Standing::Failed(failed)
        }
    };
    let restarts = history.restarts(one);
    if one.failing {
        return Standing::Failed(reason(format!("is {}", one.state)));
    }
    if restarts >= RESTART_LIMIT {
        let exit = one.last_exit();
        return Standing::Failed(format!("restarted {restarts} times{exit}"));
    }
    match (one.state, one.health) {
        (State::Running, Some(Health::Healthy)) => Standing::Ready,
        (State::Running, None) if up => Standing::Ready,
        (State::Running, None) => Standing::Waiting(format!(
            "has not been up for {} yet",
            duration::show(window)
        )),
        (State::Running, Some(Health::Starting)) => {
            Standing::Waiting(reason("is not healthy yet".into()))
        }
        (State::Running, Some(Health::Unhealthy)) => {
            unless_replaced("is not healthy yet".into(), "became unhealthy".into())
        }
        (State::Created, _) => match &one.reason {
            Some(reason) if !history.replaces => {
                Standing::Failed(format!("could not be started: {reason}"))
            }
            Some(reason) => Standing::Waiting(reason.clone()),
            None => Standing::Waiting("is still in state `created`".into()),
        },
        (State::Restarting, _) => {
            Standing::Waiting(reason(format!("is restarting{}", one.last_exit())))
        }
        (State::Paused, _) => unless_replaced("is paused".into(), "is paused".into()),
        (State::Exited | State::Dead | State::Removing, _) => {
            let code = one.exit_code.unwrap_or_default();
            let ended = match (one.out_of_memory, &one.reason) {
                (true, _) => format!("exited with code {code}, out of memory"),
                (false, None) => format!("exited with code {code}"),
                (false, Some(reason)) => format!("could not be started: {reason}"),
            };
            unless_replaced(format!("is {}", one.state), ended)
        }
    }
}

/// How many replicas of a service are how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub there: u32,
    pub running: u32,
    pub ready: u32,
}

/// How all of it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Ready,
    /// Not yet; which replica, or service, waits for what.
    Waiting(String),
    Failed(Fault),
}

/// Why it will not come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub service: String,
    pub why: String,
    /// The replica whose log tells more.
    pub suspect: Option<Suspect>,
    /// Whether only the time was up.
    pub late: bool,
}

/// A verdict with what there is to tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    pub tallies: BTreeMap<String, Tally>,
    /// Services that are done.
    pub done: BTreeSet<String>,
    /// Replicas, by name, that were unwell before and still are, and their services.
    pub unwell: BTreeMap<String, String>,
    /// How long replicas without a healthcheck are watched, of services of which nothing is known to stay up.
    pub watched: BTreeMap<String, Duration>,
    /// Replicas whose processor decides whether they are watched for longer, and when that is.
    pub doubtful: BTreeMap<String, Duration>,
}

/// Judges a look by what was seen before, the look itself included ([`History::note`]).
pub fn judge(look: &Look, history: &History, standards: impl Fn(&str) -> Standard) -> Judgement {
    let mut judgement = Judgement {
        verdict: Verdict::Ready,
        tallies: BTreeMap::new(),
        done: BTreeSet::new(),
        unwell: BTreeMap::new(),
        watched: BTreeMap::new(),
        doubtful: BTreeMap::new(),
    };
    for (service, seen) in &look.services {
        let standard = standards(service);
        let verdict = judge_service(service, seen, look.at, standard, history, &mut judgement);
        let verdict = match verdict {
            Of::Waiting(what, suspect) if look.at >= standard.limit => Of::Failed(Fault {
                kind: Kind::Replica,
                service: service.clone(),
                why: format!("{what} after {}", duration::show(standard.limit)),
                suspect,
                late: true,
            }),
            verdict => verdict,
        };
        match verdict {
            Of::Ready => {
                judgement.done.insert(service.clone());
            }
            Of::Waiting(what, _) => {
                if judgement.verdict == Verdict::Ready {
                    judgement.verdict = Verdict::Waiting(what);
                }
            }
            Of::Failed(fault) => {
                judgement.verdict = Verdict::Failed(fault);
                return judgement;
            }
        }
    }
    judgement
}

/// How one service stands.
enum Of {
    Ready,
    Waiting(String, Option<Suspect>),
    Failed(Fault),
}

fn judge_service(
    service: &str,
    seen: &ServiceSeen,
    at: Duration,
    standard: Standard,
    history: &History,
    judgement: &mut Judgement,
) -> Of {
    let fault = |kind, why, suspect| {
        Of::Failed(Fault {
            kind,
            service: service.to_owned(),
            why,
            suspect,
            late: false,
        })
    };
    let wanted = seen.wanted;
    if let Some(kept) = seen.kept.filter(|kept| *kept != wanted) {
        let why = format!(
            "`{service}` was told to have {wanted}, and something else set it to {kept} meanwhile"
        );
        return fault(Kind::Changed, why, None);
    }
    if let Some(crashing) = crashing(service, seen, history, RESTART_LIMIT) {
        let reason = crashing.reason.as_deref().unwrap_or("failed");
        let why = format!("`{}` {reason}, {RESTART_LIMIT} times", crashing.name);
        return fault(Kind::Replica, why, Some(crashing.suspect()));
    }
    let mut waiting: Option<(String, Option<Suspect>)> = None;
    let mut tally = Tally {
        there: count(seen.replicas.len()),
        ..Tally::default()
    };
    for one in &seen.replicas {
        tally.running += u32::from(one.state == State::Running);
        let (window, doubted) = window(service, seen, one, standard, history, at);
        let ran_before = history.ran_before(service, one);
        let uptime = history.uptime(one, at);
        let up = ran_before || uptime >= window;
        if one.health.is_none() && !ran_before && doubted && one.state == State::Running {
            let watched = judgement.watched.entry(service.to_owned()).or_default();
            *watched = window.max(*watched);
            if !up {
                judgement
                    .doubtful
                    .insert(one.id.clone(), window.saturating_sub(uptime));
            }
        }
        let before = history.before(service, one);
        let standing = match stands(one, window, up, history) {
            Standing::Failed(_) | Standing::Waiting(_)
                if before.is_some_and(|before| before.unwell)
                    && history.replaces
                    && !one.is_good() =>
            {
                Standing::StillUnwell
            }
            Standing::Failed(_)
                if before.is_some_and(|before| before.unwell) && one.state == State::Running =>
            {
                Standing::StillUnwell
            }
            standing => standing,
        };
        match standing {
            Standing::Ready => tally.ready += 1,
            Standing::Waiting(what) => {
                waiting.get_or_insert((format!("`{}` {what}", one.name), Some(one.suspect())));
            }
            Standing::Failed(why) => {
                let why = format!("`{}` {why}", one.name);
                judgement.tallies.insert(service.to_owned(), tally);
                return fault(Kind::Replica, why, Some(one.suspect()));
            }
            Standing::StillUnwell => {
                let name = one.name.clone();
                judgement.unwell.insert(name, service.to_owned());
            }
        }
    }
    judgement.tallies.insert(service.to_owned(), tally);
    // While replicas are replaced by newer ones there are more of them, and some of them on their way.
    if seen.updating && tally.ready >= wanted {
        return Of::Ready;
    }
    if tally.there != wanted {
        match missing(service, seen, at, history) {
            Of::Waiting(what, suspect) => {
                waiting.get_or_insert((what, suspect));
            }
            verdict => return verdict,
        }
    }
    waiting.map_or(Of::Ready, |(what, suspect)| Of::Waiting(what, suspect))
}

/// How a service stands that has another number of replicas than wanted. An engine that keeps counts is still
/// at it, or says why it cannot make more, or a replica failed and nothing takes its place; elsewhere somebody
/// took one away.
fn missing(service: &str, seen: &ServiceSeen, at: Duration, history: &History) -> Of {
    let (there, wanted) = (count(seen.replicas.len()), seen.wanted);
    let fault = |kind, why, suspect| {
        Of::Failed(Fault {
            kind,
            service: service.to_owned(),
            why,
            suspect,
            late: false,
        })
    };
    if !history.replaces {
        let is_there = |id: &String| seen.replicas.iter().any(|one| one.id == *id);
        let gone = history.seen.get(service).and_then(|all| {
            let gone = all.iter().find(|(id, _)| !is_there(id));
            gone.map(|(_, name)| name)
        });
        let why = match gone {
            Some(name) => format!("`{name}` disappeared while it was being verified"),
            None => format!("`{service}` has {there} of the {wanted} replicas wanted"),
        };
        return fault(Kind::Changed, why, None);
    }
    let short = format!("`{service}` has {there} of {wanted} replicas");
    let failed = failed(service, seen, history);
    let trouble = seen.trouble.clone().or_else(|| {
        let failed = failed?;
        let reason = failed.reason.as_deref().unwrap_or("failed");
        let name = &failed.name;
        Some(format!("`{name}` {reason}, and is not started again"))
    });
    let Some(trouble) = trouble.filter(|_| there < wanted) else {
        return Of::Waiting(short, None);
    };
    let why = format!("{short}: {trouble}");
    let since = history
        .troubles
        .get(service)
        .map_or(at, |(since, _)| *since);
    if at.saturating_sub(since) < TROUBLE_LASTS {
        return Of::Waiting(why, None);
    }
    fault(Kind::Replica, why, failed.map(Seen::suspect))
}

/// A replica that failed in this run and whose place none has taken.
fn failed<'s>(service: &str, seen: &'s ServiceSeen, history: &History) -> Option<&'s Seen> {
    let failed = crashing(service, seen, history, 1)?;
    let replaced = seen.replicas.iter().any(|one| one.name == failed.name);
    (!replaced).then_some(failed)
}

/// Whether something is said that keeps the engine from making more replicas.
fn is_troubled(seen: &ServiceSeen) -> bool {
    count(seen.replicas.len()) < seen.wanted
        && (seen.trouble.is_some() || !seen.failures.is_empty())
}

/// The latest failure of a replica that failed so often in this run. What kept failing before is no failure of
/// this run.
fn crashing<'s>(
    service: &str,
    seen: &'s ServiceSeen,
    history: &History,
    times: u32,
) -> Option<&'s Seen> {
    let is_new = |failure: &&Seen| {
        let known = history.failures.iter().any(|(id, _)| *id == failure.id);
        let before = history.before(service, failure);
        !known && !before.is_some_and(|before| before.unwell)
    };
    let failures: Vec<&Seen> = seen.failures.iter().filter(is_new).collect();
    let often = |failure: &&&Seen| {
        let same = failures.iter().filter(|other| other.name == failure.name);
        same.count() >= times as usize
    };
    failures.iter().find(often).copied()
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
