//! Keeping a project for a run: by the lock on this machine, and where others reach the engine by a claim on that as well.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::claiming::{HeldClaim, claim};
use crate::duration;
use crate::error::{Error, Kind, Result};
use crate::gather::Reach;
use crate::lock::{self, Attempt, Holder, ProjectLock};

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

/// How a run comes to keep a project.
pub struct Keeping<'e, 'l> {
    pub reach: Reach<'e>,
    pub lock_folder: &'l Path,
    /// The engine's id.
    pub engine: &'l str,
    /// Subcommand and targets of the run, for whoever has to wait.
    pub command: String,
    /// How long another run is waited for.
    pub timeout: Duration,
    pub note: &'l dyn Fn(&str),
}

impl<'e> Keeping<'e, '_> {
    fn path(&self, project: &str) -> PathBuf {
        lock::path_of(self.lock_folder, project, self.engine)
    }

    fn holder(&self) -> Holder {
        Holder::this_run(self.command.clone())
    }

    /// The lock on this machine, if it is free.
    ///
    /// # Errors
    /// Its file cannot be used.
    pub fn attempt(&self, project: &str) -> Result<Option<ProjectLock>> {
        Ok(match lock::attempt(&self.path(project), &self.holder())? {
            Attempt::Taken(lock) => Some(lock),
            Attempt::Busy(_) => None,
        })
    }

    /// Keeps a project; `lock` is the one on this machine where it is held already.
    ///
    /// # Errors
    /// Another run keeps it for too long; an interruption; what claims need cannot be had.
    pub async fn keep(&self, project: &str, lock: Option<ProjectLock>) -> Result<Guard<'e>> {
        let lock = match lock {
            Some(lock) => lock,
            None => self.wait(project).await?,
        };
        let claimed = claim(self.reach, project, self.holder(), self.timeout, self.note);
        Ok(Guard {
            claim: claimed.await?,
            _lock: lock,
        })
    }

    /// Waits for the lock of a project.
    async fn wait(&self, project: &str) -> Result<ProjectLock> {
        let (path, holder) = (self.path(project), self.holder());
        let began = Instant::now();
        let mut said = None;
        loop {
            let other = match lock::attempt(&path, &holder)? {
                Attempt::Taken(lock) => return Ok(lock),
                Attempt::Busy(other) => other,
            };
            if self.reach.executor.interrupted() {
                return Err(Error::interrupted());
            }
            // The lock outlives a run for as long as a command of it works.
            let (waiting, still) = if other.is_dead() {
                let who = format!("a command of {other}, which was killed,");
                let works = format!("{who} still works on project `{project}`");
                (format!("waiting: {works}"), works)
            } else {
                (
                    format!("waiting for {other}, which scales project `{project}`"),
                    format!("{other} still scales project `{project}`"),
                )
            };
            if began.elapsed() >= self.timeout {
                let limit = duration::show(self.timeout);
                return Err(Error::new(Kind::Busy, format!("{still} after {limit}"))
                    .hint("wait longer: rscale --lock-timeout 10m ..."));
            }
            if said.as_ref() != Some(&waiting) {
                (self.note)(&waiting);
                said = Some(waiting);
            }
            self.reach.executor.pause(Duration::from_millis(100)).await;
        }
    }
}
