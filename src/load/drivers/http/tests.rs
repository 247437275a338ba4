//! The driver against servers of this process that misbehave as told.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, LocalSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::Http;
use super::connection::{Connection, Server};
use super::replica::Replicas;
use super::request::Template;
use super::sending::Share;
use crate::error::Exit;
use crate::load::Driver;
use crate::load::book::Book;
use crate::load::id::RunId;
use crate::load::ledger::{State, UNKNOWN};
use crate::load::pace::{Amount, Arrival, Pace};
use crate::load::site::{Names, Site};
use crate::project::Project;
use crate::project::address::Address;
use crate::project::declared::Declared;
use crate::project::observed::Replica;
use crate::project::reached::{Addresses, Destination, Host};
use crate::project::workload::{HttpWork, TaskType, Work};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server does after a request.
#[derive(Debug, Clone)]
enum Reply {
    /// Answers after a while, and keeps the connection.
    Bytes(Vec<u8>, Duration),
    /// Answers and ends the connection.
    Last(Vec<u8>),
    /// Answers and breaks the connection.
    Reset(Vec<u8>),
    Nothing,
}

fn ok() -> Reply {
    say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
}

fn say(text: &str) -> Reply {
    Reply::Bytes(text.into(), Duration::ZERO)
}

fn status(line: &str) -> Reply {
    say(&format!(
        "HTTP/1.1 {line}\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
    ))
}

/// What the server saw: the connection's number and the head of every request.
type Seen = Rc<RefCell<Vec<(usize, String)>>>;

struct TestServer {
    at: SocketAddr,
    seen: Seen,
    _accepting: JoinHandle<()>,
}

impl TestServer {
    async fn new(reply: impl Fn(usize) -> Reply + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let seen = Seen::default();
        let (reply, notes) = (Rc::new(reply), seen.clone());
        let accepting = tokio::task::spawn_local(async move {
            for number in 0.. {
                let (tcp, _) = listener.accept().await.unwrap();
                let (reply, seen) = (reply.clone(), notes.clone());
                tokio::task::spawn_local(async move { answer(tcp, number, &*reply, &seen).await });
            }
        });
        Self {
            at,
            seen,
            _accepting: accepting,
        }
    }

    fn requests(&self) -> usize {
        self.seen.borrow().len()
    }

    fn connections(&self) -> usize {
        let seen = self.seen.borrow();
        seen.iter().map(|(number, _)| number + 1).max().unwrap_or(0)
    }
}

/// The head of the next request; `None` at the end of the connection. Bodies here are short.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream
            .read(&mut buffer)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        text.extend_from_slice(&buffer[..count]);
    }
    Some(String::from_utf8(text).unwrap())
}

async fn answer(mut tcp: TcpStream, number: usize, reply: &dyn Fn(usize) -> Reply, seen: &Seen) {
    while let Some(head) = head(&mut tcp).await {
        let count = seen.borrow().len();
        seen.borrow_mut().push((number, head));
        let last = match reply(count) {
            Reply::Bytes(bytes, after) => {
                if !after.is_zero() {
                    tokio::time::sleep(after).await;
                }
                let _ = tcp.write_all(&bytes).await;
                false
            }
            Reply::Last(bytes) => {
                let _ = tcp.write_all(&bytes).await;
                true
            }
            Reply::Reset(bytes) => {
                let _ = tcp.write_all(&bytes).await;
                // What was written arrives before the break does.
                tokio::time::sleep(Duration::from_millis(50)).await;
                tcp.set_zero_linger().unwrap();
                true
            }
            Reply::Nothing => {
                tokio::time::sleep(PATIENCE).await;
                true
            }
        };
        if last {
            return;
        }
    }
}

fn work(url: &str) -> HttpWork {
    HttpWork {
        url: Address::parse(url).unwrap(),
        method: "GET".into(),
        headers: Vec::new().into(),
        body: String::new().into(),
        replica_header: None,
    }
}

