//! Has docker or kubectl read what was written, before it is left behind.

use std::path::Path;
use std::time::Duration;

use crate::engine::cause::explain;
use crate::error::{Error, Result};
use crate::exec::{CommandError, CommandSpec};
use crate::export::Warning;
use crate::export::kubernetes::{Overlay, problems};
use crate::gather::Reach;

/// Time limit of both; neither asks an engine anything.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How a check ended that found nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    By(&'static str),
    /// By nobody, because of this.
    Not(&'static str, &'static str),
}

impl Checked {
    pub fn by(self) -> Option<&'static str> {
        match self {
            Self::By(command) => Some(command),
            Self::Not(..) => None,
        }
    }

    pub fn warning(self) -> Option<Warning> {
        match self {
            Self::By(_) => None,
            Self::Not(why, hint) => Some(Warning {
                service: None,
                message: format!("not checked: {why}"),
                hint: hint.to_owned(),
            }),
        }
    }
}

/// `docker stack config`, which reads a file as `docker stack deploy` does.
///
/// # Errors
/// Docker refuses the file.
pub async fn stack(reach: Reach<'_>, file: &Path) -> Result<Checked> {
    let file = file.to_string_lossy();
    let words = ["stack", "config", "--compose-file", &file];
    let spec = CommandSpec::new("docker", words, TIMEOUT);
    match reach.run(&spec, None).await {
        Ok(_) => Ok(Checked::By("docker stack config")),
        Err(CommandError::NotFound { .. }) => Ok(Checked::Not(
            "there is no docker here",
            "where it is: docker stack config --compose-file FILE",
        )),
        Err(CommandError::Failed { stderr, .. }) if is_unknown(&stderr) => Ok(Checked::Not(
            "this docker has no `docker stack config`; it came with version 23",
            "with a newer docker: docker stack config --compose-file FILE",
        )),
        Err(CommandError::Failed { stderr, .. }) => Err(Error::failed(
            "docker refuses the stack, so it was not written",
        )
        .detail(stderr)
        .hint("see what Compose makes of the file: docker compose config")),
        Err(error) => Err(explain(&error)),
    }
}

/// Docker says so of options that belong to a subcommand which it does not know.
fn is_unknown(stderr: &str) -> bool {
    [
        "unknown flag: --compose-file",
        "is not a docker command",
        "unknown command",
    ]
    .iter()
    .any(|said| stderr.contains(said))
}

/// `kubectl kustomize`, and whether what it makes has what the overlay says.
///
/// # Errors
/// Kustomize refuses it, or the base lacks what it is about.
pub async fn overlay(reach: Reach<'_>, overlay: &Overlay, folder: &Path) -> Result<Checked> {
    let folder = folder.to_string_lossy();
    // The base is outside of the folder that the check is made in.
    let words = [
        "kustomize",
        "--load-restrictor",
        "LoadRestrictionsNone",
        &folder,
    ];
    let spec = CommandSpec::new("kubectl", words, TIMEOUT);
    let refused =
        |detail: &str| {
            Err(Error::failed("the overlay does not fit its base, so it was not written")
            .detail(detail)
            .hint("make the base anew, as one file: kompose convert --out kubernetes/base.yaml")
            .hint("or move it away; the overlay is then written without it"))
        };
    match reach.run(&spec, None).await {
        Ok(output) => {
            let problems = problems(overlay, &output.stdout);
            if problems.is_empty() {
                return Ok(Checked::By("kubectl kustomize"));
            }
            refused(&problems.join("\n"))
        }
        Err(CommandError::NotFound { .. }) => Ok(Checked::Not(
            "there is no kubectl here",
            "where it is: kubectl kustomize kubernetes",
        )),
        Err(CommandError::Failed { stderr, .. }) => refused(&stderr),
        Err(error) => Err(explain(&error)),
    }
}
