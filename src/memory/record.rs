//! What the journal says of runs, an entry a line. Data and its JSON. No secret gets here: a command is kept as its
//! subcommand and targets, steps as their kind and the replicas they are about.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lock::Holder;
use crate::plan::done::Deed;
use crate::plan::outcome::Outcome;
use crate::plan::{Counts, Step};
use crate::project::Project;
use crate::project::observed::{Handle, Replica};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub run: RunId,
    pub at: Timestamp,
    #[serde(flatten)]
    pub what: What,
}

/// Tells a run from all others of its project: its time and process.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(pub String);

impl RunId {
    /// Of a run that begins.
    pub fn new(at: Timestamp, pid: u32) -> Self {
        Self(format!("{:x}-{pid:x}", at.as_microsecond()))
    }
}

/// What is said of a run. What a later version says and this one does not know is passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    Began(Began),
    /// This is done next.
    Step(Ahead),
    /// This was done, or is about to be and may take effect although its command fails.
    Did {
        deed: Deed,
    },
    Ended {
        outcome: Outcome,
        /// As they were found at the end; a service whose count is not known is left out.
        counts: Counts,
    },
    #[serde(other)]
    Unknown,
}

/// How a run began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Began {
    pub by: Holder,
    /// The run that this one is a part of: a sweep scales at each of its points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<RunId>,
    /// The services that it may change.
    pub services: BTreeMap<String, Former>,
}

/// A service as it was before a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    pub from: u32,
    /// What it was to become; `None` where that is more than one count.
    pub to: Option<u32>,
    pub replicas: Vec<Existing>,
}

impl Former {
    pub fn new(project: &Project, service: &str, to: Option<u32>) -> Self {
        let replicas = project.replicas(service).iter();
        Self {
            from: project.count(service),
            to,
            replicas: replicas
                .filter(|replica| !replica.leaving)
                .map(Existing::from)
                .collect(),
        }
    }
}

/// A replica that was there before a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existing {
    pub id: String,
    pub name: String,
    pub running: bool,
}

impl From<&Replica> for Existing {
    fn from(replica: &Replica) -> Self {
        Self {
            id: replica.id.clone(),
            name: replica.name.clone(),
            running: replica.is_running(),
        }
    }
}

/// A step that is about to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    pub step: StepKind,
    /// The counts that it is to lead to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: Counts,
    /// The replicas that it is about, as far as they exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Handle>,
}

/// Kinds of steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    Remove,
    SetCounts,
    Create,
    Start,
    Launch,
    Verify,
    Refresh,
    Release,
    Undrain,
    Pause,
    #[default]
    #[serde(other)]
    Unknown,
}

impl From<&Step> for Ahead {
    fn from(step: &Step) -> Self {
        let of = |step, counts: &Counts, replicas: Vec<Handle>| Self {
            step,
            counts: counts.clone(),
            replicas,
        };
        let none = Counts::new();
        match step {
            Step::Remove(remove) => {
                let victims = remove.victims.iter().map(crate::plan::Victim::handle);
                of(StepKind::Remove, &none, victims.collect())
            }
            Step::SetCounts(told) => {
                let victims = told.leaving.iter().flat_map(|remove| &remove.victims);
                let victims = victims.map(crate::plan::Victim::handle).collect();
                of(StepKind::SetCounts, &told.counts, victims)
            }
            Step::Create(create) => of(StepKind::Create, &create.counts, Vec::new()),
            Step::Start(start) => {
                let pending = start.services.values();
                let names = pending.flat_map(|pending| &pending.existing);
                let names = names.map(Handle::expected).collect();
                of(StepKind::Start, &none, names)
            }
            Step::Launch { counts } => of(StepKind::Launch, counts, Vec::new()),
            Step::Verify { counts } => of(StepKind::Verify, counts, Vec::new()),
            Step::Refresh(_) => of(StepKind::Refresh, &none, Vec::new()),
            Step::Release { ids } => {
                let replicas = ids.iter().map(Handle::expected).collect();
                of(StepKind::Release, &none, replicas)
            }
            Step::Undrain(undrain) => of(StepKind::Undrain, &none, vec![undrain.replica.clone()]),
            Step::Pause(_) => of(StepKind::Pause, &none, Vec::new()),
        }
    }
}
