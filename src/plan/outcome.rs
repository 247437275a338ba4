//! How a run ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::displayed;

/// How it ended, for a service or for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Scaled,
    Unchanged,
    Refused,
    RolledBack,
    Failed,
    Interrupted,
    Planned,
}

displayed!(Outcome);
