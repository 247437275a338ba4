//! The lock of a project: two runs of rscale on it, from whatever directory or user, go one after the other.
//!
//! An advisory lock on a file that every user of the machine can reach. The file stays when the lock is
//! gone: removing it would let two runs hold two files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct ProjectLock {
    file: File,
}

/// Who holds a lock, as the holder wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub user: String,
    pub command: String,
    /// Seconds since 1970.
    pub since: u64,
}

impl Holder {
    /// This run.
    pub fn this_run(command: String) -> Self {
        let user = std::env::var("USER").or_else(|_| std::env::var("USERNAME"));
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            pid: std::process::id(),
            user: user.unwrap_or_default(),
            command,
            since: since.as_secs(),
        }
    }
}

/// `rscale web=3 (pid 4711, alice)`.
impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            pid, user, command, ..
        } = self;
        match (command.is_empty(), user.is_empty()) {
            (true, _) => write!(f, "another rscale run"),
            (false, true) => write!(f, "`{command}` (pid {pid})"),
            (false, false) => write!(f, "`{command}` (pid {pid}, {user})"),
        }
    }
}

/// What trying to take a lock comes to.
#[derive(Debug)]
pub enum Attempt {
    Taken(ProjectLock),
    Busy(Holder),
}

/// The file that stands for a project on an engine, whatever was typed as their names.
pub fn path_of(folder: &Path, project: &str, engine_address: &str) -> PathBuf {
    let plain = |text: &str| -> String {
        let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        text.chars()
            .map(|c| if keep(c) { c } else { '-' })
            .collect()
    };
    let (project, address) = (plain(project), plain(engine_address));
    folder.join(format!("rscale-{project}@{address}.lock"))
}

/// Where the locks are: RSCALE_LOCK_DIR, else the folder that every user may write to.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("RSCALE_LOCK_DIR") {
        return folder.into();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Decided by its mode, not by what this user may do: every user must come to the same answer.
        let shared = |path: &&str| {
            Path::new(path)
                .metadata()
                .is_ok_and(|data| data.is_dir() && data.permissions().mode() & 0o1002 == 0o1002)
        };
        ["/run/lock", "/tmp"]
            .iter()
            .find(|path| shared(path))
            .map_or_else(std::env::temp_dir, PathBuf::from)
    }
    #[cfg(not(unix))]
    std::env::temp_dir()
}

/// Takes the lock if nobody holds it.
///
/// # Errors
/// The file can be neither opened nor made.
pub fn attempt(path: &Path, holder: &Holder) -> Result<Attempt> {
    let unusable = |error: std::io::Error| {
        Error::unusable(format!(
            "the lock `{}` cannot be used: {error}",
            path.display()
        ))
        .hint("name another folder for locks: RSCALE_LOCK_DIR=/path rscale ...")
    };
    let mut file = open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {
            // Only for the message that a waiting run shows; the lock holds without it.
            let _ = write(
                &mut file,
                &serde_json::to_string(holder).unwrap_or_default(),
            );
            Ok(Attempt::Taken(ProjectLock { file }))
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            Ok(Attempt::Busy(
                serde_json::from_str(&text).unwrap_or_default(),
            ))
        }
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

impl Drop for ProjectLock {
    fn drop(&mut self) {
        let _ = write(&mut self.file, "");
        let _ = self.file.unlock();
    }
}

fn write(file: &mut File, text: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

/// Opens without creating first: in a sticky folder Linux refuses O_CREAT on another user's file
/// (fs.protected_regular, proc(5)).
fn open(path: &Path) -> std::io::Result<File> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        }
        match options.open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match options.create_new(true).open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => {
                let file = made?;
                #[cfg(unix)]
                {
                    use std::os::unix::fs::PermissionsExt;
                    file.set_permissions(std::fs::Permissions::from_mode(0o666))?;
                }
                return Ok(file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Holder, attempt, path_of};

    #[test]
    fn the_second_run_is_told_who_holds_it_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(folder.path(), "shop", "unix:///var/run/docker.sock");
        let first = Holder {
            pid: 1,
            user: "alice".into(),
            command: "rscale web=3".into(),
            since: 0,
        };
        let Attempt::Taken(lock) = attempt(&path, &first).unwrap() else {
            panic!("nobody holds it")
        };
        let Attempt::Busy(holder) = attempt(&path, &Holder::default()).unwrap() else {
            panic!("the first run holds it")
        };
        assert_eq!(holder.to_string(), "`rscale web=3` (pid 1, alice)");
        drop(lock);
        assert!(matches!(
            attempt(&path, &Holder::default()).unwrap(),
            Attempt::Taken(_)
        ));
    }

    #[test]
    fn projects_and_engines_have_locks_of_their_own() {
        let folder = std::path::Path::new("/locks");
        let local = path_of(folder, "shop", "unix:///var/run/docker.sock");
        assert_eq!(
            local,
            path_of(folder, "shop", "unix:///var/run/docker.sock")
        );
        assert_ne!(local, path_of(folder, "shop", "tcp://10.0.0.1:2376"));
        assert_ne!(
            local,
            path_of(folder, "shop2", "unix:///var/run/docker.sock")
        );
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let path = path_of(
            std::path::Path::new("/locks"),
            "../../etc/x",
            "unix:///../y",
        );
        assert_eq!(path.parent(), Some(std::path::Path::new("/locks")));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(folder.path(), "shop", "x");
        let elsewhere = folder.path().join("precious");
        std::fs::write(&elsewhere, "data").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(attempt(&path, &Holder::default()).is_err());
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "data");
    }
}
