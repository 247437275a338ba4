//! The drivers, one file or folder each, and what finds the right one.

pub mod bullmq;
pub mod celery;
pub mod command;
pub mod http;
pub mod redis_client;
pub mod redis_list;
pub mod redis_portion;
pub mod redis_stream;
pub mod redis_wire;
pub mod stream;

use super::Driver;
use super::depth::{AtWork, Depth};
use super::ledger::Kind;
use super::site::Site;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::load::pace::Pace;
use crate::project::workload::{DriverName, Queue, TaskType, Work};

/// A task type with its place in the workload.
pub type Typed = (Kind, TaskType);

/// The driver of task types that share a driver and a broker.
///
/// # Errors
/// What the driver cannot do at all.
pub fn open<'a>(
    types: Vec<Typed>,
    site: &'a Site,
    executor: &'a dyn Executor,
) -> Result<Box<dyn Driver + 'a>> {
    let name = types.first().map(|(_, task)| task.work.driver());
    let name = name.ok_or_else(|| Error::usage("nothing to send"))?;
    Ok(match name {
        DriverName::Celery => Box::new(celery::Celery::new(types, site)?),
        DriverName::Bullmq => Box::new(bullmq::Bullmq::new(types, site)?),
        DriverName::RedisList => Box::new(redis_list::RedisList::new(types, site)?),
        DriverName::RedisStream => Box::new(redis_stream::RedisStream::new(types, site)?),
        DriverName::Http => Box::new(http::Http::new(types, site)?),
        DriverName::Command => Box::new(command::Command::new(types, site, executor)?),
    })
}

/// Whether a task type can be sent at a pace.
///
/// # Errors
/// Exit 2: it cannot.
pub fn fits(task: &TaskType, pace: Pace) -> Result<()> {
    match &task.work {
        Work::Command(work) => command::fits(&task.name, work, pace),
        _ => Ok(()),
    }
}

/// What waits in a queue and who works on it.
///
/// # Errors
/// The broker cannot be used, or has no such queue.
pub async fn depth(queue: &Queue, site: &Site) -> Result<Depth> {
    match queue.driver {
        DriverName::Celery => celery::depth(queue, site).await,
        DriverName::Bullmq => bullmq::depth(queue, site).await,
        DriverName::RedisList => redis_list::depth(queue, site).await,
        DriverName::RedisStream => redis_stream::depth(queue, site).await,
        DriverName::Http | DriverName::Command => Ok(Depth::default()),
    }
}

/// How many tasks each worker is at. `None` where the driver cannot tell.
///
/// # Errors
/// The broker cannot be used.
pub async fn running(queue: &Queue, site: &Site) -> Result<Option<AtWork>> {
    let tasks = match queue.driver {
        DriverName::Celery => return celery::running(queue, site).await.map(Some),
        DriverName::Bullmq => bullmq::running(queue, site).await?,
        DriverName::RedisStream => Some(redis_stream::running(queue, site).await?),
        DriverName::RedisList | DriverName::Http | DriverName::Command => None,
    };
    // Redis knows it without them.
    Ok(tasks.map(|tasks| AtWork {
        tasks,
        complete: true,
    }))
}
