//! The only printer: results to stdout, everything else to stderr; bars where there is a terminal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::apply::{Event, Progress, Waiting};
use crate::duration;
use crate::error::Error;
use crate::load::ledger::Tally;
use crate::plain;
use crate::report::text::{self, Paint};

/// Columns below which the bar itself makes room for its words.
const BAR_NEEDS: u16 = 76;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// Everything that is printed goes through here.
#[derive(Debug)]
pub struct Ui {
    format: Format,
    verbosity: Verbosity,
    paint_stdout: bool,
    paint_stderr: bool,
    bars: Option<MultiProgress>,
    by_service: RefCell<BTreeMap<String, ProgressBar>>,
    /// Why a result could not be printed.
    lost: RefCell<Option<String>>,
}

/// That a result could not be printed.
pub fn not_written(why: &io::Error) -> String {
    format!("the result could not be written: {why}")
}

impl Ui {
    pub fn new(format: Format, color: Color, quiet: bool, verbose: u8) -> Self {
        let verbosity = match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        let paint_stderr = paint(io::stderr().is_terminal());
        let bars = (io::stderr().is_terminal() && verbosity == Verbosity::Normal)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)));
        Self {
            format,
            verbosity,
            paint_stdout: paint(io::stdout().is_terminal()),
            paint_stderr,
            bars,
            by_service: RefCell::default(),
            lost: RefCell::default(),
        }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// How results are painted.
    pub fn paint(&self) -> Paint {
        Paint(self.paint_stdout)
    }

    /// How what goes to stderr is painted.
    pub fn paint_of_stderr(&self) -> Paint {
        Paint(self.paint_stderr)
    }

    /// Columns of the terminal that results go to; `None` when they go elsewhere.
    #[expect(clippy::unused_self, reason = "who asks has a Ui, not a stream")]
    pub fn width(&self) -> Option<u16> {
        let stdout = io::stdout();
        let columns = terminal_size::terminal_size_of(&stdout).map(|(width, _)| width.0);
        columns.filter(|_| stdout.is_terminal())
    }

    /// Whether results go to a terminal.
    pub fn is_interactive(&self) -> bool {
        io::stdout().is_terminal() && self.format == Format::Text
    }

    /// Prints a result. What runs is finished all the same where that fails, see [`Self::lost`].
    pub fn data(&self, text: &str) {
        let text = match self.format {
            Format::Text => plain::lines(text, self.paint_stdout),
            Format::Json => plain::json(text),
        };
        self.write(&text);
    }

    fn write(&self, text: &str) {
        self.clear_bars();
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        match written {
            // A reader that went away is no failure: the exit code says how the run ended.
            Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
                self.lost.replace(Some(not_written(&why)));
            }
            _ => {}
        }
    }

    /// That a result could not be printed, as on a disk that is full.
    pub fn lost(&self) -> Option<Error> {
        self.lost.borrow().as_ref().map(Error::failed)
    }

    /// Whether anybody still reads results: a pipe has lost its reader when its end reports an error.
    pub fn has_reader(&self) -> bool {
        if self.lost.borrow().is_some() {
            return false;
        }
        #[cfg(unix)]
        {
            use rustix::event::{PollFd, PollFlags, Timespec, poll};
            let stdout = io::stdout();
            let mut ends = [PollFd::new(&stdout, PollFlags::OUT)];
            let now = Timespec::default();
            poll(&mut ends, Some(&now)).is_err() || !ends[0].revents().contains(PollFlags::ERR)
        }
        #[cfg(not(unix))]
        true
    }

    /// Clears the screen and prints a result at its top.
    pub fn screen(&self, text: &str) {
        let text = plain::lines(text, self.paint_stdout);
        self.write(&format!("\u{1b}[H\u{1b}[J{text}"));
    }

    /// Says something in passing, in one line.
    pub fn note(&self, text: &str) {
        self.lines(&plain::line(text));
    }

    /// Says several things in passing, a line for each.
    pub fn notes(&self, texts: &[String]) {
        for text in texts {
            self.note(text);
        }
    }

    /// Says something in passing, in lines that are laid out and painted already.
    pub fn lines(&self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.say(text);
        }
    }

    /// Says something even when quiet, in lines that are laid out and painted already.
    pub fn always(&self, text: &str) {
        self.say(text);
    }

    pub fn hint(&self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.hint_line(text);
        }
    }

    fn hint_line(&self, text: &str) {
        let label = self.label("hint: ", AnsiColor::Cyan);
        self.say(&format!("  {label}{}", plain::line(text)));
    }

    /// Prints an error with its hints. Errors are printed even when quiet.
    pub fn error(&self, error: &Error) {
        self.clear_bars();
        self.say(&format!(
            "{}{}",
            self.label("error: ", AnsiColor::Red),
            plain::line(&error.message)
        ));
        for line in error.detail.iter().flat_map(|detail| detail.lines()) {
            self.say(&format!("  | {}", plain::line(line)));
        }
        if self.is_verbose() {
            for cause in error.causes() {
                self.say(&format!("  because: {}", plain::line(&cause)));
            }
        }
        for hint in &error.hints {
            self.hint_line(hint);
        }
    }

    /// Shows what happens while a plan is carried out.
    pub fn event(&self, event: Event) {
        match event {
            Event::Progress { service, progress } => self.progress(&service, progress),
            Event::Waiting(waiting) => self.waiting(&waiting),
            Event::Refreshing { service, container } => {
                self.activity(&service, &format!("telling {container}"));
            }
            Event::Note(note) => self.note(&note),
            Event::Pausing(time) => self.note(&format!("pausing for {}", duration::show(time))),
            Event::RollingBack { because } => {
                self.clear_bars();
                self.note(&format!("rolling back: {because}"));
            }
            Event::Undoing(plan) if self.is_verbose() => self.lines(&text::steps(&plan)),
            Event::Output(line) if self.is_verbose() => {
                self.note(&format!("  | {}", line.trim()));
            }
            Event::Undoing(_) | Event::Output(_) | Event::Ahead(_) | Event::Did(_) => {}
        }
    }

    /// Shows how far a task type of a load test is. Without a terminal nothing is said: the figures follow.
    pub fn load(&self, name: &str, warmup: bool, total: Option<u32>, tally: Tally) {
        let Some(bar) = self.bar(name) else { return };
        let ended = tally.done + tally.failed;
        let total = total.unwrap_or(tally.issued).max(1);
        bar.set_length(u64::from(total));
        bar.set_position(u64::from(ended));
        let mut message = format!("{ended}/{total} done");
        if tally.failed > 0 {
            let _ = write!(message, " · {} failed", tally.failed);
        }
        if warmup {
            message.push_str(" · warming up");
        }
        bar.set_message(message);
    }

    /// Takes the bars away.
    pub fn clear_bars(&self) {
        for (_, bar) in std::mem::take(&mut *self.by_service.borrow_mut()) {
            bar.finish_and_clear();
        }
    }

    fn progress(&self, service: &str, progress: Progress) {
        let Progress {
            wanted,
            created,
            started,
            ready,
        } = progress;
        let Some(bar) = self.bar(service) else { return };
        // Each replica passes three marks on its way.
        bar.set_length(u64::from(wanted) * 3);
        bar.set_position(u64::from(
            created.min(wanted) + started.min(wanted) + ready.min(wanted),
        ));
        bar.set_message(format!(
            "{created} created · {started} started · {ready}/{wanted} ready"
        ));
    }

    /// On a terminal the bar says it; elsewhere a line does, when it takes long.
    fn waiting(&self, waiting: &Waiting) {
        let what = text::waiting(waiting);
        let seconds = waiting.elapsed.as_secs();
        if self.bars.is_some() {
            self.activity(&waiting.service, &what);
        } else if seconds > 0 && (seconds == 10 || seconds.is_multiple_of(60)) {
            self.note(&format!("{}: {what}", waiting.service));
        }
    }

    fn activity(&self, service: &str, what: &str) {
        if let Some(bar) = self.bar(service) {
            bar.set_message(plain::line(what).into_owned());
        }
    }

    fn bar(&self, service: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let mut by_service = self.by_service.borrow_mut();
        let bar = by_service.entry(service.to_owned()).or_insert_with(|| {
            let narrow = terminal_size::terminal_size_of(io::stderr())
                .is_some_and(|(width, _)| width.0 < BAR_NEEDS);
            let template = match (narrow, self.paint_stderr) {
                (true, _) => "{prefix:16!} {wide_msg} {elapsed:>4}",
                (false, true) => "{prefix:16!} {bar:18.green/dim} {wide_msg} {elapsed:>4.dim}",
                (false, false) => "{prefix:16!} {bar:18} {wide_msg} {elapsed:>4}",
            };
            let style = ProgressStyle::with_template(template).expect("the template is right");
            let bar = bars.add(ProgressBar::new(1).with_style(style.progress_chars("━╸ ")));
            bar.set_prefix(plain::line(service).into_owned());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Some(bar.clone())
    }

    fn label(&self, text: &str, color: AnsiColor) -> String {
        let style = Style::new().bold().fg_color(Some(color.into()));
        if self.paint_stderr {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn say(&self, text: &str) {
        let text = plain::lines(text.trim_end_matches('\n'), self.paint_stderr);
        if text.is_empty() {
            return;
        }
        let print = || {
            // Where stderr is gone there is nobody to tell.
            let _ = writeln!(io::stderr().lock(), "{text}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}
