//! Reading a project under its lock: what is planned on must not change before it is carried out.

use std::time::Duration;

use super::keeping::{Guard, Keeping};
use super::selection::{Asked, known_services};
use super::surroundings::HostFacts;
use crate::error::Result;
use crate::gather::Reach;
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
    let keeping = Keeping {
        reach,
        lock_folder: &host.lock_folder,
        engine,
        command: purpose.asked.to_string(),
        timeout: purpose.lock_timeout,
        note,
    };
    let early = if purpose.is_free() {
        None
    } else {
        keeping.attempt(likely)?
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
    let early = early.filter(|_| is_likely);
    if let Some(listed) = listed.filter(|_| is_likely) {
        let project = known(reach, Project::new(declared, listed?), purpose).await?;
        let guard = match early {
            Some(lock) => Some(keeping.keep(likely, Some(lock)).await?),
            None => None,
        };
        return Ok(Locked { project, guard });
    }
    let guard = if purpose.is_free() {
        None
    } else {
        Some(keeping.keep(&declared.name, early).await?)
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