/// A project whose service `shop` publishes its port 80 where a server listens.
fn site(at: SocketAddr, timeout: Duration) -> Site {
    let shop = Host {
        service: "shop".into(),
        published: [(80, vec![at])].into(),
        runs: true,
        ..Host::default()
    };
    Site {
        addresses: Addresses([("shop".to_owned(), shop)].into()),
        timeout,
        ..Site::default()
    }
}

fn pace(tasks: u32, connections: u32) -> Pace {
    Pace {
        amount: Amount::Tasks(tasks),
        arrival: Arrival::Closed {
            in_flight: Some(connections),
        },
    }
}

fn open_pace(tasks: u32, per_second: f64) -> Pace {
    Pace {
        amount: Amount::Tasks(tasks),
        arrival: Arrival::Open { per_second },
    }
}

async fn run(works: &[HttpWork], site: &Site, pace: Pace) -> Book {
    let types = works.iter().enumerate().map(|(kind, work)| {
        let task = TaskType {
            name: "Home".into(),
            service: None,
            work: Work::Http(work.clone()),
        };
        (u16::try_from(kind).unwrap(), task)
    });
    let http = Http::new(types.collect(), site).unwrap();
    let book = Book::new(RunId::from_bytes([9; 12]), works.len(), pace);
    let running = tokio::time::timeout(PATIENCE, http.run(&book));
    running.await.expect("it ends").unwrap();
    book
}

/// Runs against a server, with everything of the test in one thread.
fn against<T>(
    reply: impl Fn(usize) -> Reply + 'static,
    test: impl AsyncFnOnce(&TestServer) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    LocalSet::new().block_on(&runtime.unwrap(), async {
        let server = TestServer::new(reply).await;
        test(&server).await
    })
}

fn classes(book: &Book) -> Vec<String> {
    let ledger = book.ledger();
    let records = ledger.records.iter();
    records
        .map(|record| match record.state {
            State::Done => "done".to_owned(),
            State::Failed => ledger.error(record).unwrap().to_owned(),
            state => format!("{state:?}"),
        })
        .collect()
}

/// What becomes of a few requests, one after another.
fn outcomes(tasks: u32, reply: impl Fn(usize) -> Reply + 'static) -> (Vec<String>, usize) {
    against(reply, async |server| {
        let site = site(server.at, Duration::from_millis(400));
        let book = run(&[work("http://shop/")], &site, pace(tasks, 1)).await;
        (classes(&book), server.connections())
    })
}

#[test]
fn connections_are_kept_and_the_host_is_as_it_was_written() {
    against(
        |_| ok(),
        async |server| {
            let site = site(server.at, PATIENCE);
            let book = run(&[work("http://shop/a?b=c")], &site, pace(40, 4)).await;
            assert_eq!(classes(&book), vec!["done"; 40]);
            assert_eq!((server.requests(), server.connections()), (40, 4));
            let seen = server.seen.borrow();
            assert!(
                seen.iter()
                    .all(|(_, head)| head.starts_with("GET /a?b=c HTTP/1.1\r\n")
                        && head.contains("\r\nhost: shop\r\n")),
                "{seen:?}"
            );
            // Sent when it left, and not when its result came.
            let ledger = book.ledger();
            assert!(
                ledger
                    .records
                    .iter()
                    .all(|record| record.intended <= record.sent && record.sent < record.finished)
            );
            assert!(ledger.replicas.is_empty());
        },
    );
}

#[test]
fn no_more_connections_than_tasks() {
    against(
        |_| {
            Reply::Bytes(
                b"HTTP/1.1 204 No Content\r\n\r\n".into(),
                Duration::from_millis(30),
            )
        },
        async |server| {
            let closed = |in_flight| Pace {
                amount: Amount::Tasks(70),
                arrival: Arrival::Closed { in_flight },
            };
            let site = site(server.at, PATIENCE);
            run(&[work("http://shop/")], &site, pace(3, 9)).await;
            assert_eq!(server.connections(), 3);
            run(&[work("http://shop/")], &site, closed(None)).await;
            assert_eq!(server.connections(), 3 + 50, "all at once is 50 at a time");
        },
    );
}

