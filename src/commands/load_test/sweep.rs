//! `--sweep`.

use super::Request;
use crate::cli::SweepArgs;
use crate::commands::session::Session;
use crate::error::{Error, Exit, Result};

pub async fn run(_: &Session<'_>, _: &Request<'_>, _: &SweepArgs) -> Result<Exit> {
    Err(Error::usage("not yet"))
}
