//! Reading a project under its lock: what is planned on must not change before it is carried out.

use std::time::Duration;

use tokio::time::Instant;

use super::selection::{Asked, known_services};
use super::surroundings::HostFacts;
use crate::duration;
use crate::error::{Error, Result};
use crate::gather::Reach;
use crate::lock::{self, Attempt, Holder, ProjectLock};
use crate::project::Project;

/// What the lock is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    pub asked: &'a Asked,
    /// Nothing will be changed.
    pub dry_run: bool,
    /// How long another run is waited for.
    pub lock_timeout: Duration,
}

/// Reads the project, and takes its lock unless nothing will be changed.
///
/// The lock is kept by the project's name, which Compose says only once it has read the file. So the
/// likely name's lock is tried first, and the containers are listed meanwhile; where the name turns out to
/// be another, or the lock is taken, it is done again in the slower order.
pub async fn read_locked(
    reach: Reach<'_>,
    purpose: Purpose<'_>,
    host: &HostFacts,
    note: &dyn Fn(&str),
) -> Result<(Project, Option<ProjectLock>)> {
    let likely = &host.likely_name;
    let early = if purpose.dry_run {
        None
    } else {
        match lock::attempt(&path(reach, host, likely), &holder(host))? {
            Attempt::Taken(lock) => Some(lock),
            Attempt::Busy(_) => None,
        }
    };
    let listing = async {
        let counts = purpose.dry_run || early.is_some();
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
    if let Some(listed) = listed.filter(|_| declared.name == *likely) {
        let project = Project::new(declared, listed?);
        return Ok((known(reach, project, purpose).await?, early));
    }
    drop(early);
    let lock = if purpose.dry_run {
        None
    } else {
        Some(take_lock(reach, &declared.name, purpose, host, note).await?)
    };
    let observed = reach.observed(&declared.name).await?;
    let project = Project::new(declared, observed);
    Ok((known(reach, project, purpose).await?, lock))
}

/// Where there is no file the services are known only now.
async fn known(reach: Reach<'_>, project: Project, purpose: Purpose<'_>) -> Result<Project> {
    let project = reach.existing(project).await?;
    if let (Asked::Named(targets), true) = (purpose.asked, project.declared.by_engine) {
        known_services(&project.declared, targets.0.keys())?;
    }
    Ok(project)
}

fn path(reach: Reach<'_>, host: &HostFacts, project: &str) -> std::path::PathBuf {
    lock::path_of(&host.lock_folder, project, reach.address)
}

fn holder(host: &HostFacts) -> Holder {
    Holder::this_run(host.command_line.clone())
}

/// Waits for the lock of a project.
async fn take_lock(
    reach: Reach<'_>,
    project: &str,
    purpose: Purpose<'_>,
    host: &HostFacts,
    note: &dyn Fn(&str),
) -> Result<ProjectLock> {
    let (path, holder) = (path(reach, host, project), holder(host));
    let began = Instant::now();
    let mut waits_for = None;
    loop {
        let other = match lock::attempt(&path, &holder)? {
            Attempt::Taken(lock) => return Ok(lock),
            Attempt::Busy(other) => other,
        };
        if reach.executor.interrupted() {
            return Err(Error::interrupted());
        }
        if began.elapsed() >= purpose.lock_timeout {
            let limit = duration::show(purpose.lock_timeout);
            return Err(Error::failed(format!(
                "{other} still scales project `{project}` after {limit}"
            ))
            .hint("wait longer: rscale --lock-timeout 10m ..."));
        }
        if waits_for.as_ref() != Some(&other) {
            note(&format!(
                "waiting for {other}, which scales project `{project}`"
            ));
            waits_for = Some(other);
        }
        reach.executor.pause(Duration::from_millis(100)).await;
    }
}
