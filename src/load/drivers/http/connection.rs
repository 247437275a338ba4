//! One connection that sends one request after another, and opens itself again when it is lost.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::failure::{self, CLOSED, TIMEOUT};
use crate::duration::later;
use crate::load::drivers::stream::{CONNECT_TIMEOUT, Duplex};
use crate::project::reached::Destination;

/// Where requests go to.
#[derive(Debug)]
pub struct Server {
    pub endpoint: Destination,
    /// How many connections have looked where to go.
    pub turn: Cell<usize>,
    /// How the connection is encrypted.
    pub tls: Option<Arc<ClientConfig>>,
    /// How long a whole response may take.
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
}

/// What became of a request.
#[derive(Debug)]
pub enum Failure {
    /// It did not leave: the connection was lost before. The class of the error.
    Unsent(&'static str),
    /// It left on a connection that had served before, and the server ended that without a word: it may have
    /// closed it while the request was on its way (RFC 9112, 9.5).
    Unanswered(&'static str),
    /// It may have reached the server.
    Sent(&'static str),
}

type Driving = http1::Connection<TokioIo<Pin<Box<dyn Duplex>>>, Full<Bytes>>;

/// A connection, open or not.
pub struct Connection<'a> {
    server: &'a Server,
    addresses: Vec<SocketAddr>,
    open: Option<Open>,
    /// One timer for all requests: it is set anew only when it rings, not for each of them.
    timer: Pin<Box<Sleep>>,
}

struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    /// What moves the bytes; `None` once the connection ended.
    driving: Option<Pin<Box<Driving>>>,
    /// Whether a response has come on it.
    served: bool,
}

impl<'a> Connection<'a> {
    pub fn new(server: &'a Server) -> Self {
        Self {
            server,
            addresses: Vec::new(),
            open: None,
            timer: Box::pin(tokio::time::sleep(server.timeout)),
        }
    }

    /// Opens the connection unless it is open.
    ///
    /// # Errors
    /// The class of what went wrong.
    pub async fn open(&mut self) -> Result<(), &'static str> {
        if self.open.as_ref().is_some_and(Open::is_usable) {
            return Ok(());
        }
        self.open = None;
        let limit = CONNECT_TIMEOUT.min(self.server.timeout);
        let opening = tokio::time::timeout(limit, self.connect());
        self.open = Some(opening.await.map_err(|_| TIMEOUT)??);
        Ok(())
    }

    async fn connect(&mut self) -> Result<Open, &'static str> {
        if self.addresses.is_empty() {
            let found = self.server.endpoint.resolve().await;
            self.addresses = found.map_err(|_| "host not found")?;
            // Connections take turns, as clients inside of the project would: a service's name leads to any
            // of its replicas.
            let turn = self.server.turn.get();
            self.server.turn.set(turn.wrapping_add(1));
            let count = self.addresses.len().max(1);
            self.addresses.rotate_left(turn % count);
        }
        let stream = self
            .stream()
            .await
            .map_err(|error| failure::of_io(&error))?;
        let io = TokioIo::new(stream);
        let (sender, driving) = http1::handshake(io)
            .await
            .map_err(|error| failure::of_http(&error))?;
        Ok(Open {
            sender,
            driving: Some(Box::pin(driving)),
            served: false,
        })
    }

    async fn stream(&self) -> io::Result<Pin<Box<dyn Duplex>>> {
        let tcp = TcpStream::connect(self.addresses.as_slice()).await?;
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.server.tls else {
            return Ok(Box::pin(tcp));
        };
        let name = ServerName::try_from(self.server.endpoint.host.clone());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let stream = TlsConnector::from(tls.clone()).connect(name, tcp).await?;
        Ok(Box::pin(stream))
    }

    /// Sends a request and reads the response wholly.
    ///
    /// # Errors
    /// What went wrong; the connection is closed then.
    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let result = match &mut self.open {
            Some(open) => {
                let deadline = later(Instant::now(), self.server.timeout);
                open.exchange(request, self.timer.as_mut(), deadline).await
            }
            None => Err(Failure::Unsent(CLOSED)),
        };
        if result.is_err() {
            self.open = None;
        }
        result
    }

    /// Waits for something else, and meanwhile takes notice when the server ends the connection.
    pub async fn idle<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        match &mut self.open {
            Some(open) => alongside(&mut open.driving, waiting).await,
            None => waiting.await,
        }
    }
}

impl Open {
    fn is_usable(&self) -> bool {
        self.driving.is_some() && !self.sender.is_closed()
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        mut timer: Pin<&mut Sleep>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let Self {
            sender,
            driving,
            served,
        } = self;
        let whole = async {
            // The connection may not have noticed yet that the last response is read.
            let ready = sender.ready().await;
            ready.map_err(|_| Failure::Unsent(CLOSED))?;
            let response = sender.try_send_request(request).await;
            let response = response.map_err(|error| {
                let class = failure::of_http(error.error());
                if error.message().is_some() {
                    Failure::Unsent(class)
                } else if *served && failure::is_end(class) {
                    Failure::Unanswered(class)
                } else {
                    Failure::Sent(class)
                }
            })?;
            *served = true;
            let (head, mut body) = response.into_parts();
            while let Some(frame) = body.frame().await {
                frame.map_err(|error| Failure::Sent(failure::of_http(&error)))?;
            }
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
            })
        };
        let mut whole = pin!(alongside(driving, whole));
        poll_fn(|context| {
            if let Poll::Ready(result) = whole.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            while timer.as_mut().poll(context).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(Err(Failure::Sent(TIMEOUT)));
                }
                // It was set for an earlier request.
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

/// Does something while the connection moves its bytes.
async fn alongside<T, F>(driving: &mut Option<Pin<Box<F>>>, work: impl Future<Output = T>) -> T
where
    F: Future,
{
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(result) = work.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        if let Some(moving) = driving
            && moving.as_mut().poll(context).is_ready()
        {
            *driving = None;
        }
        // It may just have brought what is waited for.
        work.as_mut().poll(context)
    })
    .await
}
