//! Celery over RabbitMQ. Queues of the user's are never declared, only looked at; what rscale makes for itself
//! is exclusive and ends with the connection.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lapin::message::BasicReturnMessage;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::types::FieldTable;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind,
    ExchangeKind,
};
use tokio::time::Instant;

use super::broker::{Answers, Patience};
use super::control::{self, Command, Replies};
use super::message::{AmqpMessage, short};
use super::waiting::Waiting;
use crate::error::{Error, Result};
use crate::load::book::{Book, Kind, Outcome};
use crate::load::drivers::stream::{self, CONNECT_TIMEOUT};
use crate::load::site::Site;
use crate::project::address::Address;

/// Messages on their way to the broker without its word that it has them.
const WINDOW: usize = 2000;
/// Tasks taken from the book at once.
const BATCH: usize = 500;
/// How long a queue is quiet before a purge takes it for read.
const QUIET: Duration = Duration::from_secs(1);
/// How long a connection may take to end.
const CLOSING: Duration = Duration::from_secs(1);

/// Connections to RabbitMQ.
#[derive(Debug)]
pub struct Amqp {
    connection: Connection,
    /// For sending alone: a broker that cannot keep up holds back everything that comes over a connection.
    sending: RefCell<Option<Rc<Connection>>>,
    address: Address,
}

impl Amqp {
    /// # Errors
    /// Exit 4: the broker does not answer or refuses.
    pub async fn connect(address: &Address, site: &Site) -> Result<Self> {
        Ok(Self {
            connection: open(address, site).await?,
            sending: RefCell::default(),
            address: address.clone(),
        })
    }

