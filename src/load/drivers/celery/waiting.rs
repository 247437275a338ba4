//! What waits in a queue, as every broker tells it; and names that no other client has.

use crate::error::Result;
use crate::load::id::RunId;

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Messages that nobody took yet.
    pub ready: u64,
    /// Messages that were handed out; RabbitMQ tells it only through its management.
    pub unacknowledged: Option<u64>,
    /// Workers that listen, where the broker knows them.
    pub consumers: Option<u64>,
}

/// A UUID.
pub fn unique() -> Result<String> {
    Ok(RunId::random()?.task(0))
}
