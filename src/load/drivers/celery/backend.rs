//! Results in Redis: learned as workers publish them, and looked up for what was missed.

use futures_util::stream::{Stream, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, cmd};

use super::result::{self, KEY, State};
use crate::error::{Error, Result};
use crate::load::drivers::redis_client;
use crate::load::site::Site;
use crate::project::address::Address;

/// Keys that are read or removed at once.
const CHUNK: usize = 1000;

/// A task's id and what its result says; `None` for a result that is no JSON.
pub type Told = (String, Option<State>);

/// A connection to Redis as a result backend.
pub struct Backend {
    connection: MultiplexedConnection,
    address: Address,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backend({})", self.address)
    }
}

impl Backend {
    /// # Errors
    /// Exit 4: Redis does not answer or refuses.
    pub async fn connect(address: &Address, site: &Site) -> Result<Self> {
        Ok(Self {
            connection: redis_client::connect(address, site).await?,
            address: address.clone(),
        })
    }

    /// The results of all tasks, as workers publish them from now on. Channels belong to no database.
    pub async fn listen(&self, site: &Site) -> Result<impl Stream<Item = Told> + use<>> {
        let mut listening = redis_client::listen(&self.address, site).await?;
        // An app may have a prefix for its results too.
        let subscribed = listening.psubscribe(format!("*{KEY}*")).await;
        subscribed.map_err(|error| redis_client::refused(&self.address, &error))?;
        let messages = listening.into_on_message();
        Ok(messages.filter_map(async |message| {
            let id = result::id_of_key(message.get_channel_name().as_bytes())?.to_owned();
            let parsed = result::parse(message.get_payload_bytes());
            Some((id, parsed.map(|(_, state)| state)))
        }))
    }

    /// What is known of these tasks.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn look_up(&self, ids: &[String]) -> Result<Vec<Told>> {
        let mut connection = self.connection.clone();
        let mut told = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let mut get = cmd("MGET");
            for id in chunk {
                get.arg(format!("{KEY}{id}"));
            }
            let values: RedisResult<Vec<Option<Vec<u8>>>> = get.query_async(&mut connection).await;
            let values = values.map_err(|error| lost(&error))?;
            for (id, value) in chunk.iter().zip(values) {
                if let Some(value) = value {
                    told.push((id.clone(), result::parse(&value).map(|(_, state)| state)));
                }
            }
        }
        Ok(told)
    }

    /// Removes the results of these tasks.
    pub async fn forget(&self, ids: impl Iterator<Item = String>) -> Result<()> {
        let mut connection = self.connection.clone();
        let keys: Vec<String> = ids.map(|id| format!("{KEY}{id}")).collect();
        for chunk in keys.chunks(CHUNK) {
            let removed: RedisResult<()> =
                cmd("UNLINK").arg(chunk).query_async(&mut connection).await;
            removed.map_err(|error| redis_client::refused(&self.address, &error))?;
        }
        Ok(())
    }
}

/// The connection ended in the middle of a run.
fn lost(error: &RedisError) -> Error {
    Error::failed(format!("the connection to the results was lost: {error}"))
        .hint("see whether it runs: rscale status")
}
