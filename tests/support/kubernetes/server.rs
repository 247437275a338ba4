//! The server's connections: HTTP on a port of this machine, in a thread with a runtime of its own.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::oneshot;

use super::answer::Answer;
use super::port::Port;
use super::request::{Request, Target, parameters};
use super::world::{Meddling, World};
use super::{controller, exec, objects, protobuf};

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    pub port: u16,
    world: Arc<Mutex<World>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(world: World) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = Arc::new(Mutex::new(world));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&world);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                tokio::spawn(control(Arc::clone(&shared)));
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            world,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// A port on which the pods of a workload answer.
    pub fn port_of(&self, workload: &str) -> Port {
        Port::open(&self.world, workload)
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A test that failed while it held the lock must not hide why.
fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn control(world: Arc<Mutex<World>>) {
    loop {
        controller::tick(&mut lock(&world));
        tokio::time::sleep(controller::TICK).await;
    }
}

async fn accept(listener: TcpListener, world: Arc<Mutex<World>>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let world = Arc::clone(&world);
                async move { Ok::<_, Infallible>(serve(&world, request).await) }
            });
            // A client that goes away in the middle is no concern of the server's.
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn serve(world: &Mutex<World>, mut asked: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
    let upgrade = asked.headers().contains_key(UPGRADE);
    let upgraded = upgrade.then(|| hyper::upgrade::on(&mut asked));
    let (head, body) = asked.into_parts();
    let bytes = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let header = |name| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let body = if header(CONTENT_TYPE) == protobuf::CONTENT_TYPE {
        protobuf::review(&bytes)
    } else {
        serde_json::from_slice(&bytes).ok()
    };
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().trim_start_matches('/').to_owned(),
        query: parameters(head.uri.query()),
        content_type: header(CONTENT_TYPE)
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned(),
        body: body.unwrap_or(Value::Null),
    };
    let delay = lock(world).delay;
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    let mut world = lock(world);
    world
        .journal
        .push(format!("{} /{}", request.method, request.path));
    meddle(&mut world, &request, false);
    let target =
        Target::parse(&request.path).filter(|target| target.part.as_deref() == Some("exec"));
    if let Some(target) = target {
        let protocol = exec::protocol(&header(SEC_WEBSOCKET_PROTOCOL));
        return match (upgraded, protocol) {
            (Some(upgraded), Some(protocol)) => {
                let (code, output) = command(&mut world, &request, &target);
                tokio::spawn(async move {
                    if let Ok(upgraded) = upgraded.await {
                        exec::serve(upgraded, code, &output).await;
                    }
                });
                Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header(CONNECTION, "Upgrade")
                    .header(UPGRADE, "websocket")
                    .header(
                        SEC_WEBSOCKET_ACCEPT,
                        exec::accept(&header(SEC_WEBSOCKET_KEY)),
                    )
                    .header(SEC_WEBSOCKET_PROTOCOL, protocol)
                    .body(Full::default())
                    .unwrap()
            }
            _ => respond(Answer::bad_request("commands need a WebSocket")),
        };
    }
    let answer = objects::answer(&mut world, &request);
    meddle(&mut world, &request, true);
    respond(answer)
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    Response::builder()
        .status(answer.code)
        .header(CONTENT_TYPE, answer.content_type)
        .body(Full::new(Bytes::from(answer.body)))
        .unwrap()
}

/// Notes a command in a pod, and gives its exit code and what it prints.
fn command(world: &mut World, request: &Request, target: &Target) -> (i32, String) {
    let line = request.queries("command").join(" ");
    let pod = target.name.clone().unwrap_or_default();
    world.journal.push(format!("exec {pod}: {line}"));
    let planned = world
        .commands
        .iter()
        .find(|(part, _, _)| line.contains(part.as_str()));
    planned.map_or((0, String::new()), |(_, code, output)| {
        (*code, output.clone())
    })
}

/// What another client does at this moment.
fn meddle(world: &mut World, request: &Request, afterwards: bool) {
    let now = |one: &Meddling| {
        one.afterwards == afterwards
            && one.at.0 == request.method
            && request.path.ends_with(&one.at.1)
    };
    while let Some(place) = world.meddling.iter().position(now) {
        let one = world.meddling.remove(place);
        world.meddle(&one.workload, one.count);
    }
}
