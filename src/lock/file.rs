//! An advisory lock on a file that every user of the machine can reach.
//!
//! - To hold it, it is enough to read the file (flock(2)), so nobody but its owner may write to it.
//! - The last holder removes it, on Unix. Whoever had opened it by then holds a file of no name, and tries again.
//! - It is the open file that is locked, not the process: commands that change something inherit it, so that it is not
//!   free while `docker stop` of a killed run still works.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Holder;
use crate::error::{Error, Result};
use crate::exec::inherited;

/// Bytes of a lock file that are read.
const LIMIT: u64 = 4096;
/// How often it is tried anew when the file is removed by another run meanwhile.
const TRIES: u32 = 100;

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct ProjectLock {
    file: Arc<File>,
    path: PathBuf,
}

/// What trying to take a lock comes to.
#[derive(Debug)]
pub enum Attempt {
    Taken(ProjectLock),
    Busy(Holder),
}

/// Takes the lock if nobody holds it.
///
/// # Errors
/// The file can be neither opened nor made, or it is none that a lock could be.
pub fn attempt(path: &Path, holder: &Holder) -> Result<Attempt> {
    let unusable = |error: io::Error| {
        Error::unusable(format!(
            "the lock `{}` cannot be used: {error}",
            path.display()
        ))
        .hint("name another folder for locks: RSCALE_LOCK_DIR=/path rscale ...")
    };
    for _ in 0..TRIES {
        let file = open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) if !is_at(&file, path) => {}
            Ok(()) => {
                let lock = ProjectLock {
                    file: Arc::new(file),
                    path: path.to_owned(),
                };
                // Only for the message that a waiting run shows; the lock holds without it.
                let _ = lock.write(&serde_json::to_string(holder).unwrap_or_default());
                inherited::share(&lock.file);
                return Ok(Attempt::Taken(lock));
            }
            Err(TryLockError::WouldBlock) => return Ok(Attempt::Busy(read(file))),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
    }
    Ok(Attempt::Busy(Holder::default()))
}

impl ProjectLock {
    /// Says who holds it, in a file of this user's own; another user's stays empty.
    fn write(&self, text: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = secure(options.write(true)).open(&self.path)?;
        file.set_len(0)?;
        file.write_all(text.as_bytes())
    }
}

impl Drop for ProjectLock {
    fn drop(&mut self) {
        // Before it is let go: afterwards it may be another's. In a sticky folder another user's file stays, empty; so does
        // any where nothing tells whether an open file still has its name.
        if !cfg!(unix) || std::fs::remove_file(&self.path).is_err() {
            let _ = self.write("");
        }
        // Said out loud: a child that inherited the file must not keep the lock.
        let _ = self.file.unlock();
    }
}

fn read(mut file: File) -> Holder {
    let mut bytes = Vec::new();
    let _ = file.seek(SeekFrom::Start(0));
    let _ = file.take(LIMIT).read_to_end(&mut bytes);
    Holder::read(&String::from_utf8_lossy(&bytes))
}

/// Opens the file, and makes it where it is not there: under another name first, because it must have its mode by the
/// time that another user finds it.
fn open(path: &Path) -> io::Result<File> {
    for _ in 0..TRIES {
        let mut options = OpenOptions::new();
        match secure(options.read(true)).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => {
                let file = opened?;
                return suitable(&file).map(|()| file);
            }
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        let new = builder.prefix(".rscale-lock-").tempfile_in(folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Not at its creation, where the umask would have a say.
            let readable = std::fs::Permissions::from_mode(0o644);
            new.as_file().set_permissions(readable)?;
        }
        match new.persist_noclobber(path) {
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            made => drop(made?),
        }
    }
    Err(io::Error::other("it comes and goes"))
}

/// Without following links, and without waiting for the other end of a pipe.
fn secure(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    options
}

/// Refuses what somebody may have put there: no plain file, or one that has another name as well.
fn suitable(file: &File) -> io::Result<()> {
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&data) > 1 {
        return Err(io::Error::other("the file has another name as well"));
    }
    Ok(())
}

/// Whether an open file is still the one that has this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |data: &std::fs::Metadata| (data.dev(), data.ino());
    let (open, named) = (file.metadata(), path.symlink_metadata());
    matches!((open, named), (Ok(open), Ok(named)) if identity(&open) == identity(&named))
}

/// A file that is open cannot be removed there, so its name stays.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Attempt, Holder, ProjectLock, attempt};

    fn taken(path: &std::path::Path, holder: &Holder) -> ProjectLock {
        match attempt(path, holder).unwrap() {
            Attempt::Taken(lock) => lock,
            Attempt::Busy(holder) => panic!("{holder} holds it"),
        }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.lock");
        (folder, path)
    }

    #[test]
    fn the_second_run_is_told_who_holds_it_and_gets_it_afterwards() {
        let (_folder, path) = place();
        let first = Holder {
            pid: 1,
            user: "alice".into(),
            command: "rscale web=3".into(),
            ..Holder::default()
        };
        let lock = taken(&path, &first);
        let Attempt::Busy(holder) = attempt(&path, &Holder::default()).unwrap() else {
            panic!("the first run holds it")
        };
        assert_eq!(holder.to_string(), "`rscale web=3` (pid 1, alice)");
        drop(lock);
        taken(&path, &Holder::default());
    }

    #[test]
    fn nothing_is_left_of_it() {
        let (folder, path) = place();
        for _ in 0..3 {
            let lock = taken(&path, &Holder::default());
            assert!(path.exists());
            drop(lock);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    /// Runs that come and go at once: the file is removed and made again all the time, and never two hold it.
    #[test]
    fn never_two_hold_it() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let (_folder, path) = place();
        let (holders, rounds) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while rounds.load(Ordering::SeqCst) < 400 {
                        if let Attempt::Taken(lock) = attempt(&path, &Holder::default()).unwrap() {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                            rounds.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            holders.fetch_sub(1, Ordering::SeqCst);
                            drop(lock);
                        }
                    }
                });
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_and_only_the_owner_write() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = place();
        let _lock = taken(&path, &Holder::default());
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[cfg(unix)]
    #[test]
    fn links_pipes_and_files_with_another_name_are_refused() {
        let (folder, path) = place();
        let elsewhere = folder.path().join("precious");
        std::fs::write(&elsewhere, "data").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(attempt(&path, &Holder::default()).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(&elsewhere, &path).unwrap();
        assert!(attempt(&path, &Holder::default()).is_err());
        std::fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        assert!(attempt(&path, &Holder::default()).is_err());
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "data");
    }

    #[test]
    fn a_huge_file_is_not_read_whole() {
        let (_folder, path) = place();
        let _lock = taken(&path, &Holder::default());
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(1 << 34).unwrap();
        let Attempt::Busy(holder) = attempt(&path, &Holder::default()).unwrap() else {
            panic!("it is held")
        };
        assert_eq!(holder, Holder::default());
    }
}
