//! What interruptions of rscale mean for commands and waits; how they come is left to [`super::signals`].

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Interruption, OnInterrupt};

/// How long a command that changes something goes on after an interruption before it is asked to end, and
/// then again before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a command that nobody waits for any more may take to end.
pub(super) const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// How long what is left may be looked at after a second interruption.
const LAST_LOOK: Duration = Duration::from_secs(5);
/// What comes within this time of another is the same interruption: a terminal that closes, `timeout` and
/// systemd send two signals at once.
pub(super) const AT_ONCE: Duration = Duration::from_millis(250);
/// What is left of a pause after a second interruption: enough that a loop does not spin.
const MOMENT: Duration = Duration::from_millis(100);

/// The interruptions so far, and who waits for the next. Copies count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Interruptions(watch::Sender<Heard>);

#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    count: u32,
    last: Option<Instant>,
}

impl Interruptions {
    /// Counts one that came now.
    pub fn hear(&self) {
        let now = Instant::now();
        self.0.send_if_modified(|heard| {
            let is_new = heard.last.is_none_or(|last| now - last >= AT_ONCE);
            if is_new {
                heard.count += 1;
                heard.last = Some(now);
            }
            is_new
        });
    }

    #[cfg(test)]
    pub fn forget(&self) {
        self.0.send_replace(Heard::default());
    }

    pub fn level(&self) -> Interruption {
        match self.count() {
            0 => Interruption::Never,
            1 => Interruption::Once,
            _ => Interruption::Twice,
        }
    }

    /// Whether a command may start at all: after a second interruption nothing is changed any more, and what
    /// is left is looked at for a short while only.
    pub fn allows(&self, what: OnInterrupt) -> bool {
        match (self.count(), what) {
            (0 | 1, _) => true,
            (2, OnInterrupt::Kill) => Instant::now() < self.last_look_ends(),
            _ => false,
        }
    }

    /// Waits until a command that starts now is to be asked to end, if ever. What starts after the first
    /// interruption belongs to the answer to it (the roll-back), and goes on until the second.
    pub async fn ends(&self, what: OnInterrupt) {
        match (self.count(), what) {
            (0, OnInterrupt::Kill | OnInterrupt::End) => self.reach(1).await,
            (0, OnInterrupt::Ask) => {
                self.reach(1).await;
                let _ = timeout(PATIENCE, self.reach(2)).await;
            }
            (0 | 1, _) => self.reach(2).await,
            _ => {
                tokio::select! {
                    () = self.reach(3) => {}
                    () = sleep_until(self.last_look_ends()) => {}
                }
            }
        }
    }

    /// Waits for as long as a command that was asked to end may take: shorter once there was a second
    /// interruption, no longer after a third.
    pub async fn patience(&self, what: OnInterrupt) {
        let (short, long) = (sleep(LAST_PATIENCE), sleep(PATIENCE));
        if what == OnInterrupt::Kill {
            return short.await;
        }
        let hurried = async {
            self.reach(2).await;
            let _ = timeout(LAST_PATIENCE, self.reach(3)).await;
        };
        tokio::select! {
            () = long => {}
            () = hurried => {}
        }
    }

    /// Waits for a while, or until the next interruption.
    pub async fn pause(&self, duration: Duration) {
        let count = self.count();
        if count >= 2 {
            return sleep(duration.min(MOMENT)).await;
        }
        let _ = timeout(duration, self.reach(count + 1)).await;
    }

    fn count(&self) -> u32 {
        self.0.borrow().count
    }

    /// Waits until so many have come.
    async fn reach(&self, count: u32) {
        // The sender is this one, so the channel is not closed.
        let _ = self
            .0
            .subscribe()
            .wait_for(|heard| heard.count >= count)
            .await;
    }

    fn last_look_ends(&self) -> Instant {
        let last = self.0.borrow().last;
        last.unwrap_or_else(Instant::now) + LAST_LOOK
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::super::{Interruption, OnInterrupt};
    use super::{AT_ONCE, Interruptions, LAST_LOOK, LAST_PATIENCE, PATIENCE};

    const HOUR: Duration = Duration::from_secs(3600);

    /// Interruptions that come after so many seconds each.
    fn after(seconds: &'static [u64]) -> Interruptions {
        let interruptions = Interruptions::default();
        let hearing = interruptions.clone();
        tokio::spawn(async move {
            for seconds in seconds {
                sleep(Duration::from_secs(*seconds)).await;
                hearing.hear();
            }
        });
        interruptions
    }

    async fn took(what: impl Future<Output = ()>) -> u64 {
        let began = Instant::now();
        let _ = tokio::time::timeout(HOUR, what).await;
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn two_signals_at_once_are_one_interruption() {
        let interruptions = Interruptions::default();
        interruptions.hear();
        interruptions.hear();
        assert_eq!(interruptions.level(), Interruption::Once);
        sleep(AT_ONCE).await;
        interruptions.hear();
        assert_eq!(interruptions.level(), Interruption::Twice);
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_command_has_its_end() {
        let hour = HOUR.as_secs();
        for (what, once, twice) in [
            (OnInterrupt::Kill, 5, 5),
            (OnInterrupt::End, 5, 5),
            (OnInterrupt::Finish, hour, 8),
            (OnInterrupt::Ask, 5 + PATIENCE.as_secs(), 8),
        ] {
            assert_eq!(took(after(&[5]).ends(what)).await, once, "{what:?}");
            assert_eq!(took(after(&[5, 3]).ends(what)).await, twice, "{what:?}");
            // What the roll-back runs is left alone until the second.
            let interruptions = after(&[1, 4]);
            sleep(Duration::from_secs(2)).await;
            assert!(interruptions.allows(what));
            assert_eq!(took(interruptions.ends(what)).await, 3, "{what:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_second_only_a_short_look_is_left() {
        let interruptions = after(&[1, 1]);
        sleep(Duration::from_millis(2100)).await;
        for (what, allowed) in [
            (OnInterrupt::Kill, true),
            (OnInterrupt::End, false),
            (OnInterrupt::Finish, false),
            (OnInterrupt::Ask, false),
        ] {
            assert_eq!(interruptions.allows(what), allowed, "{what:?}");
        }
        let look = interruptions.ends(OnInterrupt::Kill);
        assert_eq!(took(look).await, LAST_LOOK.as_secs() - 1);
        assert!(!interruptions.allows(OnInterrupt::Kill));
        let third = after(&[1, 1, 2]);
        sleep(Duration::from_millis(2100)).await;
        assert_eq!(took(third.ends(OnInterrupt::Kill)).await, 1);
        assert!(!third.allows(OnInterrupt::Kill));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_further_interruptions() {
        let (long, short) = (PATIENCE.as_secs(), LAST_PATIENCE.as_secs());
        for (signals, patience) in [
            (&[][..], long),
            (&[1], long),
            (&[1, 1], 2 + short),
            (&[1, 1, 1], 3),
        ] {
            let interruptions = after(signals);
            assert_eq!(
                took(interruptions.patience(OnInterrupt::Finish)).await,
                patience,
                "{signals:?}"
            );
            let reading = after(signals);
            assert_eq!(took(reading.patience(OnInterrupt::Kill)).await, short);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_with_the_next_interruption() {
        let interruptions = after(&[5, 7]);
        assert_eq!(took(interruptions.pause(HOUR)).await, 5);
        assert_eq!(took(interruptions.pause(HOUR)).await, 7);
        assert_eq!(took(interruptions.pause(HOUR)).await, 0);
    }
}
