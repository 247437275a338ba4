//! Claiming a project on the engine itself, where other machines reach it too: taking the claim, keeping it while the
//! run lives, letting it go; waiting for whoever has it, and taking over what a killed run left.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::duration;
use crate::engine::cause::explain_reading;
use crate::engine::claims::{Claim, Claimed, Claims, RENEWED, STANDS};
use crate::error::{Error, Kind, Result};
use crate::exec::{CommandError, Executor};
use crate::gather::Reach;
use crate::lock::Holder;
use crate::memory::RunId;

/// Time between two looks at somebody else's claim.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// What two runs that take over at once may be apart: a look and a removal, over a slow connection.
const AFTER_TAKING_OVER: Duration = Duration::from_secs(2);

/// A claim that this run holds.
pub struct HeldClaim<'a> {
    claims: Box<dyn Claims + 'a>,
    executor: &'a dyn Executor,
    claim: Claim,
}

impl std::fmt::Debug for HeldClaim<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldClaim")
            .field("claim", &self.claim)
            .finish_non_exhaustive()
    }
}

/// Claims a project; `None` where nobody else can reach the engine, or where it lets nobody claim, which is said.
///
/// # Errors
/// Somebody else has it for longer than `timeout`; the engine is away; an interruption.
pub async fn claim<'a>(
    reach: Reach<'a>,
    project: &str,
    holder: Holder,
    timeout: Duration,
    note: &dyn Fn(&str),
) -> Result<Option<HeldClaim<'a>>> {
    if !reach.endpoint.is_shared() {
        return Ok(None);
    }
    let run = RunId::new(Timestamp::now(), holder.pid).0;
    let claim = Claim {
        run: format!("{run}@{}", holder.host),
        holder,
    };
    let held = HeldClaim {
        claims: reach.engine.claims(project),
        executor: reach.executor,
        claim,
    };
    let mut waiting = Waiting {
        project,
        timeout,
        began: Instant::now(),
        seen: None,
        told: false,
        note,
    };
    loop {
        let over = waiting.over();
        if let Some(over) = over {
            note(&format!(
                "{} has ended without letting go of project `{project}`: taking over",
                who(over)
            ));
        }
        let mut found = held.attempt(over).await;
        if over.is_some() && held.is_own(&found) {
            // Whoever took it over in the same moment may have taken this one away since.
            reach.executor.pause(AFTER_TAKING_OVER).await;
            found = held.look().await;
        }
        let found = match found {
            Ok(found) => found,
            Err(error) => return refused(&error, note),
        };
        match found {
            Some(found) if found.claim.run == held.claim.run => return Ok(Some(held)),
            found => waiting.wait(found, &held).await?,
        }
    }
}

/// What a failure to claim means: without an engine or with Ctrl-C it is the run's, else it goes on without a claim.
fn refused<'a>(error: &CommandError, note: &dyn Fn(&str)) -> Result<Option<HeldClaim<'a>>> {
    let error = explain_reading(error);
    if error.is_out_of_reach() {
        return Err(error);
    }
    note(&format!(
        "warning: runs on other machines are not kept from this project: {}",
        error.message
    ));
    Ok(None)
}

impl HeldClaim<'_> {
    /// Claims, or takes over a claim that stands no more; and says whose it is then.
    async fn attempt(&self, over: Option<&Claimed>) -> Result<Option<Claimed>, CommandError> {
        let commands = match over {
            Some(over) => self.claims.take_over(&self.claim, over),
            None => vec![self.claims.claim(&self.claim)],
        };
        for command in &commands {
            match self.executor.run(command, None).await {
                Err(error) if over.is_none() && !self.claims.is_claimed(&error) => {
                    return Err(error);
                }
                // Who was quicker is seen in a moment.
                _ => {}
            }
        }
        self.look().await
    }

    /// Whose the claim is.
    async fn look(&self) -> Result<Option<Claimed>, CommandError> {
        match self.executor.run(&self.claims.look(), None).await {
            Ok(output) => Ok(self.claims.parse_look(&output.stdout)),
            Err(error) => match self.claims.printed_anyway(&error) {
                Some(printed) => Ok(self.claims.parse_look(printed)),
                None => Err(error),
            },
        }
    }

    fn is_own(&self, found: &Result<Option<Claimed>, CommandError>) -> bool {
        matches!(found, Ok(Some(found)) if found.claim.run == self.claim.run)
    }

    /// Says again and again that the run lives; never ends.
    pub async fn keep(&self) -> std::convert::Infallible {
        let mut beat = 0;
        loop {
            tokio::time::sleep(RENEWED).await;
            beat += 1;
            for command in self.claims.renew(&self.claim, beat) {
                // Fails where there is nothing to renew yet, or the engine is away for a moment.
                let _ = self.executor.run(&command, None).await;
            }
        }
    }

    /// Lets go. What cannot be taken away now stands no more in a while.
    pub async fn release(self) {
        let _ = self.executor.run(&self.claims.release(), None).await;
    }
}

/// Waiting for somebody else's claim.
struct Waiting<'w> {
    project: &'w str,
    timeout: Duration,
    began: Instant,
    /// The claim, and since when it is the same: by this machine's clock, which no other has to agree with.
    seen: Option<(Claimed, Instant)>,
    told: bool,
    note: &'w dyn Fn(&str),
}

impl Waiting<'_> {
    /// The claim that may be taken over: its run is known to be dead, or nothing was heard of it for too long.
    fn over(&self) -> Option<&Claimed> {
        let (seen, since) = self.seen.as_ref()?;
        let dead = seen.claim.holder.is_dead();
        (dead || since.elapsed() >= STANDS).then_some(seen)
    }

    /// Takes note of a claim, and waits a little where it stands.
    async fn wait(&mut self, found: Option<Claimed>, held: &HeldClaim<'_>) -> Result<()> {
        let Some(found) = found else {
            // It went away in between.
            return Ok(());
        };
        let who = who(&found);
        let is_known = self.seen.as_ref().is_some_and(|(seen, _)| *seen == found);
        // One that could not be taken over has somebody else who did.
        if !is_known || self.over().is_some() {
            self.seen = Some((found, Instant::now()));
        }
        if self.over().is_some() {
            return Ok(());
        }
        if held.executor.interrupted() {
            return Err(Error::interrupted());
        }
        if self.began.elapsed() >= self.timeout {
            let limit = duration::show(self.timeout);
            let message = format!(
                "{who} still scales project `{}` after {limit}",
                self.project
            );
            return Err(Error::new(Kind::Busy, message)
                .hint("wait longer: rscale --lock-timeout 10m ...")
                .hint(format!(
                    "if it is no more, take its claim away: {}",
                    held.claims.release()
                )));
        }
        if !self.told {
            self.told = true;
            (self.note)(&format!(
                "waiting for {who}, which scales project `{}`",
                self.project
            ));
        }
        held.executor.pause(BETWEEN_LOOKS).await;
        Ok(())
    }
}

/// Who claims, and on which machine.
fn who(claimed: &Claimed) -> String {
    let holder = &claimed.claim.holder;
    match holder.host.as_str() {
        "" => holder.to_string(),
        host => format!("{holder} on {host}"),
    }
}
