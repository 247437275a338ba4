//! Reading a project under its lock: what is planned on must not change before it is carried out.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::claiming::{HeldClaim, claim};
use super::selection::{Asked, known_services};
use super::surroundings::HostFacts;
use crate::duration;
use crate::error::{Error, Kind, Result};
use crate::gather::Reach;
use crate::lock::{self, Attempt, Holder, ProjectLock};
use crate::project::Project;

/// What the lock is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    pub asked: &'a Asked,
    /// Nothing will be changed.
    pub dry_run: bool,
    /// The caller holds the lock.
    pub held: bool,
    /// How long another run is waited for.
    pub lock_timeout: Duration,
}

impl Purpose<'_> {
    /// Whether it needs no lock of its own.
    fn is_free(&self) -> bool {
        self.dry_run || self.held
    }
}

/// A project, read under its lock; without one where nothing will be changed.
#[derive(Debug)]
pub struct Locked<'a> {
    pub project: Project,
    pub guard: Option<Guard<'a>>,
}

/// What keeps other runs from a project: on this machine, and where others reach the engine on that as well.
#[derive(Debug)]
pub struct Guard<'a> {
    _lock: ProjectLock,
    claim: Option<HeldClaim<'a>>,
}

impl Guard<'_> {
    /// Does something while the project is kept.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(claim) = &self.claim else {
            return work.await;
        };
        tokio::select! {
            biased;
            done = work => done,
            never = claim.keep() => match never {},
        }
    }

    pub async fn release(self) {
        if let Some(claim) = self.claim {
            claim.release().await;
        }
    }
}

/// Reads the project, and takes its lock unless nothing will be changed, or the caller holds it.
///
/// The lock is kept by the project's name, which Compose says only once it has read the file. So the
/// likely name's lock is tried first, and the containers are listed meanwhile; where the name turns out to
/// be another, or the lock is taken, it is done again in the slower order.
pub async fn read_locked<'a>(
    reach: Reach<'a>,
    purpose: Purpose<'_>,
    host: &HostFacts,
    engine: &str,
    note: &dyn Fn(&str),
) -> Result<Locked<'a>> {
    let likely = &host.likely_name;
    let locks = Locks {
        reach,
        host,
        engine,
        purpose,
        note,
    };
    let early = if purpose.is_free() {
        None
    } else {
        match lock::attempt(&locks.path(likely), &locks.holder())? {
            Attempt::Taken(lock) => Some(lock),
            Attempt::Busy(_) => None,
        }
    };
    let listing = async {
        let counts = purpose.is_free() || (early.is_some() && !reach.endpoint.is_shared());
        if counts {
            Some(reach.observed(likely).await)
        } else {
            None
        }
    };
    let (declared, listed) = tokio::join!(reach.declared(likely), listing);
    let declared = declared?;
    for warning in &declared.warnings {
        note(warning);
    }
    if let (Asked::Named(targets), false) = (purpose.asked, declared.by_engine) {
        known_services(&declared, targets.0.keys())?;
    }
    let is_likely = declared.name == *likely;
    if let Some(listed) = listed.filter(|_| is_likely) {
        let project = Project::new(declared, listed?);
        return Ok(Locked {
            project: known(reach, project, purpose).await?,
            guard: early.map(|lock| Guard {
                _lock: lock,
                claim: None,
            }),
        });
    }
    let guard = if purpose.is_free() {
        None
    } else {
        let lock = match early.filter(|_| is_likely) {
            Some(lock) => lock,
            None => locks.wait(&declared.name).await?,
        };
        let timeout = purpose.lock_timeout;
        let claim = claim(reach, &declared.name, locks.holder(), timeout, note).await?;
        Some(Guard { _lock: lock, claim })
    };
    let read = async {
        let observed = reach.observed(&declared.name).await?;
        known(reach, Project::new(declared, observed), purpose).await
    };
    let project = match &guard {
        Some(guard) => guard.during(read).await,
        None => read.await,
    };
    match (project, guard) {
        (Ok(project), guard) => Ok(Locked { project, guard }),
        (Err(error), guard) => {
            if let Some(guard) = guard {
                guard.release().await;
            }
            Err(error)
        }
    }
}

/// Where there is no file the services are known only now.
async fn known(reach: Reach<'_>, project: Project, purpose: Purpose<'_>) -> Result<Project> {
    let project = reach.existing(project).await?;
    if let (Asked::Named(targets), true) = (purpose.asked, project.declared.by_engine) {
        known_services(&project.declared, targets.0.keys())?;
    }
    Ok(project)
}

/// The locks of one run on this machine.
struct Locks<'l> {
    reach: Reach<'l>,
    host: &'l HostFacts,
    engine: &'l str,
    purpose: Purpose<'l>,
    note: &'l dyn Fn(&str),
}

impl Locks<'_> {
    fn path(&self, project: &str) -> PathBuf {
        lock::path_of(&self.host.lock_folder, project, self.engine)
    }

    fn holder(&self) -> Holder {
        Holder::this_run(self.purpose.asked.to_string())
    }

    /// Waits for the lock of a project.
    async fn wait(&self, project: &str) -> Result<ProjectLock> {
        let (path, holder) = (self.path(project), self.holder());
        let began = Instant::now();
        let mut waits_for = None;
        loop {
            let other = match lock::attempt(&path, &holder)? {
                Attempt::Taken(lock) => return Ok(lock),
                Attempt::Busy(other) => other,
            };
            if self.reach.executor.interrupted() {
                return Err(Error::interrupted());
            }
            // The lock outlives a run for as long as a command of it works.
            let (who, what) = if other.is_dead() {
                let who = format!("a command of {other}, which was killed");
                (who, "works on")
            } else {
                (other.to_string(), "scales")
            };
            if began.elapsed() >= self.purpose.lock_timeout {
                let limit = duration::show(self.purpose.lock_timeout);
                let comma = if other.is_dead() { "," } else { "" };
                let message =
                    format!("{who}{comma} still {what} project `{project}` after {limit}");
                return Err(Error::new(Kind::Busy, message)
                    .hint("wait longer: rscale --lock-timeout 10m ..."));
            }
            if waits_for.as_ref() != Some(&who) {
                let and = if other.is_dead() {
                    "and still"
                } else {
                    "which"
                };
                (self.note)(&format!(
                    "waiting for {who}, {and} {what} project `{project}`"
                ));
                waits_for = Some(who);
            }
            self.reach.executor.pause(Duration::from_millis(100)).await;
        }
    }
}
