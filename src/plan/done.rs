//! What a run has done so far, by ids: what an undo takes back, and nothing else. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Counts;
use crate::project::observed::Replica;

/// One thing that a run does. What may take effect although its command fails is noted before it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Containers that this run made, as they were found.
    Made(Vec<Touched>),
    /// Replicas that existed and did not run are about to be started.
    Starting(Vec<Touched>),
    /// Replicas are about to be told to take no more work.
    Draining(Vec<Touched>),
    /// Replicas were told to take no more work.
    Drained(Vec<Touched>),
    /// Drained replicas take work again, or could not be drained.
    Undrained(Vec<String>),
    /// Replicas are about to be stopped.
    Stopping(Vec<Touched>),
    /// Replicas are about to be removed.
    Removing(Vec<Touched>),
    /// An engine that keeps counts is about to be told these.
    Telling(Counts),
    /// As many as were removed of these services have come back.
    BroughtBack(Vec<String>),
    /// Replicas were marked as the first to go.
    Preferred(Vec<String>),
    /// They are like any other again.
    Released(Vec<String>),
    /// Something happens to the replicas of these services, so that who sends to them is to be told.
    Disturbed(Vec<String>),
}

/// A container that a run did something to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    pub id: String,
    pub name: String,
    pub service: String,
    /// What it was made from: Compose's hash of its configuration, and its image.
    pub config_hash: String,
    pub image_id: String,
}

impl From<&Replica> for Touched {
    fn from(replica: &Replica) -> Self {
        Self {
            id: replica.id.clone(),
            name: replica.name.clone(),
            service: replica.service.clone(),
            config_hash: replica.config_hash.clone(),
            image_id: replica.image_id.clone(),
        }
    }
}

/// All deeds of a run together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// By id.
    pub made: BTreeMap<String, Touched>,
    pub started: BTreeMap<String, Touched>,
    pub drained: BTreeMap<String, Touched>,
    /// A drain was begun in them, whatever came of it: it may have ended them.
    pub draining: BTreeMap<String, Touched>,
    pub stopped: BTreeMap<String, Touched>,
    pub removed: BTreeMap<String, Touched>,
    /// What was removed and came back as another one.
    pub brought_back: BTreeMap<String, Touched>,
    pub told: Counts,
    /// Ids.
    pub preferred: BTreeSet<String>,
    /// Services.
    pub disturbed: BTreeSet<String>,
}

impl Done {
    pub fn add(&mut self, deed: &Deed) {
        let by_id = |all: &[Touched]| -> Vec<(String, Touched)> {
            all.iter()
                .map(|one| (one.id.clone(), one.clone()))
                .collect()
        };
        match deed {
            Deed::Made(all) => self.made.extend(by_id(all)),
            Deed::Starting(all) => self.started.extend(by_id(all)),
            // Who was drained is known afterwards; only a run that is killed meanwhile leaves it at that.
            Deed::Draining(all) => self.draining.extend(by_id(all)),
            Deed::Drained(all) => self.drained.extend(by_id(all)),
            Deed::Undrained(ids) => self.drained.retain(|id, _| !ids.contains(id)),
            Deed::Stopping(all) => {
                // What was started and is stopped again is as it was.
                self.started
                    .retain(|id, _| !all.iter().any(|one| one.id == *id));
                self.stopped.extend(by_id(all));
            }
            Deed::Removing(all) => {
                self.drained
                    .retain(|id, _| !all.iter().any(|one| one.id == *id));
                self.removed.extend(by_id(all));
            }
            Deed::Telling(counts) => {
                self.told.extend(counts.clone());
                self.disturbed.extend(counts.keys().cloned());
            }
            Deed::BroughtBack(services) => {
                let (back, gone) = std::mem::take(&mut self.removed)
                    .into_iter()
                    .partition(|(_, one)| services.contains(&one.service));
                self.brought_back.extend::<BTreeMap<_, _>>(back);
                self.removed = gone;
            }
            Deed::Released(ids) => self.preferred.retain(|id| !ids.contains(id)),
            Deed::Preferred(ids) => self.preferred.extend(ids.iter().cloned()),
            Deed::Disturbed(services) => self.disturbed.extend(services.iter().cloned()),
        }
    }
}
