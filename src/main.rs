//! The binary: reads the command line, starts the runtime, maps the result to an exit code.

use std::process::ExitCode;

use clap::FromArgMatches;
use clap_complete::CompleteEnv;
use rscale::cli::{self, Cli};
use rscale::commands::complete;
use rscale::error::Exit;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    CompleteEnv::with_factory(complete::command).complete();
    let typed = cli::command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match typed {
        Ok(typed) => typed,
        Err(error) => return refuse(&error),
    };
    log_at(cli.general.verbose);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let exit = match runtime {
        Ok(runtime) => runtime.block_on(rscale::commands::run(cli, &matches)),
        Err(_) => Exit::Failed,
    };
    ExitCode::from(exit.code())
}

/// `--help` and `--version` end well; anything else that clap refuses is wrong usage.
fn refuse(error: &clap::Error) -> ExitCode {
    // A reader that went away is no failure.
    let _ = error.print();
    let exit = if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    };
    ExitCode::from(exit.code())
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