#[test]
fn a_bad_status_is_a_failure_and_a_redirect_is_not_followed() {
    let replies = [
        "200 OK",
        "503 Service Unavailable",
        "302 Found",
        "404 Not Found",
        "101 Switching Protocols",
    ];
    let (classes, _) = outcomes(5, move |count| status(replies[count]));
    assert_eq!(
        classes,
        ["done", "HTTP 503", "done", "HTTP 404", "HTTP 101"]
    );
}

#[test]
fn bodies_are_read_whatever_their_end() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let large = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n{}",
        "x".repeat(3_000_000)
    );
    let until_the_end = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
    let (classes, connections) = outcomes(7, move |count| match count {
        0 | 1 => say(chunked),
        2 | 3 => say(&large),
        4 => Reply::Last(until_the_end.into()),
        _ => say("HTTP/1.1 204 No Content\r\n\r\n"),
    });
    assert_eq!(classes, vec!["done"; 7]);
    assert_eq!(connections, 2);
}

#[test]
fn a_lost_connection_fails_one_request_and_is_opened_again() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello".to_vec();
    let half_chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel".to_vec();
    for (reply, class) in [
        (Reply::Reset(half.clone()), "connection reset"),
        (Reply::Last(half), "connection closed"),
        (Reply::Last(half_chunk), "connection closed"),
        (Reply::Nothing, "timeout"),
        (
            say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
            "timeout",
        ),
        (
            Reply::Last(b"SSH-2.0-OpenSSH\r\n\r\n".into()),
            "malformed response",
        ),
    ] {
        let name = format!("{reply:?}");
        let (classes, connections) = outcomes(
            4,
            move |count| if count == 1 { reply.clone() } else { ok() },
        );
        assert_eq!(classes, ["done", class, "done", "done"], "{name}");
        assert_eq!(connections, 2, "{name}");
    }
}

/// What became of requests and how often each was retried, of a server that ends connections at some of them.
fn ended_at(ends: &'static [usize], reply: Reply, method: &str) -> (Vec<String>, Vec<u8>, usize) {
    let mut work = work("http://shop/");
    work.method = method.into();
    let reply = move |count| {
        let ends = ends.contains(&count);
        if ends { reply.clone() } else { ok() }
    };
    against(reply, async |server| {
        let site = site(server.at, PATIENCE);
        let book = run(&[work], &site, pace(3, 1)).await;
        let ledger = book.ledger();
        let retries = ledger.records.iter().map(|record| record.retries);
        (classes(&book), retries.collect(), server.requests())
    })
}

#[test]
fn a_kept_connection_that_ends_without_a_word_repeats_what_may_be_repeated() {
    for (reply, class) in [
        (Reply::Last(Vec::new()), "connection closed"),
        (Reply::Reset(Vec::new()), "connection reset"),
    ] {
        let of = |ends, method| ended_at(ends, reply.clone(), method);
        let done = vec!["done".to_owned(); 3];
        assert_eq!(of(&[1], "GET"), (done.clone(), vec![0, 1, 0], 4));
        assert_eq!(of(&[1], "PUT"), (done, vec![0, 1, 0], 4));
        // Once, and no more: the second end is of a new connection.
        let failed = |at: usize| {
            let mut classes = vec!["done".to_owned(); 3];
            classes[at] = class.to_owned();
            classes
        };
        assert_eq!(of(&[1, 2], "GET"), (failed(1), vec![0, 1, 0], 4));
        // A new connection had no chance to grow old.
        assert_eq!(of(&[0], "GET"), (failed(0), vec![0, 0, 0], 3));
        assert_eq!(of(&[1], "POST"), (failed(1), vec![0, 0, 0], 3));
    }
}

#[test]
fn a_time_limit_is_for_each_request_and_not_for_all_of_them() {
    let started = Instant::now();
    let (classes, connections) = outcomes(6, |_| {
        Reply::Bytes(
            b"HTTP/1.1 204 No Content\r\n\r\n".into(),
            Duration::from_millis(150),
        )
    });
    assert!(
        started.elapsed() > Duration::from_millis(800),
        "longer than the limit of one"
    );
    assert_eq!((classes, connections), (vec!["done".to_owned(); 6], 1));
}

