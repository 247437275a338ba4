//! Writing files all or not at all: to a folder beside, then by renaming them into place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::export::File;
use crate::export::kubernetes::BASE;

/// Where files are to be.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// As it was typed.
    shown: PathBuf,
    exists: bool,
}

/// Files that are written but not yet in their place; what is left of them is removed in the end.
#[derive(Debug)]
pub struct Staging<'a> {
    folder: &'a Folder,
    path: PathBuf,
}

impl Folder {
    /// # Errors
    /// Something else is there.
    pub fn new(shown: &Path) -> Result<Self> {
        let path = std::path::absolute(shown).map_err(|error| cannot(shown, &error))?;
        let exists = path.exists();
        if exists && !path.is_dir() {
            return Err(Error::usage(format!(
                "`{}` is there already and is no folder",
                shown.display()
            ))
            .hint("name another: --output DIR"));
        }
        Ok(Self {
            path,
            shown: shown.to_owned(),
            exists,
        })
    }

    /// # Errors
    /// Exit 2: a file is there already and is not to be overwritten.
    pub fn refuse_to_overwrite(&self, files: &[File], force: bool) -> Result<()> {
        let mut files = files.iter().map(|file| file.name);
        let there = files.find(|name| self.path.join(name).symlink_metadata().is_ok());
        match there.filter(|_| !force) {
            None => Ok(()),
            Some(name) => Err(Error::usage(format!(
                "`{}` is there already",
                self.shown.join(name).display()
            ))
            .hint("overwrite it: rscale export --force ...")
            .hint("or write elsewhere: rscale export --output DIR ...")),
        }
    }

    /// The base that is there already, as an overlay in this folder names it.
    pub fn base(&self) -> Option<&'static str> {
        let (beside, parent) = (|name: &str| self.path.join(name), self.path.parent());
        if beside(BASE).is_file() {
            return Some(BASE);
        }
        if is_base(&beside("base")) {
            return Some("base");
        }
        parent
            .is_some_and(|parent| is_base(&parent.join("base")))
            .then_some("../base")
    }

    /// Makes the folder beside, where nothing is seen of it by its name.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn stage(&self) -> Result<Staging<'_>> {
        let existing = self.path.ancestors().find(|one| one.is_dir());
        let name = format!(".rscale-export-{}", std::process::id());
        let path = existing.unwrap_or(&self.path).join(name);
        fs::create_dir(&path).map_err(|error| cannot(&path, &error))?;
        Ok(Staging { folder: self, path })
    }
}

/// A folder that Kustomize can build.
fn is_base(folder: &Path) -> bool {
    ["kustomization.yaml", "kustomization.yml", "Kustomization"]
        .iter()
        .any(|name| folder.join(name).is_file())
}

impl Staging<'_> {
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// # Errors
    /// A file cannot be written.
    pub fn fill(&self, files: &[File]) -> Result<()> {
        write(&self.path, files)
    }

    /// A base that is there, as seen from the folder of the trial.
    pub fn seen_from_trial(&self, base: &str) -> String {
        if self.folder.exists {
            format!("../../{base}")
        } else {
            format!("../{base}")
        }
    }

    /// A folder to try an overlay in, with a base of its own if one is given.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn trial(&self, files: &[File], base: Option<&String>) -> Result<PathBuf> {
        let path = self.path.join("check");
        fs::create_dir(&path).map_err(|error| cannot(&path, &error))?;
        write(&path, files)?;
        if let Some(text) = base {
            let path = path.join(BASE);
            fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
        }
        Ok(path)
    }

    /// Puts the files into their place; those that were there before come back when one cannot be.
    ///
    /// # Errors
    /// One cannot be.
    pub fn hand_over(&self, files: &[File]) -> Result<()> {
        let folder = &self.folder.path;
        fs::create_dir_all(folder).map_err(|error| cannot(&self.folder.shown, &error))?;
        let mut done = Vec::new();
        for file in files {
            let (place, kept) = (
                folder.join(file.name),
                self.path.join(format!("{}.old", file.name)),
            );
            let was_there = place.symlink_metadata().is_ok();
            let moved = if was_there {
                fs::rename(&place, &kept)
            } else {
                Ok(())
            };
            let moved = moved.and_then(|()| fs::rename(self.path.join(file.name), &place));
            done.push((place, was_there.then_some(kept)));
            if let Err(error) = moved {
                undo(done);
                return Err(cannot(&self.folder.shown.join(file.name), &error));
            }
        }
        Ok(())
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn undo(done: Vec<(PathBuf, Option<PathBuf>)>) {
    for (place, kept) in done {
        // What can be brought back is; the error that led here is the one to be told.
        let _ = match kept {
            Some(kept) if kept.symlink_metadata().is_ok() => fs::rename(kept, place),
            Some(_) => Ok(()),
            None => fs::remove_file(place),
        };
    }
}

fn write(folder: &Path, files: &[File]) -> Result<()> {
    for file in files {
        let path = folder.join(file.name);
        fs::write(&path, &file.text).map_err(|error| cannot(&path, &error))?;
    }
    Ok(())
}

fn cannot(path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("`{}` cannot be written: {error}", path.display()))
        .hint("write elsewhere: rscale export --output DIR ...")
}
