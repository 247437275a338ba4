//! One command for each task.

use std::cell::Cell;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{Command, Job, class, last_words};
use crate::load::book::{Book, Kind, Outcome, Ticket, Word};

/// Commands at the same time, where the pace knows no bound or asks for more.
const MOST: usize = 200;

impl Command<'_> {
    /// Runs commands as the pace has it, the types in turn.
    pub(super) async fn each(&self, jobs: &[&Job], book: &Book) {
        let kinds: Vec<Kind> = jobs.iter().map(|job| job.kind).collect();
        // The last words of the first that fails are told; those of all others are most likely the same.
        let told = Cell::new(false);
        let mut running = FuturesUnordered::new();
        let mut all_taken = kinds.is_empty();
        loop {
            // What starts after an interruption would not be ended by it.
            all_taken = all_taken || self.executor.interrupted();
            let free = MOST.saturating_sub(running.len());
            tokio::select! {
                tickets = book.take(&kinds, free), if free > 0 && !all_taken => {
                    all_taken = tickets.is_empty();
                    for ticket in tickets {
                        if let Some(job) = jobs.iter().find(|job| job.kind == ticket.kind) {
                            running.push(self.one(job, ticket, book, &told));
                        }
                    }
                }
                Some(()) = running.next(), if !running.is_empty() => {}
                else => return,
            }
        }
    }

    async fn one(&self, job: &Job, ticket: Ticket, book: &Book, told: &Cell<bool>) {
        let id = book.task_id(ticket);
        let (spec, container) = self.spec(job, ("{id}", &id), "RSCALE_TASK_ID", &id);
        book.sent(ticket.task);
        self.begun(job, &container);
        let began = Instant::now();
        let ended = self.executor.run(&spec, None).await;
        let outcome = match &ended {
            Ok(_) => Outcome::Done,
            Err(error) => match class(error) {
                Some(class) => Outcome::Failed(class),
                None => return,
            },
        };
        self.ended(&container);
        let word = Word {
            execution: Some(began.elapsed().as_secs_f64()),
            ..Word::default()
        };
        book.word(ticket.task, word);
        book.finished(ticket.task, &outcome);
        if let Err(error) = &ended
            && let Some(said) = last_words(error)
            && !told.replace(true)
        {
            let warning = format!("a command of `{}` failed and said: {said}", job.name);
            self.warnings.borrow_mut().push(warning);
        }
    }
}
