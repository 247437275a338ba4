//! One command for all tasks of a type, which says itself what became of each.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use super::line::TaskLine;
use super::{Command, Job, class, last_words};
use crate::load::book::{Book, Kind, Outcome, Word};
use crate::load::site::Names;

/// Different classes of errors that are told apart.
const MOST_CLASSES: usize = 100;
/// Different workers that are told apart.
const MOST_WORKERS: usize = 1000;

impl Command<'_> {
    pub(super) async fn once(&self, job: &Job, book: &Book) {
        let count = book.pace().total().unwrap_or(0).to_string();
        let id = format!("{}{}", job.kind, book.id().tail());
        let (spec, container) = self.spec(job, ("{count}", &count), "RSCALE_COUNT", &id);
        let tasks = Tasks::new(job.kind, book, &self.site.names);
        tasks.take();
        self.begun(job, &container);
        let ended = self.executor.follow(&spec, &|line| tasks.told(line)).await;
        tracing::debug!(
            task = job.name,
            other_lines = tasks.other_lines.get(),
            "ended"
        );
        let name = &job.name;
        match &ended {
            Ok(_) if tasks.results.get() == 0 => tasks.all_done(),
            Ok(_) => {
                let missing = tasks.open.borrow().len();
                if missing > 0 {
                    self.warn(format!(
                        "`{name}` ended without the results of {missing} tasks"
                    ));
                }
            }
            Err(error) => {
                let Some(class) = class(error) else {
                    return;
                };
                tasks.all_failed(&class);
                if let Some(said) = last_words(error) {
                    self.warn(format!("`{name}` failed and said: {said}"));
                }
            }
        }
        self.ended(&container);
        let surplus = tasks.surplus.get();
        if surplus > 0 {
            self.warn(format!(
                "`{name}` gave {surplus} results more than it has tasks"
            ));
        }
    }

    fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }
}

/// The tasks that the command was given, as far as it has said nothing of them.
struct Tasks<'a> {
    kind: Kind,
    book: &'a Book,
    names: &'a Names,
    began_at: Duration,
    open: RefCell<VecDeque<u32>>,
    /// Tasks that the command has named.
    ids: RefCell<HashSet<String>>,
    classes: RefCell<HashSet<String>>,
    workers: RefCell<HashSet<String>>,
    results: Cell<u32>,
    surplus: Cell<u32>,
    other_lines: Cell<u32>,
}

impl<'a> Tasks<'a> {
    fn new(kind: Kind, book: &'a Book, names: &'a Names) -> Self {
        let began_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            kind,
            book,
            names,
            began_at: began_at.unwrap_or_default(),
            open: RefCell::default(),
            ids: RefCell::default(),
            classes: RefCell::default(),
            workers: RefCell::default(),
            results: Cell::default(),
            surplus: Cell::default(),
            other_lines: Cell::default(),
        }
    }

    /// Takes what there is to take: everything, or as much as may be in flight.
    fn take(&self) {
        while let Some(ticket) = self.book.take_now(self.kind) {
            self.book.sent(ticket.task);
            self.open.borrow_mut().push_back(ticket.task);
        }
    }

    /// A line of the command's.
    fn told(&self, line: &str) {
        let Some(result) = TaskLine::parse(line) else {
            self.other_lines
                .set(self.other_lines.get().saturating_add(1));
            return;
        };
        self.results.set(self.results.get().saturating_add(1));
        let repeated = result
            .id
            .as_ref()
            .is_some_and(|id| self.ids.borrow().contains(id));
        if repeated {
            return;
        }
        let Some(task) = self.open.borrow_mut().pop_front() else {
            self.surplus.set(self.surplus.get().saturating_add(1));
            return;
        };
        if let Some(id) = &result.id {
            self.ids.borrow_mut().insert(id.clone());
        }
        let started = result
            .wait_seconds
            .map(|wait| self.began_at.as_secs_f64() + wait);
        let word = Word {
            started,
            execution: result.seconds,
            replica: result
                .replica
                .as_deref()
                .and_then(|worker| self.replica(worker)),
        };
        self.book.word(task, word);
        self.book.finished(task, &self.outcome(&result));
        self.take();
    }

    fn replica(&self, worker: &str) -> Option<u16> {
        if !few(&self.workers, worker, MOST_WORKERS) {
            return None;
        }
        Some(match self.names.find(worker) {
            Some((service, replica)) => self.book.replica(Some(service), replica),
            None => self.book.replica(None, worker),
        })
    }

    fn outcome(&self, result: &TaskLine) -> Outcome {
        if result.ok {
            return Outcome::Done;
        }
        let class = result.error.as_deref().unwrap_or("error");
        let known = few(&self.classes, class, MOST_CLASSES);
        Outcome::Failed(if known { class } else { "other errors" }.to_owned())
    }

    /// The command ended well and told no results.
    fn all_done(&self) {
        loop {
            self.take();
            let open = std::mem::take(&mut *self.open.borrow_mut());
            if open.is_empty() {
                return;
            }
            let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
            self.book.drained(self.kind, count);
        }
    }

    /// The command ended badly: so did everything that it told no results of.
    fn all_failed(&self, class: &str) {
        loop {
            self.take();
            let Some(task) = self.open.borrow_mut().pop_front() else {
                return;
            };
            self.book.finished(task, &Outcome::Failed(class.to_owned()));
        }
    }
}

/// Whether a name is known or one of the first.
fn few(known: &RefCell<HashSet<String>>, name: &str, most: usize) -> bool {
    let mut known = known.borrow_mut();
    if known.contains(name) {
        return true;
    }
    let room = known.len() < most;
    if room {
        known.insert(name.to_owned());
    }
    room
}
