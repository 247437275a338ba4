//! `rscale reference`: what docs/cli.md and docs/schema are generated from.

use std::fmt::Write as _;

use clap::CommandFactory;
use schemars::schema_for;

use crate::cli::{Cli, Reference};
use crate::error::Exit;
use crate::load::result;
use crate::report::{json, load_compare};
use crate::ui::Ui;

/// Prints the reference asked for.
pub fn run(what: Reference, ui: &Ui) -> Exit {
    let text = match what {
        Reference::Cli => command_line(),
        Reference::StatusSchema => json::render(&schema_for!(json::Status)),
        Reference::ScaleSchema => json::render(&schema_for!(json::Scale)),
        Reference::CheckSchema => json::render(&schema_for!(json::Check)),
        Reference::ExportSchema => json::render(&schema_for!(json::Export)),
        Reference::LoadTestSchema => json::render(&schema_for!(result::LoadTest)),
        Reference::LoadTestCompareSchema => json::render(&schema_for!(load_compare::Comparison)),
        Reference::LoadTestSweepSchema => json::render(&schema_for!(result::Sweep)),
    };
    ui.data(&text);
    Exit::Done
}

/// The help of every command, as Markdown.
fn command_line() -> String {
    let mut text = String::from(
        "# The command line\n\nGenerated from the binary (`rscale reference cli`); the same as `rscale COMMAND --help`.\n",
    );
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut commands = vec![root.clone()];
    commands.extend(
        root.get_subcommands()
            .filter(|command| !command.is_hide_set() && command.get_name() != "help")
            .cloned(),
    );
    for command in &mut commands {
        let title = command.get_bin_name().unwrap_or("rscale").to_owned();
        let help = command.render_long_help().to_string();
        let help: String = help
            .lines()
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect();
        let _ = write!(text, "\n## {title}\n\n```text\n{}\n```\n", help.trim_end());
    }
    text
}
