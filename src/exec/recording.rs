//! The fake executor of the tests: answers from a function and records what was asked.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::{CommandError, CommandOutput, CommandSpec, Executor, LocalFuture, OnLine};

type Answer = Result<CommandOutput, CommandError>;

/// Records every command; what it answers is the test's to say.
pub struct RecordingExecutor {
    answer: Box<dyn Fn(&CommandSpec) -> Answer>,
    commands: RefCell<Vec<CommandSpec>>,
    interrupted: Cell<bool>,
    interrupt_before: Cell<Option<&'static str>>,
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
            interrupted: Cell::new(false),
            interrupt_before: Cell::new(None),
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

    /// Behaves as if Ctrl-C came just before the first command whose line contains `needle` ends.
    pub fn interrupt_at(&self, needle: &'static str) {
        self.interrupt_before.set(Some(needle));
    }

    fn record(&self, spec: &CommandSpec) -> Answer {
        let line = spec.to_string();
        if self
            .interrupt_before
            .get()
            .is_some_and(|needle| line.contains(needle))
        {
            self.interrupt_before.set(None);
            self.interrupted.set(true);
        }
        self.commands.borrow_mut().push(spec.clone());
        (self.answer)(spec)
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
            let answer = self.record(spec);
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
            let mut answer = self.record(spec);
            if let Ok(CommandOutput { stdout, .. }) | Err(CommandError::Failed { stdout, .. }) =
                &mut answer
            {
                std::mem::take(stdout).lines().for_each(on_line);
            }
            answer
        })
    }

    fn interrupted(&self) -> bool {
        self.interrupted.get()
    }

    fn pause(&self, duration: Duration) -> LocalFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
