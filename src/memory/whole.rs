//! Files that are written whole or not at all: beside their place first, under a name that nobody can foresee, then
//! renamed into it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// This user alone.
    Owner,
    /// Whomever the umask lets.
    Usual,
}

/// Writes a file. A device or a pipe is written to, not replaced; a link is replaced, not followed.
///
/// # Errors
/// The file system refuses; what was there before still is.
pub fn write_whole(file: &Path, text: &str, readers: Readers) -> io::Result<()> {
    if file.exists() && !file.is_file() {
        return fs::write(file, text);
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".rscale-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = match readers {
            Readers::Owner => 0o600,
            Readers::Usual => 0o666,
        };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = readers;
    let mut beside = builder.tempfile_in(folder_of(file))?;
    beside.write_all(text.as_bytes())?;
    beside.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// The folder that a file is in.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{Readers, write_whole};

    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (file, precious) = (folder.path().join("a"), folder.path().join("precious"));
        std::fs::write(&precious, "data").unwrap();
        symlink(&precious, &file).unwrap();
        write_whole(&file, "new", Readers::Usual).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "data");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_for_the_owner_alone_is_so_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        write_whole(&file, "new", Readers::Owner).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_device_is_written_to() {
        write_whole(std::path::Path::new("/dev/null"), "x", Readers::Usual).unwrap();
        assert!(!std::path::Path::new("/dev/null").is_file());
    }
}
