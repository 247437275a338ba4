//! Waiting for what may take long, and saying so meanwhile.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Event, Run, Waiting, WaitingFor};

/// Time between two words about it.
const BETWEEN_WORDS: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// Does something, and emits every second what is waited for and for how long.
    pub(super) async fn watched<T>(
        &self,
        service: &str,
        count: impl Fn() -> usize,
        what: WaitingFor,
        limit: Option<Duration>,
        work: impl Future<Output = T>,
    ) -> T {
        let began = Instant::now();
        let mut told = self.rolling_back.get() || what != WaitingFor::End;
        let mut work = pin!(work);
        let mut ticks = interval(BETWEEN_WORDS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => {
                    (self.emit)(Event::Waiting(Waiting {
                        service: service.to_owned(),
                        count: count(),
                        what,
                        elapsed: began.elapsed(),
                        limit,
                    }));
                    if !told && self.reach.executor.interrupted() {
                        told = true;
                        (self.emit)(Event::Note(format!(
                            "interrupted: what stops of `{service}` was told so already; \
                             rolling back as soon as it has ended"
                        )));
                    }
                }
                done = &mut work => return done,
            }
        }
    }
}
