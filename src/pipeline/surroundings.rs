//! What the preflight has to know beyond the project: the machine, the engine, other projects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::engine::Control;
use crate::error::Result;
use crate::gather::Reach;
use crate::memory::{Leftover, Store};
use crate::plan::Counts;
use crate::preflight::{self, Surroundings};
use crate::project::Project;
use crate::project::declared::{Mount, Service};
use crate::project::observed::Replica;

/// What the machine says, gathered at the edge.
#[derive(Debug, Default)]
pub struct HostFacts {
    pub reads: HostReads,
    pub likely_name: String,
    /// Where the locks of projects are.
    pub lock_folder: PathBuf,
    /// Where it is remembered what runs do; `None` where nothing can be.
    pub store: Option<Store>,
}

/// Protocol and number of ports.
pub type Ports = BTreeSet<(String, u16)>;

/// How this machine is read; each is left out where there is nothing to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostReads {
    /// The ports that something listens on, by protocol, where the engine is this machine's.
    pub engine_ports: Option<fn() -> Ports>,
    /// The text of a configuration: a file, or the files of a folder.
    pub configuration: Option<fn(&Path) -> Option<String>>,
}

/// What the preflight has to know beyond the project. Each costs time, so only what a rule will ask for is
/// read.
pub async fn surroundings(
    reach: Reach<'_>,
    project: &Project,
    granted: &Counts,
    reads: HostReads,
    leftovers: Vec<Leftover>,
) -> Result<Surroundings> {
    let mut services = project.declared.services.values();
    let on_one_machine = matches!(reach.engine.control(), Control::Containers(_));
    let limited = services.any(|service| service.memory_limit.is_some());
    let memory_bytes = if on_one_machine && limited {
        reach.info().await?.0.memory_bytes
    } else {
        0
    };
    let publishes = |(name, count): (&String, &u32)| {
        let service = project.service(name);
        *count > project.count(name) && service.is_some_and(Service::wants_host_ports)
    };
    let listening = match reads.engine_ports {
        Some(read) if on_one_machine && granted.iter().any(publishes) => read(),
        _ => BTreeSet::new(),
    };
    let changed: Vec<&Service> = granted
        .iter()
        .filter(|(name, count)| **count != project.count(name))
        .filter_map(|(name, _)| project.service(name))
        .collect();
    Ok(Surroundings {
        memory_bytes,
        listening,
        neighbours: neighbours(reach, project, &changed).await?,
        configurations: configurations(project, &changed, reads),
        facts: reach.facts(project, granted).await?,
        leftovers,
    })
}

/// The containers of the other projects that a refresh names.
async fn neighbours(
    reach: Reach<'_>,
    project: &Project,
    changed: &[&Service],
) -> Result<BTreeMap<String, Vec<Replica>>> {
    let refreshes = changed.iter().flat_map(|service| &service.policy.refresh);
    let names: BTreeSet<&String> = refreshes
        .filter_map(|refresh| refresh.project.as_ref())
        .filter(|name| *name != project.name())
        .collect();
    let mut neighbours = BTreeMap::new();
    for name in names {
        neighbours.insert(name.clone(), reach.observed(name).await?.replicas);
    }
    Ok(neighbours)
}

/// What the balancers of the project are configured with, where a service might be behind one unnoticed.
fn configurations(
    project: &Project,
    changed: &[&Service],
    reads: HostReads,
) -> BTreeMap<String, String> {
    let unrefreshed = |service: &&Service| service.policy.refresh.is_empty();
    let (Some(read), true) = (reads.configuration, changed.iter().any(unrefreshed)) else {
        return BTreeMap::new();
    };
    preflight::balancers(project)
        .filter_map(|(service, balancer)| {
            let is_configuration = |mount: &&Mount| {
                let folders = balancer.folders().iter();
                folders.into_iter().any(|folder| {
                    mount.target.starts_with(folder) && Path::new(&mount.source).is_absolute()
                })
            };
            let mounts = service.mounts.iter().filter(is_configuration);
            let texts: Vec<String> = mounts
                .filter_map(|mount| read(Path::new(&mount.source)))
                .collect();
            (!texts.is_empty()).then(|| (service.name.clone(), texts.join("\n")))
        })
        .collect()
}
