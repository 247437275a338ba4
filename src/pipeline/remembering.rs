//! What is remembered of a project: what earlier runs left, and what this one does.

use std::cell::{Cell, RefCell};

use jiff::Timestamp;

use super::surroundings::HostFacts;
use crate::apply::Event;
use crate::gather::Reach;
use crate::lock::{self, Attempt, Holder};
use crate::memory::{Ahead, Began, Former, Journal, Leftover, Past, RunId, What, leftovers};
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
    pub fn of(reach: Reach<'_>, host: &HostFacts, project: &str, current: Option<&RunId>) -> Self {
        let nothing = |why: String| Self {
            journal: None,
            past: Past::default(),
            trouble: RefCell::new(Some(why)),
        };
        let Some(store) = &host.store else {
            return nothing("there is no folder for it, name one: RSCALE_STATE_DIR".to_owned());
        };
        let journal = Journal::new(store.project(reach.address, project));
        match journal.past() {
            Ok(past) => Self {
                journal: Some(journal),
                past: past.before(current),
                trouble: RefCell::default(),
            },
            Err(error) => nothing(error.to_string()),
        }
    }

    /// What runs left that were killed, for a command that does not hold the project's lock: a run that does is on its
    /// way.
    pub fn killed(&self, reach: Reach<'_>, host: &HostFacts, project: &Project) -> Vec<Leftover> {
        let mut found = self.leftovers(project);
        if !found.is_empty() && is_held(reach, host, project.name()) {
            found.clear();
        }
        found
    }

    /// What runs left that were killed, for a command that holds it.
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
        host: &HostFacts,
        project: &Project,
        plan: &Plan,
        within: Option<&RunId>,
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
            by: Holder::this_run(host.command_line.clone()),
            within: within.cloned(),
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

/// Whether another run is on its way.
fn is_held(reach: Reach<'_>, host: &HostFacts, project: &str) -> bool {
    let path = lock::path_of(&host.lock_folder, project, reach.address);
    let holder = Holder::this_run(host.command_line.clone());
    matches!(lock::attempt(&path, &holder), Ok(Attempt::Busy(_)))
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
