//! Connections to Redis, for every driver that uses it.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisConnectionInfo,
    RedisError, Value, from_redis_value,
};

use super::redis_wire::{self, Client};
use super::stream;
use crate::duration;
use crate::error::{Error, Kind, Result};
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

/// What Redis said, in one line: of a pipeline the first complaint, never the password.
pub fn refused(address: &Address, error: &RedisError) -> Error {
    if error.is_timeout() {
        let limit = duration::show(RESPONSE_TIMEOUT);
        return Error::unusable(format!(
            "Redis at `{address}` does not answer within {limit}"
        ))
        .hint("see whether it runs: rscale status");
    }
    if error.is_io_error() || error.is_connection_dropped() {
        return Error::unusable(format!(
            "the connection to Redis at `{address}` is lost: {error}"
        ))
        .hint("see whether it runs: rscale status");
    }
    let (code, said) = complaint(error);
    let refusal = |what: &str| Error::unusable(format!("Redis at `{address}` {what}"));
    match code.as_str() {
        "NOAUTH" => refusal("wants a password")
            .hint("write it into the address: redis://:PASSWORD@redis:6379/0"),
        "WRONGPASS" => refusal("does not accept the user and password of the address")
            .hint("correct them in the address: redis://USER:PASSWORD@redis:6379/0"),
        _ if error.kind() == ErrorKind::AuthenticationFailed => {
            refusal("does not accept the user and password of the address")
                .hint("correct them in the address: redis://USER:PASSWORD@redis:6379/0")
        }
        "NOPERM" => refusal(&format!("does not let this user do that: {said}"))
            .hint("let the user do it: ACL SETUSER, or name another one in the address"),
        "LOADING" => refusal("still reads its data from the disk").hint("try again a little later"),
        "READONLY" => {
            refusal("is a read-only replica").hint("name the primary in the address of the broker")
        }
        _ => refusal(&format!("refuses: {said}")),
    }
}

/// Code and words of what the server complained about; of a pipeline, the first complaint.
fn complaint(error: &RedisError) -> (String, String) {
    if let Some(errors) = error.clone().into_server_errors()
        && let Some((_, first)) = errors.first()
    {
        return (first.code().to_owned(), one_line(&first.to_string()));
    }
    let code = error.code().unwrap_or_default().to_owned();
    let said = error
        .detail()
        .map_or_else(|| error.to_string(), str::to_owned);
    (code, one_line(&said))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A queue that is asked about again and again: a connection, and whose it is.
#[derive(Clone)]
pub struct Redis<'a> {
    pub address: &'a Address,
    connection: MultiplexedConnection,
}

impl std::fmt::Debug for Redis<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("address", self.address)
            .finish_non_exhaustive()
    }
}

impl<'a> Redis<'a> {
    /// Connects.
    ///
    /// # Errors
    /// Exit 4: Redis does not answer or refuses.
    pub async fn open(address: &'a Address, site: &Site) -> Result<Self> {
        let connection = connect(address, site).await?;
        Ok(Self {
            address,
            connection,
        })
    }

    /// Runs one command. Several may be on their way at once.
    ///
    /// # Errors
    /// Exit 4: Redis does not answer or refuses.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let mut connection = self.connection.clone();
        let asked = command.query_async(&mut connection).await;
        asked.map_err(|error| refused(self.address, &error))
    }

    /// Runs commands in one go.
    ///
    /// # Errors
    /// Exit 4: Redis does not answer, or refuses one of them.
    pub async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        if commands.is_empty() {
            // An empty pipeline is an error of the client.
            return from_redis_value(Value::Array(Vec::new()))
                .map_err(|error| refused(self.address, &error.into()));
        }
        let mut connection = self.connection.clone();
        let asked = commands.query_async(&mut connection).await;
        asked.map_err(|error| refused(self.address, &error))
    }

    /// Fails unless a key is of this type, or does not exist; tells which.
    ///
    /// # Errors
    /// Exit 3: it holds something else, so the driver is the wrong one.
    pub async fn has(&self, key: &str, wanted: &str) -> Result<bool> {
        let found: String = self.ask(redis::cmd("TYPE").arg(key)).await?;
        if found == "none" {
            return Ok(false);
        }
        if found == wanted {
            return Ok(true);
        }
        let hint = match found.as_str() {
            "list" => "is it `driver: redis-list`?",
            "stream" => "is it `driver: redis-stream`?",
            _ => "correct the name of the queue",
        };
        Err(refuse(format!(
            "`{key}` in Redis at `{}` is a {found}, and should be a {wanted}",
            self.address
        ))
        .hint(hint))
    }

    /// Who is connected to the same database; `None` where this user may not ask.
    pub async fn clients(&self) -> Result<Option<Vec<Client>>> {
        let mut connection = self.connection.clone();
        let listing: Result<String, RedisError> = redis::cmd("CLIENT")
            .arg("LIST")
            .query_async(&mut connection)
            .await;
        match listing {
            Ok(listing) => {
                let database = database(self.address)?;
                let clients = redis_wire::clients(&listing).into_iter();
                Ok(Some(
                    clients
                        .filter(|client| client.database == database)
                        .collect(),
                ))
            }
            // Not allowed, or not offered, as by some hosted ones.
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                Ok(None)
            }
            Err(error) => Err(refused(self.address, &error)),
        }
    }
}

/// A refusal before anything is sent.
pub fn refuse(message: impl Into<String>) -> Error {
    Error::new(Kind::Refused, message)
}

/// What waits already would be counted as part of the run.
pub fn not_empty(what: &str, waiting: u64) -> Error {
    let messages = if waiting == 1 {
        "message waits"
    } else {
        "messages wait"
    };
    refuse(format!("{waiting} {messages} in {what} already"))
        .hint("let the workers finish first, or go on all the same: rscale load-test --force ...")
}