    pub fn is_alive(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether the broker answers on this connection, however long that takes.
    pub async fn answers(&self) -> bool {
        self.is_alive() && self.channel().await.is_ok()
    }

    fn error(&self, error: &lapin::Error) -> Error {
        refused(&self.address, error)
    }

    /// A channel of its own for everything that may fail, because a failure closes the channel.
    async fn channel(&self) -> Result<Channel> {
        let channel = self.connection.create_channel().await;
        channel.map_err(|error| self.error(&error))
    }

    /// What waits in a queue and how many listen; `None` where there is no such queue.
    pub async fn queue(&self, name: &str) -> Result<Option<Waiting>> {
        let channel = self.channel().await?;
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        match channel
            .queue_declare(short(name), options, FieldTable::default())
            .await
        {
            Ok(queue) => {
                let _ = channel.close(200, "done".into()).await;
                Ok(Some(Waiting {
                    ready: u64::from(queue.message_count()),
                    unacknowledged: None,
                    consumers: Some(u64::from(queue.consumer_count())),
                }))
            }
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Whether there is a queue, be it one that only its owner may look at.
    pub async fn has_queue(&self, name: &str) -> Result<bool> {
        match self.queue(name).await {
            Ok(found) => Ok(found.is_some()),
            Err(_) if self.is_alive() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// A queue of rscale's own under a name of the broker's, with a consumer.
    async fn own_queue(&self, channel: &Channel) -> Result<(String, Consumer)> {
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare("".into(), options, FieldTable::default())
            .await
            .map_err(|error| self.error(&error))?;
        let name = queue.name().as_str().to_owned();
        let consumer = self.consume(channel, &name, true).await?;
        Ok((name, consumer))
    }

    async fn consume(&self, channel: &Channel, queue: &str, no_ack: bool) -> Result<Consumer> {
        let options = BasicConsumeOptions {
            no_ack,
            ..BasicConsumeOptions::default()
        };
        let consuming =
            channel.basic_consume(short(queue), "".into(), options, FieldTable::default());
        consuming.await.map_err(|error| self.error(&error))
    }

    /// Whether an exchange is there; closes the channel where it is not.
    async fn has_exchange(
        &self,
        channel: &Channel,
        name: &str,
        kind: ExchangeKind,
    ) -> Result<bool> {
        let options = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        match channel
            .exchange_declare(short(name), kind, options, FieldTable::default())
            .await
        {
            Ok(()) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Asks workers and gathers their replies until `enough` says so or the patience ends.
    pub async fn ask(
        &self,
        command: Command,
        workers: Option<&[String]>,
        patience: Patience,
        enough: &dyn Fn(&Replies) -> bool,
    ) -> Result<Answers> {
        // The broker itself may stand still, too.
        let limit = patience.until + CLOSING;
        let asking = self.ask_in_time(command, workers, patience, enough);
        match tokio::time::timeout_at(limit, asking).await {
            Ok(answers) => answers,
            Err(_) => Err(silent(&self.address)),
        }
    }

    async fn ask_in_time(
        &self,
        command: Command,
        workers: Option<&[String]>,
        patience: Patience,
        enough: &dyn Fn(&Replies) -> bool,
    ) -> Result<Answers> {
        let mut replies = Replies::new();
        let mut until = patience.until;
        let channel = self.channel().await?;
        // Without this exchange no worker has ever been there.
        if !self
            .has_exchange(&channel, control::EXCHANGE, ExchangeKind::Fanout)
            .await?
        {
            return Ok(Answers {
                complete: true,
                ..Answers::default()
            });
        }
        let (queue, mut consumer) = self.own_queue(&channel).await?;
        let request = control::request(command, workers, &queue, &queue);
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_headers(clock());
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(|error| self.error(&error))?;
        // The broker gives it back where nobody hears it.
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let exchange = control::EXCHANGE.into();
        let asking = async {
            let publishing =
                channel.basic_publish(exchange, "".into(), options, request.as_bytes(), properties);
            publishing.await?.await
        };
        let asked = asking.await.map_err(|error| self.error(&error))?;
        let is_heard = asked.take_message().is_none();
        while is_heard && !enough(&replies) {
            match tokio::time::timeout_at(until, consumer.next()).await {
                Ok(Some(Ok(delivery))) => {
                    control::file(&mut replies, &queue, None, &delivery.data);
                    if let Some(pause) = patience.pause {
                        until = patience.until.min(Instant::now() + pause);
                    }
                }
                Ok(Some(Err(error))) => return Err(self.error(&error)),
                Ok(None) | Err(_) => break,
            }
        }
        let _ = channel.close(200, "done".into()).await;
        Ok(Answers {
            complete: !is_heard || enough(&replies),
            replies,
        })
    }

    /// The workers' events from now on; `None` where no worker has ever sent one.
    pub async fn events(&self) -> Result<Option<Consumer>> {
        let channel = self.channel().await?;
        if !self
            .has_exchange(&channel, "celeryev", ExchangeKind::Topic)
            .await?
        {
            return Ok(None);
        }
        let (queue, consumer) = self.own_queue(&channel).await?;
        let binding = channel.queue_bind(
            short(&queue),
            "celeryev".into(),
            "task.#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        binding.await.map_err(|error| self.error(&error))?;
        Ok(Some(consumer))
    }

    /// A queue for results over rpc://, and its name.
    pub async fn results(&self) -> Result<(String, Consumer)> {
        let channel = self.channel().await?;
        self.own_queue(&channel).await
    }

    /// Sends what the book hands out, and writes down what the broker has taken.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn send(
        &self,
        book: &Book,
        kinds: &[Kind],
        site: &Site,
        message: &dyn Fn(Kind) -> (ShortQueue, AmqpMessage),
    ) -> Result<()> {
        let connection = Rc::new(open(&self.address, site).await?);
        self.sending.replace(Some(connection.clone()));
        let channel = connection.create_channel().await;
        let channel = channel.map_err(|error| self.error(&error))?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(|error| self.error(&error))?;
        let messages: Vec<_> = kinds.iter().map(|kind| (*kind, message(*kind))).collect();
        let find = |kind| messages.iter().find(|(known, _)| *known == kind);
        let publish = async |task: u32, kind: Kind| -> lapin::Result<(u32, Confirmation)> {
            let (_, (queue, message)) = find(kind).expect("every kind has a message");
            let options = BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            };
            let properties = message.with_id(&book.id().task(task));
            let queue = queue.0.clone();
            let publishing =
                channel.basic_publish("".into(), queue, options, &message.body, properties);
            Ok((task, publishing.await?.await?))
        };
        let mut flying = FuturesUnordered::new();
        let mut ended = false;
        let mut confirmed = Vec::new();
        while !ended || !flying.is_empty() {
            tokio::select! {
                tickets = book.take(kinds, BATCH), if !ended && flying.len() < WINDOW => {
                    ended = tickets.is_empty();
                    for ticket in tickets {
                        flying.push(publish(ticket.task, ticket.kind));
                    }
                }
                Some(first) = flying.next(), if !flying.is_empty() => {
                    confirmed.push(first);
                    while let Some(Some(more)) = flying.next().now_or_never() {
                        confirmed.push(more);
                    }
                    note(book, &mut confirmed).map_err(|error| lost(&error))?;
                }
            }
        }
        drop(flying);
        self.stop_sending().await;
        Ok(())
    }

    /// Ends sending for good: what a run that was dropped has not handed to the broker yet stays unsent.
    pub async fn stop_sending(&self) {
        let connection = self.sending.take();
        if let Some(connection) = connection {
            let closing = connection.close(200, "done".into());
            let _ = tokio::time::timeout(CLOSING, closing).await;
        }
    }

    /// Removes the messages for which `is_own` holds and leaves the others in their places; gives the ids of
    /// those that went.
    pub async fn purge(
        &self,
        queue: &str,
        is_own: &dyn Fn(&str) -> bool,
        until: Instant,
    ) -> Result<Vec<String>> {
        let mut purged = Vec::new();
        let Some(waiting) = self.queue(queue).await? else {
            return Ok(purged);
        };
        if waiting.ready == 0 {
            return Ok(purged);
        }
        let channel = self.channel().await?;
        let mut consumer = self.consume(&channel, queue, false).await?;
        let mut acknowledging = FuturesUnordered::new();
        for _ in 0..waiting.ready {
            let patience = until.min(Instant::now() + QUIET);
            let Ok(Some(Ok(delivery))) = tokio::time::timeout_at(patience, consumer.next()).await
            else {
                break;
            };
            let id = delivery.properties.correlation_id().as_ref();
            if let Some(id) = id
                .map(lapin::types::ShortString::as_str)
                .filter(|id| is_own(id))
            {
                let id = id.to_owned();
                acknowledging.push(async move {
                    let acknowledged = delivery.acker.ack(BasicAckOptions::default()).await;
                    acknowledged.map(|_| id)
                });
            }
            if acknowledging.len() >= BATCH {
                self.acknowledged(&mut acknowledging, &mut purged).await?;
            }
        }
        self.acknowledged(&mut acknowledging, &mut purged).await?;
        // What was not acknowledged goes back to where it was.
        let _ = channel.close(200, "done".into()).await;
        Ok(purged)
    }

    async fn acknowledged(
        &self,
        acknowledging: &mut FuturesUnordered<impl Future<Output = lapin::Result<String>>>,
        purged: &mut Vec<String>,
    ) -> Result<()> {
        while let Some(acknowledged) = acknowledging.next().await {
            purged.push(acknowledged.map_err(|error| self.error(&error))?);
        }
        Ok(())
    }

    pub async fn close(&self) {
        self.stop_sending().await;
        let closing = self.connection.close(200, "done".into());
        let _ = tokio::time::timeout(CLOSING, closing).await;
    }
}

async fn open(address: &Address, site: &Site) -> Result<Connection> {
    let endpoint = site.addresses.endpoint(address)?;
    let places = endpoint.resolve().await.map_err(|error| {
        Error::unusable(format!("`{}` cannot be reached: {error}", address.host()))
            .hint("see whether it runs: rscale status")
    })?;
    let tls = if address.is_encrypted() {
        Some(RustlsConnector::from(stream::client_config()?))
    } else {
        None
    };
    // One look without AMQP, because what it says of an absent server is clearer.
    drop(stream::connect(&endpoint).await?);
    let runtime = lapin::runtime::default_runtime().map_err(|error| refused(address, &error))?;
    let host = endpoint.host.clone();
    let connecting = Connection::connector(
        uri(address),
        runtime,
        async move |_, runtime| {
            let tcp = AsyncTcpStream::connect(&runtime, places.clone()).await?;
            match &tls {
                Some(tls) => Ok(tcp.into_rustls(tls, &host).await?),
                None => Ok(tcp),
            }
        },
        ConnectionProperties::default().with_connection_name("rscale".into()),
    );
    let connection = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    let connection = connection.map_err(|_| silent(address))?;
    connection.map_err(|error| refused(address, &error))
}

/// The name of a queue as it goes over the wire.
#[derive(Debug, Clone)]
pub struct ShortQueue(lapin::types::ShortString);

impl ShortQueue {
    pub fn new(name: &str) -> Self {
        Self(short(name))
    }
}

/// Writes down what the broker said of messages. A returned message comes with the confirmation of just any
/// other one, so that it is told by its own id.
fn note(book: &Book, confirmed: &mut Vec<lapin::Result<(u32, Confirmation)>>) -> lapin::Result<()> {
    let mut returned = HashSet::new();
    let mut taken = Vec::with_capacity(confirmed.len());
    for confirmation in confirmed.drain(..) {
        let (task, confirmation) = confirmation?;
        if confirmation.is_nack() {
            book.unsent(task, "refused");
        } else {
            taken.push(task);
        }
        let message = confirmation.take_message();
        returned.extend(message.and_then(|message| number_of(book, &message)));
    }
    for task in &returned {
        book.unsent(*task, "unroutable");
        // Only where its own confirmation was quicker.
        book.finished(*task, &Outcome::Failed("unroutable".into()));
    }
    for task in taken {
        if !returned.contains(&task) {
            book.sent(task);
        }
    }
    Ok(())
}

fn number_of(book: &Book, message: &BasicReturnMessage) -> Option<u32> {
    let id = message.delivery.properties.correlation_id().as_ref()?;
    book.id().number(id.as_str())
}

fn clock() -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert("clock".into(), lapin::types::AMQPValue::LongInt(1));
    headers
}

fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)))
}

fn silent(address: &Address) -> Error {
    Error::unusable(format!("RabbitMQ at `{address}` does not answer"))
        .hint("see whether it runs: rscale status")
}

fn refused(address: &Address, error: &lapin::Error) -> Error {
    Error::unusable(format!("RabbitMQ at `{address}` refuses: {error}"))
}

/// The connection ended in the middle of a run.
fn lost(error: &lapin::Error) -> Error {
    Error::failed(format!("the connection to the broker was lost: {error}"))
        .hint("see whether it runs: rscale status")
}

/// What lapin needs to know of the address. As kombu reads it, no virtual host and an empty one are `/`.
fn uri(address: &Address) -> AMQPUri {
    let guest = || "guest".to_owned();
    let path = address.path();
    AMQPUri {
        scheme: if address.is_encrypted() {
            AMQPScheme::AMQPS
        } else {
            AMQPScheme::AMQP
        },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: address.user().map_or_else(guest, Into::into),
                password: address.password().map_or_else(guest, Into::into),
            },
            host: address.host().to_owned(),
            port: address.port(),
        },
        vhost: if path.is_empty() {
            "/".into()
        } else {
            path.into()
        },
        query: AMQPQueryString::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::uri;
    use crate::project::address::Address;

    #[test]
    fn an_address_means_to_lapin_what_it_means_to_kombu() {
        for (text, vhost, user, password) in [
            ("amqp://rabbitmq", "/", "guest", "guest"),
            ("amqp://rabbitmq/", "/", "guest", "guest"),
            ("amqp://ann:s%2Fx@rabbitmq:5672//", "/", "ann", "s/x"),
            ("amqps://ann@rabbitmq/shop", "shop", "ann", "guest"),
            ("pyamqp://rabbitmq/%2Fshop", "/shop", "guest", "guest"),
        ] {
            let uri = uri(&Address::parse(text).unwrap());
            let userinfo = &uri.authority.userinfo;
            let read = (
                uri.vhost.as_str(),
                userinfo.username.as_str(),
                userinfo.password.as_str(),
            );
            assert_eq!(read, (vhost, user, password), "{text}");
        }
    }
}
