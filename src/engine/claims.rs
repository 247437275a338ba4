//! A claim to a project that lives on the engine itself, so that runs on several machines go one after the other. As
//! commands and parsers without I/O; who claims, waits and takes over is the pipeline's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exec::{CommandError, CommandSpec};
use crate::lock::Holder;

/// Who claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Tells this run from all others.
    pub run: String,
    pub holder: Holder,
}

/// A claim as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    pub claim: Claim,
    /// Another one at each renewal.
    pub renewal: String,
}

/// How claims are kept on an engine.
pub trait Claims {
    /// Claims, unless somebody has; who has it is seen by looking.
    fn claim(&self, claim: &Claim) -> CommandSpec;
    /// Whether a failure of it only says that there is a claim.
    fn is_claimed(&self, error: &CommandError) -> bool;
    fn look(&self) -> CommandSpec;
    /// What a look printed that failed because not all of it is there; `None` where it failed for another reason.
    fn printed_anyway<'e>(&self, error: &'e CommandError) -> Option<&'e str>;
    /// Reads what a look printed; `None` where there is no claim.
    fn parse_look(&self, stdout: &str) -> Option<Claimed>;
    /// Says that the run still lives; `beat` counts up.
    fn renew(&self, claim: &Claim, beat: u64) -> Vec<CommandSpec>;
    /// Takes a claim away of which nothing was heard, if it is still that one; and claims.
    fn take_over(&self, claim: &Claim, from: &Claimed) -> Vec<CommandSpec>;
    /// Takes away a claim that is this run's; can be typed as well.
    fn release(&self) -> CommandSpec;
}

/// How long a claim stands of which nothing is heard.
pub const STANDS: Duration = Duration::from_secs(40);
/// How often its run says that it lives.
pub const RENEWED: Duration = Duration::from_secs(10);

/// The label or annotation that has who holds a claim, as JSON.
pub const HOLDER_LABEL: &str = "rscale.holder";
