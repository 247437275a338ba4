//! BullMQ: jobs in Redis, for workers on Node and of its ports to Python and others.
//!
//! Jobs are added with plain commands as BullMQ's own scripts add them ([`job`]), and what becomes of them
//! is read from the queue's stream of events ([`event`]) and from the jobs' hashes, which say when the last
//! attempt began and ended and, where workers have names, whose it was.

mod check;
mod event;
mod failure;
mod job;
mod jobs;
mod leftover;
mod listen;
mod look;
mod queue;
mod send;

use std::cell::RefCell;
use std::time::Duration;

use super::Typed;
use super::redis_client::Redis;
use crate::error::{Error, Result};
use crate::exec::LocalFuture;
use crate::load::book::Book;
use crate::load::ledger::Kind;
use crate::load::site::Site;
use crate::load::{Checked, Closed, Driver};
use crate::project::address::Address;
use crate::project::workload::Work;
use job::Template;
use jobs::Jobs;
pub use look::{depth, running};
use queue::Keys;

/// How long workers' words are waited for after the last result, and after each word that came.
const PATIENCE: Duration = Duration::from_secs(5);

/// One queue, and the task types that go there.
#[derive(Debug)]
struct Target {
    keys: Keys,
    types: Vec<(Kind, Template)>,
    jobs: RefCell<Jobs>,
}

/// The driver.
#[derive(Debug)]
pub struct Bullmq<'a> {
    broker: Address,
    targets: Vec<Target>,
    site: &'a Site,
}

impl<'a> Bullmq<'a> {
    /// # Errors
    /// There is nothing to send.
    pub fn new(types: Vec<Typed>, site: &'a Site) -> Result<Self> {
        let mut broker = None;
        let mut targets: Vec<Target> = Vec::new();
        for (kind, task) in types {
            let Work::Bullmq {
                queue,
                job,
                data,
                attempts,
            } = task.work
            else {
                continue;
            };
            let keys = Keys::new(queue.prefix.as_deref(), &queue.name);
            let template = Template::new(&job, &data, attempts);
            match targets.iter_mut().find(|target| target.keys == keys) {
                Some(target) => target.types.push((kind, template)),
                None => targets.push(Target {
                    keys,
                    types: vec![(kind, template)],
                    jobs: RefCell::default(),
                }),
            }
            broker = Some(queue.broker);
        }
        Ok(Self {
            broker: broker.ok_or_else(|| Error::usage("no queue to send to"))?,
            targets,
            site,
        })
    }

    fn kinds(&self) -> Vec<Kind> {
        let types = self.targets.iter().flat_map(|target| &target.types);
        types.map(|(kind, _)| *kind).collect()
    }

    async fn work(&self, book: &Book) -> Result<()> {
        let redis = Redis::open(&self.broker, self.site).await?;
        let listening = Redis::open(&self.broker, self.site).await?;
        for target in &self.targets {
            target.jobs.borrow_mut().next_run();
        }
        let kinds = self.kinds();
        let begin = self.newest_events(&listening).await?;
        tokio::select! {
            result = async {
                tokio::try_join!(
                    self.send(&redis, book, &kinds),
                    self.listen(&redis, &listening, book, begin),
                )
            } => result.map(|_| ()),
            () = async {
                book.settled(&kinds).await;
                // Who did a job, and when, is asked after its end.
                book.detailed(PATIENCE).await;
            } => Ok(()),
        }
    }
}

impl Driver for Bullmq<'_> {
    fn name(&self) -> &'static str {
        "bullmq"
    }

    fn check(&self) -> LocalFuture<'_, Result<Checked>> {
        Box::pin(self.checked())
    }

    fn run<'a>(&'a self, book: &'a Book) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.work(book))
    }

    fn close<'a>(&'a self, book: &'a Book, purge: bool) -> LocalFuture<'a, Closed> {
        let _ = book;
        Box::pin(self.leave(purge))
    }
}
