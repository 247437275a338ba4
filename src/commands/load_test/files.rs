//! Files that a load test reads and writes; written whole or not at all.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::load::result::LoadTest;
use crate::memory::{Readers, folder_of, write_whole};
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
    write_whole(file, text, Readers::Usual).map_err(refused)
}
