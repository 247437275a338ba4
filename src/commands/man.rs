//! `rscale man`: the manual page.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::error::Exit;
use crate::ui::Ui;

/// Prints the page of rscale itself, with those of its commands behind it.
pub fn run(ui: &Ui) -> Exit {
    ui.data(&String::from_utf8_lossy(&page()));
    Exit::Done
}

fn page() -> Vec<u8> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(command.clone()).render(&mut page);
    for subcommand in command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let _ = clap_mangen::Man::new(subcommand.clone()).render(&mut page);
    }
    page
}
