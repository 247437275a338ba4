//! The binary: reads the command line, starts the runtime, maps the result to an exit code.

use std::io::{self, Write as _};
use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

#[cfg(unix)]
use std::os::fd::AsFd;

use clap::FromArgMatches;
use clap_complete::CompleteEnv;
use rscale::cli::{self, Cli};
use rscale::commands::complete;
use rscale::error::Exit;
use tokio::runtime::{Builder, Runtime};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// File descriptors that rscale opens before anything else.
#[cfg(unix)]
const DESCRIPTORS: usize = 8;

fn main() -> ExitCode {
    let traced = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let trace = panic::take_hook();
    panic::set_hook(Box::new(move |fault| {
        tell_of_fault(fault);
        if traced {
            trace(fault);
        }
    }));
    // What unwinds on the way here ends its commands and gives its lock back.
    let exit = panic::catch_unwind(run).unwrap_or(Exit::Failed);
    ExitCode::from(exit.code())
}

fn run() -> Exit {
    CompleteEnv::with_factory(complete::command).complete();
    let typed = cli::command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match typed {
        Ok(typed) => typed,
        Err(error) => return refuse(&error),
    };
    log_at(cli.general.verbose);
    match runtime() {
        Ok(runtime) => runtime.block_on(rscale::commands::run(cli, &matches)),
        Err(error) => {
            say(&format!("error: rscale cannot be started: {error}"));
            Exit::Failed
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    // Tokio panics where the pipe for its signals cannot be opened.
    #[cfg(unix)]
    let spare: io::Result<Vec<_>> = (0..DESCRIPTORS)
        .map(|_| io::stderr().as_fd().try_clone_to_owned())
        .collect();
    #[cfg(unix)]
    drop(spare?);
    Builder::new_current_thread().enable_all().build()
}

/// `--help` and `--version` end well, if they could be printed; anything else that clap refuses is wrong usage.
fn refuse(error: &clap::Error) -> Exit {
    let printed = error.print().and_then(|()| io::stdout().flush());
    if error.use_stderr() {
        return Exit::Usage;
    }
    match printed {
        // A reader that went away is no failure.
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("error: {}", rscale::commands::not_written(&why)));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}

/// Says of a panic what the user can do about it, instead of the standard library's words.
fn tell_of_fault(fault: &PanicHookInfo<'_>) {
    let payload = fault.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let what = text.or(payload.downcast_ref::<&str>().copied());
    let place = fault.location().map(ToString::to_string);
    for line in fault_lines(what.unwrap_or("it does not say which"), place.as_deref()) {
        say(&line);
    }
}

fn fault_lines(what: &str, place: Option<&str>) -> [String; 3] {
    let what = what.lines().next().unwrap_or_default();
    let place = place.map_or(String::new(), |place| format!(" ({place})"));
    let repository = match env!("CARGO_PKG_REPOSITORY") {
        "" => String::new(),
        address => format!(": {address}"),
    };
    [
        format!("error: rscale stopped on a fault of its own: {what}{place}"),
        "  hint: see what is there: rscale status".to_owned(),
        format!("  hint: report the line above and what you typed{repository}"),
    ]
}

fn say(line: &str) {
    // Where stderr is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

fn log_at(verbose: u8) {
    let level = match verbose {
        0 | 1 => LevelFilter::OFF,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    if level != LevelFilter::OFF {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(false)
            // A reader of stderr that went away is no failure either.
            .log_internal_errors(false)
            // Only rscale's own: clients of brokers and servers log what they send, passwords and payloads too.
            .with_filter(Targets::new().with_target("rscale", level));
        tracing_subscriber::registry().with(lines).init();
    }
}

#[cfg(test)]
mod tests {
    use super::fault_lines;

    #[test]
    fn a_fault_is_told_in_a_line_and_what_to_do_about_it() {
        let lines = fault_lines("overflow\nmore of it", Some("src/x.rs:7:9"));
        assert_eq!(
            lines[..2],
            [
                "error: rscale stopped on a fault of its own: overflow (src/x.rs:7:9)",
                "  hint: see what is there: rscale status",
            ]
        );
    }
}
