//! `rscale completions SHELL`: a script that asks rscale itself, so that service names complete too.

use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::error::Exit;
use crate::ui::Ui;

/// Prints the script.
pub fn run(shell: Shell, ui: &Ui) -> Exit {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    if let Some(completer) = shells.completer(&shell.to_string()) {
        // Writing to memory does not fail.
        let _ = completer.write_registration("COMPLETE", "rscale", "rscale", "rscale", &mut script);
    }
    ui.data(&String::from_utf8_lossy(&script));
    Exit::Done
}
