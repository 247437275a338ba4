//! The driver `command`: a command of the user's is the work, or does the work and says what became of it.
//!
//! It runs once for each task, whose result is how it ends; or once for all of them, whose results are JSON
//! lines on its stdout.

mod each;
mod line;
mod once;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::{join, join_all};

use super::Typed;
use crate::engine::launcher::Launcher;
use crate::error::{Error, Result};
use crate::exec::{CommandError, CommandSpec, Executor, LocalFuture, host};
use crate::load::book::{Book, Kind};
use crate::load::pace::{Amount, Arrival, Pace};
use crate::load::site::Site;
use crate::load::{Checked, Closed, Driver};
use crate::project::workload::{CommandWork, Work};

/// Runs commands of one or several types.
pub struct Command<'a> {
    types: Vec<Job>,
    site: &'a Site,
    executor: &'a dyn Executor,
    /// Containers of `docker compose run` whose commands have not ended, with the place of their type.
    containers: RefCell<BTreeSet<(usize, String)>>,
    warnings: RefCell<Vec<String>>,
}

impl std::fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command")
            .field("types", &self.types)
            .finish_non_exhaustive()
    }
}

/// One task type.
#[derive(Debug)]
struct Job {
    kind: Kind,
    name: String,
    work: CommandWork,
    launcher: Launcher,
}

/// Exit 2: a command that runs once is told how many tasks there are, when it begins.
pub fn fits(task: &str, work: &CommandWork, pace: Pace) -> Result<()> {
    let counted = matches!(pace.amount, Amount::Tasks(_));
    if !work.once || (counted && matches!(pace.arrival, Arrival::Closed { .. })) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{task}` is one command for all tasks, and sends them as it likes: neither `--rate` nor `--duration` reach it"
    ))
    .hint("rscale load-test --tasks 100"))
}

impl<'a> Command<'a> {
    /// # Errors
    /// Exit 2: no command, or a place that is not known.
    pub fn new(types: Vec<Typed>, site: &'a Site, executor: &'a dyn Executor) -> Result<Self> {
        let jobs = types
            .into_iter()
            .filter_map(|(kind, task)| match task.work {
                Work::Command(work) => Some(job(kind, task.name, work, site)),
                _ => None,
            });
        Ok(Self {
            types: jobs.collect::<Result<_>>()?,
            site,
            executor,
            containers: RefCell::default(),
            warnings: RefCell::default(),
        })
    }

    /// A command of a type's, with what stands for a name in its words, and the name of its container.
    fn spec(
        &self,
        job: &Job,
        replaced: (&str, &str),
        variable: &str,
        id: &str,
    ) -> (CommandSpec, String) {
        let (placeholder, value) = replaced;
        let words = job.work.words.iter();
        let words: Vec<String> = words.map(|word| word.replace(placeholder, value)).collect();
        let environment = BTreeMap::from([(variable.to_owned(), value.to_owned())]);
        let name = format!("rscale-load-{id}");
        let spec = job
            .launcher
            .command(&words, &environment, &name, self.site.timeout);
        (spec, name)
    }

    /// Keeps a container in mind until its command has ended.
    fn begun(&self, job: &Job, name: &str) {
        if matches!(job.launcher, Launcher::Run { .. }) {
            let place = self.types.iter().position(|other| other.kind == job.kind);
            let mut containers = self.containers.borrow_mut();
            containers.insert((place.unwrap_or(0), name.to_owned()));
        }
    }

    fn ended(&self, name: &str) {
        self.containers
            .borrow_mut()
            .retain(|(_, other)| other != name);
    }

    /// Removes what `docker compose run` left behind: its client can be ended, its container lives on.
    async fn remove_containers(&self) {
        for (place, job) in self.types.iter().enumerate() {
            let names: Vec<String> = self
                .containers
                .borrow()
                .iter()
                .filter(|(other, _)| *other == place)
                .map(|(_, name)| name.clone())
                .collect();
            let Some(removal) = job.launcher.removal(&names) else {
                continue;
            };
            match self.executor.run(&removal, None).await {
                Err(error) if !error.stderr().to_lowercase().contains("no such container") => {
                    let warning = format!("containers of `{}` are left: {error}", job.name);
                    self.warnings.borrow_mut().push(warning);
                }
                _ => {}
            }
        }
    }
}

fn job(kind: Kind, name: String, work: CommandWork, site: &Site) -> Result<Job> {
    if work.words.is_empty() {
        return Err(Error::usage(format!("`{name}` has no command")));
    }
    let launcher = site.launchers.get(&work.place).cloned();
    let launcher = launcher.ok_or_else(|| Error::usage(format!("`{name}` cannot be run there")))?;
    Ok(Job {
        kind,
        name,
        work,
        launcher,
    })
}

impl Driver for Command<'_> {
    fn name(&self) -> &'static str {
        "command"
    }

    fn check(&self) -> LocalFuture<'_, Result<Checked>> {
        Box::pin(async {
            for job in &self.types {
                let program = &job.work.words[0];
                if let Launcher::Local(CommandSpec { cwd: Some(cwd), .. }) = &job.launcher
                    && !cwd.is_dir()
                {
                    return Err(Error::unusable(format!(
                        "`{}` cannot be run: there is no folder `{}`",
                        job.name,
                        cwd.display()
                    )));
                }
                if let Launcher::Local(spec) = &job.launcher
                    && !program.contains('{')
                    && !is_there(program, spec.cwd.as_deref())
                {
                    let missing = CommandError::NotFound {
                        program: program.clone(),
                    };
                    return Err(Error::unusable(format!("`{}`: {missing}", job.name)));
                }
            }
            Ok(Checked::default())
        })
    }

    fn run<'a>(&'a self, book: &'a Book) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move {
            for job in &self.types {
                fits(&job.name, &job.work, book.pace())?;
            }
            let (once, each): (Vec<&Job>, Vec<&Job>) =
                self.types.iter().partition(|job| job.work.once);
            let once = join_all(once.into_iter().map(|job| self.once(job, book)));
            join(once, self.each(&each, book)).await;
            Ok(())
        })
    }

    fn close<'a>(&'a self, _book: &'a Book, _purge: bool) -> LocalFuture<'a, Closed> {
        Box::pin(async {
            self.remove_containers().await;
            Closed {
                warnings: self.warnings.take(),
                ..Closed::default()
            }
        })
    }
}

/// Whether a program can be found: by its path, from the folder where it will run, or on PATH.
fn is_there(program: &str, folder: Option<&Path>) -> bool {
    if !program.contains(std::path::is_separator) {
        return host::on_path(program).is_some();
    }
    folder.unwrap_or(Path::new("")).join(program).is_file()
}

/// How a command ended that did not end well, as a short class that is counted; `None` where rscale was
/// interrupted, so that nothing is known of it.
fn class(error: &CommandError) -> Option<String> {
    Some(match error {
        // `exit status: 3`, `signal: 9 (SIGKILL)`.
        CommandError::Failed { status, .. } => status.replace(": ", " "),
        CommandError::TimedOut { .. } => "timeout".to_owned(),
        CommandError::NotFound { .. } => "not found".to_owned(),
        CommandError::NotStarted { .. } => "not started".to_owned(),
        CommandError::Interrupted { .. } => return None,
    })
}

/// The last thing that a command said, for a line of a warning.
fn last_words(error: &CommandError) -> Option<String> {
    let said = error
        .stderr()
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    Some(said.chars().take(LONGEST_WORDS).collect())
}

/// Characters of a command's last words that are repeated.
const LONGEST_WORDS: usize = 200;

#[cfg(test)]
mod tests;
