//! What a load test sends, and where a service's queue is: `queue` and `load-test` of `x-rscale`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Address;
use crate::hidden::Hidden;
use crate::words::displayed;

/// How work is sent and its result learned.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DriverName {
    Celery,
    Bullmq,
    RedisList,
    RedisStream,
    Http,
    #[default]
    Command,
}

impl DriverName {
    pub const ALL: [Self; 6] = [
        Self::Celery,
        Self::Bullmq,
        Self::RedisList,
        Self::RedisStream,
        Self::Http,
        Self::Command,
    ];
    /// Those that a service's `queue` can have.
    pub const OF_QUEUES: [Self; 4] = [
        Self::Celery,
        Self::Bullmq,
        Self::RedisList,
        Self::RedisStream,
    ];
}

displayed!(DriverName);

/// A queue that a service works on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Queue {
    pub driver: DriverName,
    pub broker: Address,
    /// Celery's result backend; `None` where it has none that can be read.
    pub results: Option<Address>,
    /// The queue, the list's or the stream's key.
    pub name: String,
    /// BullMQ's prefix of keys, `bull` unless said otherwise; Celery's `global_keyprefix` over Redis.
    pub prefix: Option<String>,
    /// A stream's consumer group; the only one there is unless said otherwise.
    pub group: Option<String>,
}

/// One kind of work that is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskType {
    /// As it is printed: `Task A`.
    pub name: String,
    /// The service that does it, where one is named or known.
    pub service: Option<String>,
    pub work: Work,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    Celery {
        queue: Queue,
        /// The task's name, `tasks.task_a`.
        task: String,
        args: Hidden<Vec<serde_json::Value>>,
        kwargs: Hidden<serde_json::Map<String, serde_json::Value>>,
    },
    Bullmq {
        queue: Queue,
        /// The job's name.
        job: String,
        data: Hidden<serde_json::Value>,
        /// As `attempts` of BullMQ's job options.
        attempts: u32,
    },
    RedisList {
        queue: Queue,
        /// The message; `{id}` in it becomes the task's UUID.
        payload: Hidden<String>,
        /// Push at the right end instead of the left.
        right: bool,
    },
    RedisStream {
        queue: Queue,
        /// Fields and values; `{id}` in a value becomes the task's UUID.
        fields: Hidden<Vec<(String, String)>>,
    },
    Http(HttpWork),
    Command(CommandWork),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpWork {
    pub url: Address,
    pub method: String,
    pub headers: Hidden<Vec<(String, String)>>,
    pub body: Hidden<String>,
    /// A response header that names the replica.
    pub replica_header: Option<String>,
}

/// A command of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandWork {
    /// `{count}` in a word becomes the count with `once`; `{id}` the task's UUID without.
    pub words: Vec<String>,
    pub place: Place,
    /// Run once with the count, as RSCALE_COUNT and `{count}`, rather than once for each task.
    pub once: bool,
}

/// Where a command runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On this machine, in the project's folder.
    Local,
    /// `docker exec`, in a running replica of the service.
    Exec(String),
    /// `docker compose run --rm SERVICE`.
    Run(String),
}

impl Work {
    pub fn driver(&self) -> DriverName {
        match self {
            Self::Celery { .. } => DriverName::Celery,
            Self::Bullmq { .. } => DriverName::Bullmq,
            Self::RedisList { .. } => DriverName::RedisList,
            Self::RedisStream { .. } => DriverName::RedisStream,
            Self::Http(_) => DriverName::Http,
            Self::Command(_) => DriverName::Command,
        }
    }

    pub fn queue(&self) -> Option<&Queue> {
        match self {
            Self::Celery { queue, .. }
            | Self::Bullmq { queue, .. }
            | Self::RedisList { queue, .. }
            | Self::RedisStream { queue, .. } => Some(queue),
            Self::Http(_) | Self::Command(_) => None,
        }
    }
}