#[test]
fn a_server_that_is_not_there_fails_every_request_and_is_not_hammered() {
    against(
        |_| ok(),
        async |_| {
            let free = TcpListener::bind("127.0.0.1:0")
                .await
                .unwrap()
                .local_addr()
                .unwrap();
            let site = site(free, PATIENCE);
            let started = Instant::now();
            let book = run(&[work("http://shop/")], &site, pace(6, 2)).await;
            assert_eq!(classes(&book), vec!["connection refused"; 6]);
            assert!(started.elapsed() >= Duration::from_millis(250));
            assert_eq!(book.tally(0).sent, 0, "nothing left");

            let types = vec![(
                0,
                TaskType {
                    name: "Home".into(),
                    service: None,
                    work: Work::Http(work("http://shop/")),
                },
            )];
            let error = Http::new(types, &site).unwrap().check().await.unwrap_err();
            assert_eq!((error.exit(), error.hints.len()), (Exit::Unusable, 1));
            assert!(
                error.message.starts_with("`shop:80` cannot be reached"),
                "{error}"
            );
        },
    );
}

#[test]
fn a_look_before_the_run_sends_nothing() {
    against(
        |_| ok(),
        async |server| {
            let site = site(server.at, PATIENCE);
            let types = vec![(
                0,
                TaskType {
                    name: "Home".into(),
                    service: None,
                    work: Work::Http(work("http://shop/")),
                },
            )];
            Http::new(types, &site).unwrap().check().await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(server.requests(), 0);
        },
    );
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_costs_no_request() {
    against(
        |_| Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into()),
        async |server| {
            let site = site(server.at, PATIENCE);
            let post = HttpWork {
                method: "POST".into(),
                ..work("http://shop/")
            };
            let book = run(&[post], &site, open_pace(6, 20.0)).await;
            assert_eq!(classes(&book), vec!["done"; 6]);
            assert_eq!((server.requests(), server.connections()), (6, 6));
        },
    );
}

/// A connection to a server that ends, and its connection with it, a moment after it is open.
async fn left_alone(server: &Server, listener: TcpListener) -> Connection<'_> {
    let mut connection = Connection::new(server);
    let (opened, accepted) = tokio::join!(connection.open(), listener.accept());
    opened.unwrap();
    drop((accepted, listener));
    connection
}

#[test]
fn no_request_is_lost_where_the_server_ends_between_two() {
    against(
        |_| ok(),
        async |_| {
            let template = Template::of("Home", &work("http://shop/")).unwrap();
            let book = Book::new(RunId::from_bytes([9; 12]), 1, pace(1, 1));
            let names = Names::default();
            let replicas = Replicas::new(&names, &book);
            for notices in [true, false] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let server = Server {
                    endpoint: Destination {
                        host: "shop".into(),
                        port: 80,
                        at: vec![listener.local_addr().unwrap()],
                    },
                    turn: std::cell::Cell::default(),
                    tls: None,
                    timeout: PATIENCE,
                };
                let mut connection = left_alone(&server, listener).await;
                let moment = tokio::time::sleep(Duration::from_millis(50));
                if notices {
                    connection.idle(moment).await;
                    assert_eq!(connection.open().await, Err("connection refused"));
                } else {
                    // It is found to be closed when the request is about to leave, and there is no other.
                    moment.await;
                    assert_eq!(connection.open().await, Ok(()));
                    let share = Share {
                        kind: 0,
                        template: &template,
                        server: &server,
                        book: &book,
                        replicas: &replicas,
                        shares: 1,
                    };
                    share
                        .serve(&mut connection, book.take_now(0).unwrap())
                        .await;
                    assert_eq!(classes(&book), ["connection refused"]);
                }
            }
        },
    );
}

