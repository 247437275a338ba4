//! What waits in a queue and who works on it, for `rscale status` and for a scale-down.

use std::collections::BTreeMap;

/// How many tasks each worker is at, by what the worker calls itself; workers that run nothing included where
/// they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AtWork {
    pub tasks: BTreeMap<String, u32>,
    /// Whether all workers that listen are among them, as far as the driver can know.
    pub complete: bool,
}

/// A queue's figures; `None` where a driver has no such figure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that nobody took yet. BullMQ: waiting and prioritized jobs; streams: lag.
    pub ready: Option<u64>,
    /// Messages that were handed out and are not acknowledged. Streams: pending.
    pub unacknowledged: Option<u64>,
    /// Tasks that workers are at. BullMQ: active.
    pub running: Option<u64>,
    /// Workers that listen.
    pub consumers: Option<u64>,
    /// BullMQ's delayed jobs.
    pub delayed: Option<u64>,
    /// BullMQ's failed jobs.
    pub failed: Option<u64>,
}
