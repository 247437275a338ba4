//! Files that a load test reads and writes; written whole or not at all.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::load::result::LoadTest;
use crate::report::load_compare;

/// Reads a result that was saved before.
///
/// # Errors
/// Exit 2: there is no such file, or it is no saved result.
pub fn read(file: &Path) -> Result<LoadTest> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        Error::usage(format!("`{shown}` cannot be read: {error}"))
            .hint(format!("make one: rscale load-test --save {shown}"))
    })?;
    load_compare::read(&text, &shown.to_string())
}

/// Says now what would keep a file from being written after the run.
///
/// # Errors
/// Exit 2: its folder is not there, or it is a folder itself.
pub fn check_writable(file: &Path) -> Result<()> {
    let shown = file.display();
    let folder = folder_of(file);
    if !folder.is_dir() {
        return Err(Error::usage(format!(
            "`{shown}` cannot be written: there is no such folder"
        ))
        .hint(format!("mkdir -p {}", folder.display())));
    }
    if file.is_dir() {
        return Err(Error::usage(format!("`{shown}` is a folder"))
            .hint(format!("name a file: {shown}/result.json")));
    }
    Ok(())
}

/// Writes a file whole: beside it first, then in its place.
///
/// # Errors
/// Exit 1: the file system refuses.
pub fn write(file: &Path, text: &str) -> Result<()> {
    let refused = |error: std::io::Error| {
        Error::failed(format!("`{}` cannot be written: {error}", file.display()))
    };
    // A device or a pipe is written to, not replaced.
    if file.exists() && !file.is_file() {
        return fs::write(file, text).map_err(refused);
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder_of(file).join(format!(".{name}.{}", std::process::id()));
    let written = fs::File::create(&beside)
        .and_then(|mut new| new.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, file));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        refused(error)
    })
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
