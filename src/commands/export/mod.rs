//! `rscale export`: project, files, check, folder; then what is next.

mod check;
mod folder;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::session::Session;
use crate::cli::{ExportArgs, ExportTarget};
use crate::engine::compose::Compose;
use crate::error::{Error, Exit, Result};
use crate::exec::CommandSpec;
use crate::export::kubernetes::{self, Overlay};
use crate::export::{Exported, Source, Target, Warning, resolved, swarm};
use crate::report::json::{self, ExportWarning, ExportedFile};
use crate::report::text;
use crate::ui::{Format, Ui};
use check::Checked;
use folder::Folder;

/// Writes the files and prints which.
pub async fn run(session: &Session<'_>, args: &ExportArgs) -> Result<Exit> {
    let (reach, ui) = (session.reach(), session.ui);
    let no_file = || {
        Error::unusable("there is no compose file to export")
            .hint("name it: rscale --file compose.yaml export ...")
    };
    let compose = session.file.as_ref().ok_or_else(no_file)?;
    let mut project = reach.project(&session.likely_name).await?;
    ui.notes(&project.declared.warnings);
    reach.describe(&mut project).await?;
    let resolved = resolved(&reach.resolved().await?.ok_or_else(no_file)?)?;
    let source = Source {
        project: &project,
        resolved: &resolved,
        separator: compose.separator(),
    };
    let path = output(args);
    let folder = Folder::new(&path)?;
    let (mut exported, checked, next) = match args.target {
        ExportTarget::Swarm => {
            let exported = swarm::export(source)?;
            folder.refuse_to_overwrite(&exported.files, args.force)?;
            let staging = folder.stage()?;
            staging.fill(&exported.files)?;
            let checked = check::stack(reach, &staging.file(swarm::FILE)).await?;
            staging.hand_over(&exported.files)?;
            let next = vec![deploy(&path, project.name())];
            (exported, checked, next)
        }
        ExportTarget::Kubernetes => {
            let overlay = kubernetes::overlay(source, &path.to_string_lossy())?;
            let base = folder.base();
            let exported = overlay.export(base.unwrap_or(kubernetes::BASE));
            folder.refuse_to_overwrite(&exported.files, args.force)?;
            let staging = folder.stage()?;
            staging.fill(&exported.files)?;
            let checked = check_overlay(session, &overlay, &staging, base).await?;
            staging.hand_over(&exported.files)?;
            let mut next = Vec::new();
            if base.is_none() {
                next.push(convert(compose, &path));
            }
            next.push(apply(&path));
            (exported, checked, next)
        }
    };
    exported.warnings.extend(checked.warning());
    let document = json::Export {
        schema: json::SCHEMA,
        project: project.name().to_owned(),
        engine: reach.engine.name().to_owned(),
        target: target(args.target),
        files: files(&exported, &path),
        checked_by: checked.by().map(str::to_owned),
        warnings: exported.warnings.iter().map(ExportWarning::from).collect(),
    };
    print(ui, &document, &next);
    Ok(Exit::Done)
}

fn target(typed: ExportTarget) -> Target {
    match typed {
        ExportTarget::Swarm => Target::Swarm,
        ExportTarget::Kubernetes => Target::Kubernetes,
    }
}

fn output(args: &ExportArgs) -> PathBuf {
    let own = || target(args.target).to_string().into();
    args.output.clone().unwrap_or_else(own)
}

/// Builds the overlay over its base, or where there is none yet over the least that Kompose would make.
async fn check_overlay(
    session: &Session<'_>,
    overlay: &Overlay,
    staging: &folder::Staging<'_>,
    base: Option<&str>,
) -> Result<Checked> {
    let from_there = base.map(|base| staging.seen_from_trial(base));
    let trial = overlay.export(from_there.as_deref().unwrap_or(kubernetes::BASE));
    let minimal = overlay.minimal_base();
    let path = staging.trial(&trial.files, base.is_none().then_some(&minimal))?;
    check::overlay(session.reach(), overlay, &path).await
}

fn files(exported: &Exported, folder: &Path) -> Vec<ExportedFile> {
    let files = exported.files.iter().map(|file| ExportedFile {
        path: folder.join(file.name).to_string_lossy().into_owned(),
        bytes: file.text.len(),
    });
    files.collect()
}

fn typed<A: Into<OsString>>(program: &str, words: impl IntoIterator<Item = A>) -> String {
    CommandSpec::new(program, words, std::time::Duration::ZERO).to_string()
}

fn deploy(folder: &Path, project: &str) -> String {
    let file = folder.join(swarm::FILE);
    let words = [
        "stack",
        "deploy",
        "--compose-file",
        &file.to_string_lossy(),
        project,
    ];
    typed("docker", words)
}

/// Kompose with the files that Compose was given.
fn convert(compose: &Compose, folder: &Path) -> String {
    let options = &compose.project_options;
    let named = options.windows(2).filter(|pair| pair[0] == "--file");
    let files = named.flatten().map(OsString::as_os_str);
    let base = folder.join(kubernetes::BASE);
    let others = ["convert".as_ref(), "--out".as_ref(), base.as_os_str()];
    typed("kompose", files.chain(others))
}

fn apply(folder: &Path) -> String {
    typed(
        "kubectl",
        ["apply", "--kustomize", &folder.to_string_lossy()],
    )
}

fn print(ui: &Ui, document: &json::Export, next: &[String]) {
    for warning in &document.warnings {
        ui.lines(&text::warning(&warning.message, ui.paint_of_stderr()));
        ui.hint(&warning.hint);
    }
    match ui.format() {
        Format::Json => ui.data(&json::render(document)),
        Format::Text => ui.data(&text::export(document, next)),
    }
}

impl From<&Warning> for ExportWarning {
    fn from(warning: &Warning) -> Self {
        Self {
            service: warning.service.clone(),
            message: warning.message.clone(),
            hint: warning.hint.clone(),
        }
    }
}
