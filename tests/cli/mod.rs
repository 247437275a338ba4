//! The command line, with a fake docker: one file per subcommand, and what they all have in common.

mod check;
mod completions;
mod environment;
mod errors;
mod export;
mod help;
mod hostile;
mod input;
mod interruption;
mod killed;
mod load_test;
mod man;
mod output;
mod project;
mod reference;
mod scale;
mod scale_all;
pub mod schema;
mod secrets;
mod status;
mod sweep;

use std::io::Write;

/// Says what was not tried; past the test runner, which keeps what passing tests print to itself.
fn skipped(what: &str) {
    let line = format!("SKIPPED: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The project of most tests.
const SHOP: &str = "
services:
  db: {image: postgres}
  web: {image: app, depends_on: {db: {condition: service_started, required: true}}}
  worker-a: {image: app}
  worker-b: {image: app}
";