#[test]
fn an_open_pace_takes_as_many_connections_as_it_needs_and_counts_from_the_time_due() {
    against(
        |count| {
            Reply::Bytes(
                b"HTTP/1.1 204 No Content\r\n\r\n".into(),
                Duration::from_millis(if count == 0 { 600 } else { 100 }),
            )
        },
        async |server| {
            let site = site(server.at, PATIENCE);
            let book = run(&[work("http://shop/")], &site, open_pace(40, 50.0)).await;
            assert_eq!(classes(&book), vec!["done"; 40]);
            // 50 a second of 0.1 seconds each are five at a time, and one more is stuck.
            assert!(
                (5..=20).contains(&server.connections()),
                "{}",
                server.connections()
            );
            let ledger = book.ledger();
            for (number, record) in ledger.records.iter().enumerate() {
                assert_eq!(record.intended, number as u64 * 20_000_000);
                let waited = Duration::from_nanos(record.finished - record.intended);
                let at_least = if number == 0 { 600 } else { 100 };
                assert!(
                    waited >= Duration::from_millis(at_least - 1),
                    "{number}: {waited:?}"
                );
            }
            let last = ledger.records[39].sent;
            assert!(last >= 770_000_000, "sent when due: {last}");
        },
    );
}

#[test]
fn a_run_for_a_time_ends_when_it_is_up() {
    against(
        |_| {
            Reply::Bytes(
                b"HTTP/1.1 204 No Content\r\n\r\n".into(),
                Duration::from_millis(20),
            )
        },
        async |server| {
            let site = site(server.at, PATIENCE);
            for arrival in [
                Arrival::Closed { in_flight: Some(2) },
                Arrival::Open { per_second: 100.0 },
            ] {
                let started = Instant::now();
                let pace = Pace {
                    amount: Amount::For(Duration::from_millis(300)),
                    arrival,
                };
                let book = run(&[work("http://shop/")], &site, pace).await;
                let took = started.elapsed();
                assert!(
                    took >= Duration::from_millis(290) && took < Duration::from_secs(5),
                    "{took:?}"
                );
                let tally = book.tally(0);
                assert!(tally.done >= 5 && tally.issued == tally.done, "{tally:?}");
            }
        },
    );
}

#[test]
fn types_for_several_servers_are_sent_at_the_same_time() {
    against(
        |_| {
            Reply::Bytes(
                b"HTTP/1.1 204 No Content\r\n\r\n".into(),
                Duration::from_millis(100),
            )
        },
        async |server| {
            let other = TestServer::new(|_| status("500 Oops")).await;
            let site = site(server.at, PATIENCE);
            let started = Instant::now();
            let works = [
                work("http://shop/a"),
                work("http://shop/b"),
                work(&format!("http://{}/", other.at)),
            ];
            let book = run(&works, &site, pace(5, 1)).await;
            assert!(
                started.elapsed() < Duration::from_millis(900),
                "one type after another"
            );
            assert_eq!(
                (book.tally(0).done, book.tally(1).done, book.tally(2).failed),
                (5, 5, 5)
            );
        },
    );
}

#[test]
fn a_header_says_which_replica_answered() {
    let hosts = ["3f5c0a1b2c3d", "elsewhere"];
    against(
        move |count| {
            let (line, host) = if count == 3 {
                ("503 Busy", hosts[1])
            } else {
                ("200 OK", hosts[count % 2])
            };
            say(&format!(
                "HTTP/1.1 {line}\r\nx-replica: {host}\r\nContent-Length: 0\r\n\r\n"
            ))
        },
        async |server| {
            let replica = Replica {
                id: "3f5c0a1b2c3d4e5f".into(),
                name: "shop-web-1".into(),
                service: "web".into(),
                ..Replica::default()
            };
            let site = Site {
                names: Names::of(&Project::new(Declared::default(), vec![replica])),
                ..site(server.at, PATIENCE)
            };
            let named = HttpWork {
                replica_header: Some("X-Replica".into()),
                ..work("http://shop/")
            };
            let book = run(&[named], &site, pace(4, 1)).await;
            let ledger = book.ledger();
            let who: Vec<&str> = ledger
                .records
                .iter()
                .map(|record| {
                    ledger.replicas[usize::from(record.worker().unwrap())]
                        .name
                        .as_str()
                })
                .collect();
            assert_eq!(who, ["shop-web-1", "elsewhere", "shop-web-1", "elsewhere"]);
            assert_eq!(ledger.replicas[0].service.as_deref(), Some("web"));
        },
    );
}

