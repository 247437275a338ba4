//! What answers at a Service's port: every ready pod takes one request at a time, and says its name.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::controller::{is_leaving, is_ready};
use super::world::World;

/// How long a pod takes for a request.
const WORK: Duration = Duration::from_millis(40);
/// Pods beyond these would share turns.
const MOST: usize = 16;

/// Serves requests until it is dropped.
#[derive(Debug)]
pub struct Port {
    pub number: u16,
    stop: Arc<AtomicBool>,
}

impl Port {
    /// Opens a port for the pods of a workload; without a ready one, requests fail with 503.
    pub fn open(world: &Arc<Mutex<World>>, workload: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let (world, workload) = (Arc::clone(world), workload.to_owned());
        let stopped = Arc::clone(&stop);
        let turns: Arc<[Mutex<()>; MOST]> = Arc::default();
        let next = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (world, workload) = (Arc::clone(&world), workload.clone());
                let (turns, next) = (Arc::clone(&turns), Arc::clone(&next));
                thread::spawn(move || {
                    serve(stream, || {
                        let pods = ready(&world, &workload);
                        let place = next.fetch_add(1, Ordering::Relaxed) % pods.len().max(1);
                        let pod = pods.get(place)?;
                        let _turn = turns[place % MOST]
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner);
                        thread::sleep(WORK);
                        Some(pod.clone())
                    });
                });
            }
        });
        Self { number, stop }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.number));
    }
}

fn ready(world: &Mutex<World>, workload: &str) -> Vec<String> {
    let world = world.lock().unwrap_or_else(PoisonError::into_inner);
    let pods = world.of_kind("pods", "").into_iter();
    pods.filter(|(_, pod)| pod["metadata"]["labels"]["app"] == workload)
        .filter(|(_, pod)| is_ready(pod) && !is_leaving(pod))
        .map(|(key, _)| key.2.clone())
        .collect()
}

/// Answers the requests of a connection, which have no bodies, one after another.
fn serve(mut stream: TcpStream, work: impl Fn() -> Option<String>) {
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => asked.extend_from_slice(&buffer[..count]),
            _ => return,
        }
        while let Some(end) = asked.windows(4).position(|four| four == b"\r\n\r\n") {
            asked.drain(..end + 4);
            let answer = match work() {
                Some(pod) => {
                    format!("HTTP/1.1 200 OK\r\nX-Replica: {pod}\r\nContent-Length: 2\r\n\r\nok")
                }
                None => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}
