//! Asking the queues of services: what waits in them (`status`), which replicas work (a scale-down).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;

use crate::error::{Error, Result};
use crate::gather::Reach;
use crate::load::depth::Depth;
use crate::load::drivers;
use crate::load::site::{Names, Site};
use crate::plan::Counts;
use crate::project::Project;
use crate::project::workload::{DriverName, Queue};

/// How long a broker may take where people wait for a picture; the rest of `status` takes far less than this.
const GLANCE: Duration = Duration::from_secs(1);
/// How long it may take where the answer decides who loses work. One that answers does so in a few
/// milliseconds; only one that is busy or silent takes this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A service's queue, and what it said; an error in one line where it could not be asked.
pub type Depths = BTreeMap<String, (Queue, Result<Depth, String>)>;

/// Asks the queues of these services at once.
pub async fn depths(reach: Reach<'_>, project: &Project, wanted: impl Fn(&str) -> bool) -> Depths {
    let queues: Vec<(&str, &Queue)> = queues(project)
        .filter(|(service, _)| wanted(service))
        .collect();
    if queues.is_empty() {
        return Depths::new();
    }
    let site = site(reach, project, &queues, GLANCE).await;
    let asked = queues.iter().map(|(service, queue)| {
        let site = site.as_ref();
        async move {
            let depth = match site {
                Ok(site) => in_time(GLANCE, drivers::depth(queue, site)).await,
                Err(error) => Err(error.clone()),
            };
            let said = depth.map_err(|error| error.message);
            ((*service).to_owned(), ((*queue).clone(), said))
        }
    });
    join_all(asked).await.into_iter().collect()
}

/// Notes how many tasks each replica is at, in the services that are to shrink and have a queue: those that
/// run nothing go first. Where that cannot be told, the highest numbers go.
pub async fn mark_busy(
    reach: Reach<'_>,
    project: &mut Project,
    wish: &Counts,
    note: &dyn Fn(&str),
) {
    let shrinks = |service: &str| {
        let count = wish.get(service).copied();
        count.is_some_and(|count| count > 0 && count < project.count(service))
    };
    let queues: Vec<(&str, &Queue)> = queues(project)
        .filter(|(service, _)| shrinks(service))
        .collect();
    if queues.is_empty() {
        return;
    }
    let site = site(reach, project, &queues, PATIENCE).await;
    let asked = queues.iter().map(|(service, queue)| {
        let site = site.as_ref();
        async move {
            let running = match site {
                Ok(site) => in_time(PATIENCE, drivers::running(queue, site)).await,
                Err(error) => Err(error.clone()),
            };
            ((*service).to_owned(), queue.driver, running)
        }
    });
    let answers = join_all(asked).await;
    let names = site.map(|site| site.names).unwrap_or_default();
    for (service, driver, running) in answers {
        match running {
            Ok(Some(at_work)) => {
                if !at_work.complete {
                    note(&format!(
                        "which replicas of `{service}` are idle is not known of all: some workers did not answer in time"
                    ));
                }
                let busy = by_replica(&names, &at_work.tasks);
                for replica in project.replicas.get_mut(&service).into_iter().flatten() {
                    replica.running_tasks = match busy.get(replica.name.as_str()) {
                        Some(count) => Some(*count),
                        // A BullMQ worker is heard of only while it has a job.
                        None if driver == DriverName::Bullmq => Some(0),
                        None => None,
                    };
                }
            }
            Ok(None) => {}
            Err(error) => note(&format!(
                "which replicas of `{service}` are idle is not known: {}",
                error.message
            )),
        }
    }
}

fn by_replica<'n>(names: &'n Names, running: &BTreeMap<String, u32>) -> BTreeMap<&'n str, u32> {
    let mut busy: BTreeMap<&str, u32> = BTreeMap::new();
    for (worker, count) in running {
        if let Some((_, name)) = names.find(worker) {
            *busy.entry(name).or_default() += count;
        }
    }
    busy
}

fn queues(project: &Project) -> impl Iterator<Item = (&str, &Queue)> {
    project.declared.services.values().filter_map(|service| {
        let queue = service.policy.queue.as_ref()?;
        Some((service.name.as_str(), queue))
    })
}

async fn site(
    reach: Reach<'_>,
    project: &Project,
    queues: &[(&str, &Queue)],
    patience: Duration,
) -> Result<Site> {
    let hosts: BTreeSet<&str> = queues
        .iter()
        .map(|(_, queue)| queue.broker.host())
        .collect();
    Ok(Site {
        addresses: reach.addresses(project, &hosts).await?,
        names: Names::of(project),
        timeout: patience,
        ..Site::default()
    })
}

async fn in_time<T>(patience: Duration, asking: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(patience, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::unusable(format!(
            "no answer within {}",
            crate::duration::show(patience)
        ))),
    }
}