#[test]
fn a_run_that_is_dropped_leaves_no_connection() {
    against(
        |_| Reply::Nothing,
        async |server| {
            let site = site(server.at, PATIENCE);
            let types = vec![(
                0,
                TaskType {
                    name: "Home".into(),
                    service: None,
                    work: Work::Http(work("http://shop/")),
                },
            )];
            let http = Http::new(types, &site).unwrap();
            let book = Book::new(RunId::from_bytes([9; 12]), 1, pace(9, 3));
            let dropped = tokio::time::timeout(Duration::from_millis(200), http.run(&book)).await;
            assert!(dropped.is_err());
            assert_eq!((book.tally(0).sent, book.unfinished(0).len()), (3, 3));
            assert_eq!(
                http.close(&book, true).await,
                crate::load::Closed::default()
            );
            assert!(
                book.ledger()
                    .records
                    .iter()
                    .all(|record| record.finished == UNKNOWN)
            );
        },
    );
}

#[test]
fn what_any_server_says_is_a_result() {
    use proptest::strategy::Strategy;
    use proptest::test_runner::{Config, TestRunner};

    let bytes = proptest::collection::vec(proptest::num::u8::ANY, 0..200);
    let start = proptest::sample::select(vec![
        "",
        "HTTP/1.1 ",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]);
    let said = (start, bytes).prop_map(|(start, bytes)| [start.as_bytes(), &bytes].concat());
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let tried = runner.run(&said, |bytes| {
        let (classes, _) = outcomes(2, move |count| {
            if count == 0 {
                Reply::Last(bytes.clone())
            } else {
                ok()
            }
        });
        assert_eq!(classes[1], "done", "{classes:?}");
        Ok(())
    });
    tried.unwrap();
}

/// The certificate is for tests alone: its authority's key was thrown away.
const CA: &[u8] = include_bytes!("../../../../tests/samples/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../../../tests/samples/tls/server.pem");
const KEY: &[u8] = include_bytes!("../../../../tests/samples/tls/server.key");

fn trusting(ca: Option<&[u8]>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        roots
            .add(CertificateDer::from_pem_slice(ca).unwrap())
            .unwrap();
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    Arc::new(config.with_no_client_auth())
}

/// A server that answers three requests on each encrypted connection.
async fn encrypted_server() -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                continue;
            };
            for _ in 0..3 {
                let Some(head) = head(&mut stream).await else {
                    break;
                };
                assert!(head.contains("\r\nhost: shop.test:4433\r\n"), "{head}");
                write(
                    &mut stream,
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                )
                .await;
            }
            let _ = stream.shutdown().await;
        }
    });
    at
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

#[test]
fn encrypted_connections_are_kept_and_only_to_whom_the_certificate_names() {
    against(
        |_| ok(),
        async |_| {
            let at = encrypted_server().await;
            for (host, ca, expected) in [
                ("shop.test", Some(CA), "done"),
                ("other.test", Some(CA), "TLS error"),
                ("shop.test", None, "TLS error"),
            ] {
                let server = Server {
                    endpoint: Destination {
                        host: host.into(),
                        port: 4433,
                        at: vec![at],
                    },
                    turn: std::cell::Cell::default(),
                    tls: Some(trusting(ca)),
                    timeout: PATIENCE,
                };
                let template = Template::of("Home", &work("https://shop.test:4433/")).unwrap();
                let book = Book::new(RunId::from_bytes([9; 12]), 1, pace(3, 1));
                let names = Names::default();
                let replicas = Replicas::new(&names, &book);
                let share = Share {
                    kind: 0,
                    template: &template,
                    server: &server,
                    book: &book,
                    replicas: &replicas,
                    shares: 1,
                };
                tokio::time::timeout(PATIENCE, share.send()).await.unwrap();
                assert_eq!(classes(&book), vec![expected; 3], "{host}");
            }
        },
    );
}
