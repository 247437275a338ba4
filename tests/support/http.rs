//! A small HTTP client for the tests: single requests, and a steady load that remembers every answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// No answer takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What came back for one request, over a connection of its own.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 0 when there was no answer; the body then says why.
    pub status: u16,
    pub body: String,
    pub took: Duration,
}

/// Asks this machine for a page.
pub fn get(port: u16, path: &str) -> Answer {
    request(here(port), "GET", path, "")
}

/// Sends a body to this machine.
pub fn post(port: u16, path: &str, body: &str) -> Answer {
    request(here(port), "POST", path, body)
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    let began = Instant::now();
    let answer = exchange(address, method, path, body);
    let took = began.elapsed();
    match answer {
        Ok((status, body)) => Answer { status, body, took },
        Err(error) => Answer {
            status: 0,
            body: error.to_string(),
            took,
        },
    }
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    // HTTP/1.0: the answer ends with the connection and is never chunked.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other(format!("no whole answer: {text}")))?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?;
    Ok((status, body.to_owned()))
}

/// Requests that go on until they are stopped: several at a time, each after a short rest.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Answer>>>,
}

impl Load {
    pub fn start(port: u16, path: &'static str, clients: usize, rest: Duration) -> Self {
        Self::start_at(here(port), path, clients, rest)
    }

    /// The same at any address.
    pub fn start_at(
        address: SocketAddr,
        path: &'static str,
        clients: usize,
        rest: Duration,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    answers.push(request(address, "GET", path, ""));
                    thread::sleep(rest);
                }
                answers
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { stop, clients }
    }

    /// Ends the load; every answer there was.
    pub fn stop(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self
            .clients
            .into_iter()
            .map(|client| client.join().unwrap());
        answers.flatten().collect()
    }
}

/// How long all answers took at most but the slowest of a hundred.
pub fn slowest_but_few(answers: &[Answer]) -> Duration {
    let mut times: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    times.sort_unstable();
    times[times.len() - 1 - times.len() / 100]
}

/// Fails unless every answer was good.
#[track_caller]
pub fn assert_all_good(answers: &[Answer]) {
    let bad: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status != 200)
        .collect();
    assert!(
        bad.is_empty() && !answers.is_empty(),
        "{} of {} answers failed: {:#?}",
        bad.len(),
        answers.len(),
        &bad[..bad.len().min(5)]
    );
}
