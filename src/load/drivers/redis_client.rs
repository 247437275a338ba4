//! Connections to Redis, for every driver that uses it.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};

use super::stream;
use crate::error::{Error, Result};
use crate::load::site::Site;
use crate::project::address::Address;

/// How long Redis may take for one answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that several commands share.
///
/// # Errors
/// Exit 4: Redis does not answer or refuses.
pub async fn connect(address: &Address, site: &Site) -> Result<MultiplexedConnection> {
    open(address, site, Some(RESPONSE_TIMEOUT)).await
}

/// A connection for commands that wait on the server (`BLPOP`, `XREAD BLOCK`): it has no time limit, and
/// nothing else should use it.
///
/// # Errors
/// Exit 4: Redis does not answer or refuses.
pub async fn connect_for_waiting(address: &Address, site: &Site) -> Result<MultiplexedConnection> {
    open(address, site, None).await
}

async fn open(
    address: &Address,
    site: &Site,
    response_timeout: Option<Duration>,
) -> Result<MultiplexedConnection> {
    let endpoint = site.addresses.endpoint(address)?;
    let stream = stream::open(&endpoint, address.is_encrypted()).await?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(stream::CONNECT_TIMEOUT))
        .set_response_timeout(response_timeout);
    let info = info(address)?;
    let connecting = MultiplexedConnection::new_with_config(&info, stream, config);
    let (connection, driving) = connecting.await.map_err(|error| refused(address, &error))?;
    tokio::spawn(driving);
    Ok(connection)
}

/// A connection that only listens.
///
/// # Errors
/// Exit 4: Redis does not answer or refuses.
pub async fn listen(address: &Address, site: &Site) -> Result<PubSub> {
    let endpoint = site.addresses.endpoint(address)?;
    let stream = stream::open(&endpoint, address.is_encrypted()).await?;
    let pubsub = PubSub::new(&info(address)?, stream).await;
    pubsub.map_err(|error| refused(address, &error))
}

/// The number of the database that an address names; Redis's own default is 0.
///
/// # Errors
/// Exit 4: it is no number.
pub fn database(address: &Address) -> Result<i64> {
    match &*address.path() {
        "" => Ok(address
            .parameter("db")
            .and_then(|db| db.parse().ok())
            .unwrap_or(0)),
        path => path.parse().map_err(|_| {
            Error::unusable(format!("`{address}`: `{path}` is no number of a database"))
                .hint("redis://redis:6379/0")
        }),
    }
}

fn info(address: &Address) -> Result<RedisConnectionInfo> {
    let mut info = RedisConnectionInfo::default().set_db(database(address)?);
    if let Some(user) = address.user() {
        info = info.set_username(user);
    }
    if let Some(password) = address.password() {
        info = info.set_password(password);
    }
    Ok(info)
}

/// What Redis said, in one line.
pub fn refused(address: &Address, error: &RedisError) -> Error {
    Error::unusable(format!("Redis at `{address}` refuses: {error}"))
}
