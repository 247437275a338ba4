//! What is remembered of a project: what earlier runs left, and what this one does.

use std::cell::{Cell, RefCell};

use jiff::Timestamp;

use super::identity::engine_id;
use super::scaling::Scaling;
use super::surroundings::HostFacts;
use crate::apply::Event;
use crate::gather::Reach;
use crate::lock::{self, Attempt, Holder};
use crate::memory::{Ahead, Began, Former, Journal, Leftover, Past, RunId, Store, What, leftovers};
use crate::plan::outcome::Outcome;
use crate::plan::{Counts, Plan};
use crate::project::{Marks, Project};

/// The memory of a project. Without a usable store there is none, and nothing fails for it.
#[derive(Debug)]
pub struct Memory {
    journal: Option<Journal>,
    past: Past,
    /// Why nothing is remembered.
    trouble: RefCell<Option<String>>,
}

impl Memory {
    /// What is remembered up to now. `current` is a run that this one is a part of.
    pub fn of(host: &HostFacts, engine: &str, project: &str, current: Option<&RunId>) -> Self {
        let nothing = |why: String| Self {
            journal: None,
            past: Past::default(),
            trouble: RefCell::new(Some(why)),
        };
        let Some(store) = &host.store else {
            return nothing("there is no folder for it, name one: RSCALE_STATE_DIR".to_owned());
        };
        let journal = Journal::new(store.project(engine, project));
        match journal.past() {
            Ok(past) => Self {
                journal: Some(journal),
                past: past.before(current),
                trouble: RefCell::default(),
            },
            Err(error) => nothing(error.to_string()),
        }
    }

    /// What runs left that were killed, for a command that holds the project's lock.
    pub fn leftovers(&self, project: &Project) -> Vec<Leftover> {
        leftovers(&self.past, project)
    }

    /// Notes on a project what earlier runs did to its replicas.
    pub fn mark(&self, project: &mut Project) {
        let there = |id: &&String| {
            let mut replicas = project.replicas.values().flatten();
            replicas.any(|replica| replica.id == **id)
        };
        project.marks = Marks {
            drained: self.past.drained.keys().filter(there).cloned().collect(),
            preferred: self.past.preferred.iter().filter(there).cloned().collect(),
        };
    }

    /// Begins to write down what a run does. One that has nothing to do is written down only where it ends what an
    /// earlier one began.
    pub fn begin<'m>(
        &'m self,
        scaling: &Scaling,
        project: &Project,
        plan: &Plan,
    ) -> Option<Record<'m>> {
        if plan.is_empty() && self.past.unended.is_empty() {
            return None;
        }
        let named = plan
            .changes
            .iter()
            .map(|change| (&change.service, change.to));
        let along = plan.dependencies.iter().map(|(name, count)| (name, *count));
        let services = along.chain(named).map(|(service, to)| {
            let former = Former::new(project, service, Some(to));
            (service.clone(), former)
        });
        self.begin_as(Began {
            by: Holder::this_run(scaling.asked.to_string()),
            within: scaling.within.clone(),
            services: services.collect(),
        })
    }

    /// Begins to write down what a run of several scales does.
    pub fn begin_as(&self, began: Began) -> Option<Record<'_>> {
        let journal = self.journal.as_ref()?;
        let run = RunId::new(Timestamp::now(), began.by.pid);
        let record = Record {
            memory: self,
            journal,
            run,
            told: Cell::new(false),
        };
        record.say(What::Began(began));
        Some(record)
    }

    /// Why nothing is remembered, told once.
    pub fn trouble(&self) -> Option<String> {
        let why = self.trouble.borrow_mut().take()?;
        Some(format!(
            "warning: what this run does is not remembered, so should it be killed, nobody will know: {why}"
        ))
    }
}

/// What is remembered, for a command that does not hold the project's lock; and what runs left that were killed: not one
/// that is on its way.
pub async fn recalled(reach: Reach<'_>, host: &HostFacts, project: &mut Project) -> Vec<Leftover> {
    if !host.store.as_ref().is_some_and(Store::exists) {
        return Vec::new();
    }
    let Ok(engine) = engine_id(reach, host).await else {
        return Vec::new();
    };
    let memory = Memory::of(host, &engine, project.name(), None);
    memory.mark(project);
    let found = memory.leftovers(project);
    if !found.is_empty() {
        let path = lock::path_of(&host.lock_folder, project.name(), &engine);
        let looking = Holder::this_run("rscale".to_owned());
        // A command of a killed run may still hold it.
        if let Ok(Attempt::Busy(other)) = lock::attempt(&path, &looking)
            && !other.is_dead()
        {
            return Vec::new();
        }
    }
    found
}

/// What a run says of itself in the journal.
#[derive(Debug)]
pub struct Record<'m> {
    memory: &'m Memory,
    journal: &'m Journal,
    run: RunId,
    told: Cell<bool>,
}

impl Record<'_> {
    pub fn id(&self) -> &RunId {
        &self.run
    }

    /// Writes down what an event tells of, before anything else is done.
    pub fn hear(&self, event: &Event) {
        match event {
            Event::Ahead(step) => self.say(What::Step(Ahead::from(step))),
            Event::Did(deed) => self.say(What::Did { deed: deed.clone() }),
            _ => {}
        }
    }

    pub fn end(self, outcome: Outcome, counts: Counts) {
        self.say(What::Ended { outcome, counts });
        if let Err(error) = self.journal.thin() {
            self.fail(&error);
        }
    }

    fn say(&self, what: What) {
        if let Err(error) = self.journal.say(&self.run, what) {
            self.fail(&error);
        }
    }

    fn fail(&self, error: &std::io::Error) {
        if !self.told.replace(true) {
            *self.memory.trouble.borrow_mut() = Some(error.to_string());
        }
    }
}
