//! The fake executor of the tests: answers from a function and records what was asked.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Notify;

use super::interruption::{AT_ONCE, Interruptions};
use super::{
    CommandError, CommandOutput, CommandSpec, Executor, Interruption, LocalFuture, OnLine,
};

type Answer = Result<CommandOutput, CommandError>;

/// What comes at a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Ctrl-C, while it runs.
    Interruption,
    /// Ctrl-C twice, while it runs.
    TwoInterruptions,
    /// SIGKILL, before it does anything.
    KillBefore,
    /// SIGKILL, when it has done everything.
    KillAfter,
}

/// Records every command; what it answers is the test's to say.
pub struct RecordingExecutor {
    answer: Box<dyn Fn(&CommandSpec) -> Answer>,
    commands: RefCell<Vec<CommandSpec>>,
    interruptions: Interruptions,
    /// Where the next ones come, the first at the front.
    interrupt_before: RefCell<VecDeque<&'static str>>,
    moment: Cell<Option<(usize, Moment)>>,
    killed: Notify,
}

impl std::fmt::Debug for RecordingExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordingExecutor")
            .field("commands", &self.commands)
            .finish_non_exhaustive()
    }
}

impl RecordingExecutor {
    pub fn new(answer: impl Fn(&CommandSpec) -> Answer + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            commands: RefCell::default(),
            interruptions: Interruptions::default(),
            interrupt_before: RefCell::default(),
            moment: Cell::default(),
            killed: Notify::new(),
        }
    }

    /// Answers with what the test gives as stdout.
    pub fn printing(answer: impl Fn(&CommandSpec) -> String + 'static) -> Self {
        Self::new(move |spec| {
            Ok(CommandOutput {
                stdout: answer(spec),
                stderr: String::new(),
            })
        })
    }

    /// Behaves as if Ctrl-C came just before the first command whose line contains `needle` ends. Said again, it
    /// comes once more, at another command after that.
    pub fn interrupt_at(&self, needle: &'static str) {
        self.interrupt_before.borrow_mut().push_back(needle);
    }

    /// Has something come at one of the next commands; 0 is the next.
    pub fn comes_at(&self, after: usize, moment: Moment) {
        let at = self.commands.borrow().len() + after;
        self.moment.set(Some((at, moment)));
    }

    /// Ends when rscale is killed: what runs is to be dropped then.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    async fn die(&self) {
        self.killed.notify_one();
        std::future::pending::<()>().await;
    }

    /// As another run of rscale hears it: nothing yet.
    pub fn forget_interruptions(&self) {
        self.interruptions.forget();
    }

    /// Behaves as if Ctrl-C came now; what comes within a quarter of a second counts as one.
    pub fn interrupt(&self) {
        self.interruptions.hear();
    }

    async fn record(&self, spec: &CommandSpec) -> Answer {
        let interrupted = || CommandError::Interrupted {
            stderr: String::new(),
        };
        if !self.interruptions.allows(spec.on_interrupt) {
            return Err(interrupted());
        }
        let line = spec.to_string();
        let at = self.commands.borrow().len();
        self.commands.borrow_mut().push(spec.clone());
        let moment = self.moment.get().filter(|(when, _)| *when == at);
        let moment = moment.map(|(_, moment)| moment);
        if moment == Some(Moment::KillBefore) {
            self.die().await;
        }
        let answer = (self.answer)(spec);
        match moment {
            Some(Moment::KillAfter) => self.die().await,
            Some(Moment::Interruption) => self.interruptions.hear(),
            Some(Moment::TwoInterruptions) => {
                self.interruptions.hear();
                tokio::time::sleep(AT_ONCE).await;
                self.interruptions.hear();
                return Err(interrupted());
            }
            Some(Moment::KillBefore) | None => {}
        }
        let comes = {
            let mut needles = self.interrupt_before.borrow_mut();
            let comes = needles.front().is_some_and(|needle| line.contains(needle));
            if comes {
                needles.pop_front();
            }
            comes
        };
        if comes {
            if self.interrupted() {
                // Not the same one once more.
                tokio::time::sleep(AT_ONCE).await;
            }
            self.interruptions.hear();
            if self.interruption() == Interruption::Twice {
                // Ended in the middle of what it does.
                return Err(interrupted());
            }
        }
        answer
    }

    /// Every command so far, as it could be typed.
    pub fn lines(&self) -> Vec<String> {
        self.commands
            .borrow()
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

impl Executor for RecordingExecutor {
    fn run<'a>(
        &'a self,
        spec: &'a CommandSpec,
        on_line: Option<OnLine<'a>>,
    ) -> LocalFuture<'a, Answer> {
        Box::pin(async move {
            let answer = self.record(spec).await;
            let said = match &answer {
                Ok(output) => &output.stderr,
                Err(error) => error.stderr(),
            };
            if let Some(on_line) = on_line {
                said.lines().for_each(on_line);
            }
            answer
        })
    }

    fn follow<'a>(&'a self, spec: &'a CommandSpec, on_line: OnLine<'a>) -> LocalFuture<'a, Answer> {
        Box::pin(async move {
            let mut answer = self.record(spec).await;
            if let Ok(CommandOutput { stdout, .. }) | Err(CommandError::Failed { stdout, .. }) =
                &mut answer
            {
                std::mem::take(stdout).lines().for_each(on_line);
            }
            answer
        })
    }

    fn interruption(&self) -> Interruption {
        self.interruptions.level()
    }

    fn pause(&self, duration: Duration) -> LocalFuture<'_, ()> {
        Box::pin(self.interruptions.pause(duration))
    }
}
