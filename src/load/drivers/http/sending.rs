//! When which connection sends: a number of them one request after another, or as many as it takes to send
//! each request when it is due.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::connection::{Connection, Failure, Server};
use super::replica::Replicas;
use super::request::Template;
use crate::load::book::{Book, Kind, Outcome, Ticket, Word};
use crate::load::pace::Arrival;

/// Connections where nothing else is said.
const USUAL_CONNECTIONS: u32 = 50;
/// Connections of an open pace, of all types together: below the usual limit of open files.
const MOST_CONNECTIONS: usize = 1000;
/// Tickets that are taken at once.
const BATCH: usize = 1000;
/// How long a connection rests after the server could not be reached, so that a dead one is not hammered.
const REST: Duration = Duration::from_millis(100);

/// The requests of one type.
#[derive(Debug)]
pub struct Share<'a> {
    pub kind: Kind,
    pub template: &'a Template,
    pub server: &'a Server,
    pub book: &'a Book,
    pub replicas: &'a Replicas<'a>,
    /// How many types share the connections of an open pace.
    pub shares: usize,
}

impl Share<'_> {
    /// Sends all of it.
    pub async fn send(&self) {
        match self.book.pace().arrival {
            Arrival::Closed { in_flight } => {
                let count = in_flight.unwrap_or(USUAL_CONNECTIONS);
                let count = self.book.pace().total().map_or(count, |all| count.min(all));
                let lines: FuturesUnordered<_> =
                    (0..count).map(|_| self.one_after_another()).collect();
                lines.collect::<()>().await;
            }
            Arrival::Open { .. } => self.when_due().await,
        }
    }

    async fn one_after_another(&self) {
        let mut connection = Connection::new(self.server);
        // Opened before the first request is handed out, whose time is not that of the connection. When it
        // fails the first request will see it.
        let _ = connection.open().await;
        loop {
            let ticket = match self.book.take_now(self.kind) {
                Some(ticket) => ticket,
                None => match self.book.take(&[self.kind], 1).await.pop() {
                    Some(ticket) => ticket,
                    None => return,
                },
            };
            self.serve(&mut connection, ticket).await;
        }
    }

    async fn when_due(&self) {
        let queue = Queue::default();
        let mut lines = FuturesUnordered::new();
        let most = (MOST_CONNECTIONS / self.shares.max(1)).max(1);
        let kinds = [self.kind];
        let mut all_taken = false;
        while !(all_taken && lines.is_empty()) {
            let tickets = tokio::select! {
                tickets = self.book.take(&kinds, BATCH), if !all_taken => tickets,
                Some(()) = lines.next(), if !lines.is_empty() => continue,
            };
            if tickets.is_empty() {
                all_taken = true;
                queue.close();
            }
            for ticket in tickets {
                if queue.has_room() || lines.len() >= most {
                    queue.push(ticket);
                } else {
                    lines.push(self.serve_queue(&queue, ticket));
                }
            }
        }
    }

    async fn serve_queue(&self, queue: &Queue, first: Ticket) {
        let mut connection = Connection::new(self.server);
        self.serve(&mut connection, first).await;
        while let Some(ticket) = match queue.pop() {
            Some(ticket) => Some(ticket),
            None => connection.idle(queue.next()).await,
        } {
            self.serve(&mut connection, ticket).await;
        }
    }

    /// Sends one request and writes down what became of it, on this connection or on a new one.
    pub async fn serve(&self, connection: &mut Connection<'_>, ticket: Ticket) {
        let (book, task) = (self.book, ticket.task);
        // A connection that was kept may turn out to be closed when the next request is about to leave; then
        // that takes a new one. Where it had left already only what may be repeated is sent twice.
        for last in [false, true] {
            if let Err(class) = connection.open().await {
                // The book takes as unsent only what was not sent, which the first attempt seemed to be.
                book.unsent(task, class);
                book.finished(task, &Outcome::Failed(class.to_owned()));
                tokio::time::sleep(REST).await;
                return;
            }
            // Only the first call counts.
            book.sent(task);
            match connection.exchange(self.template.request()).await {
                Ok(answer) => {
                    let header = self.template.replica_header.as_ref();
                    if let Some(value) = header.and_then(|name| answer.headers.get(name)) {
                        let replica = self.replicas.find(value);
                        book.word(
                            task,
                            Word {
                                replica,
                                ..Word::default()
                            },
                        );
                    }
                    book.finished(task, &outcome(answer.status));
                    return;
                }
                Err(Failure::Unsent(_)) if !last => {}
                Err(Failure::Unanswered(_)) if !last && self.template.may_be_repeated() => {
                    book.retried(task);
                }
                Err(Failure::Unsent(class) | Failure::Unanswered(class) | Failure::Sent(class)) => {
                    book.finished(task, &Outcome::Failed(class.to_owned()));
                    return;
                }
            }
        }
    }
}

/// Redirects count as done: they are not followed, and the server did its work.
fn outcome(status: u16) -> Outcome {
    match status {
        200..=399 => Outcome::Done,
        _ => Outcome::Failed(format!("HTTP {status}")),
    }
}

/// Requests that are due, for the connections that are free.
#[derive(Debug, Default)]
struct Queue {
    tickets: RefCell<VecDeque<Ticket>>,
    arrived: Notify,
    waiting: Cell<usize>,
    closed: Cell<bool>,
}

impl Queue {
    /// Whether more connections wait than there are requests for them.
    fn has_room(&self) -> bool {
        self.waiting.get() > self.tickets.borrow().len()
    }

    fn push(&self, ticket: Ticket) {
        self.tickets.borrow_mut().push_back(ticket);
        self.arrived.notify_one();
    }

    fn pop(&self) -> Option<Ticket> {
        self.tickets.borrow_mut().pop_front()
    }

    /// Waits for the next one; `None` when there will be none.
    async fn next(&self) -> Option<Ticket> {
        loop {
            let arrived = self.arrived.notified();
            if let Some(ticket) = self.pop() {
                return Some(ticket);
            }
            if self.closed.get() {
                return None;
            }
            self.waiting.set(self.waiting.get() + 1);
            arrived.await;
            self.waiting.set(self.waiting.get() - 1);
        }
    }

    fn close(&self) {
        self.closed.set(true);
        self.arrived.notify_waiters();
    }
}
