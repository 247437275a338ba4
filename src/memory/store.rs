//! The state store: a folder of this user's in which rscale remembers things from run to run. Nobody else may write to
//! it, and no link in it is followed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::whole::{Readers, write_whole};

/// Nothing in a name leads out of a folder, and no two names become one.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A folder of the store.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Names of folders, each in the one before.
    below: Vec<String>,
}

/// Where the store is: RSCALE_STATE_DIR, else the place that the system has for such things; `None` where it has none.
pub fn place() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = named("RSCALE_STATE_DIR") {
        return Some(folder.into());
    }
    #[cfg(windows)]
    return named("LOCALAPPDATA").map(|folder| Path::new(&folder).join("rscale"));
    #[cfg(not(windows))]
    {
        // XDG Base Directory Specification: a relative path is to be ignored.
        let state = named("XDG_STATE_HOME").map(PathBuf::from);
        if let Some(folder) = state.filter(|folder| folder.is_absolute()) {
            return Some(folder.join("rscale"));
        }
        if rustix::process::geteuid().is_root() {
            return Some("/var/lib/rscale".into());
        }
        let home = named("HOME").map(PathBuf::from)?;
        home.is_absolute().then(|| home.join(".local/state/rscale"))
    }
}

impl Store {
    /// The store at a folder, which need not be there yet: it is made when something is written.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether anything was ever remembered.
    pub fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// The folder of a project on an engine.
    pub fn project(&self, engine: &str, project: &str) -> Folder {
        let name = |text: &str| utf8_percent_encode(text, NAME).to_string();
        Folder {
            root: self.root.clone(),
            below: vec![name(engine), name(project)],
        }
    }

    /// The folder of what belongs to no project.
    pub fn folder(&self) -> Folder {
        Folder {
            root: self.root.clone(),
            below: Vec::new(),
        }
    }
}

impl Folder {
    /// What a file says, `None` where there is none. Of a file that is longer than so many bytes its last lines are read.
    ///
    /// # Errors
    /// The folder or the file is not this user's own, or cannot be read.
    pub fn read(&self, file: &str, limit: u64) -> io::Result<Option<String>> {
        let Some(folder) = self.find()? else {
            return Ok(None);
        };
        let path = folder.join(file);
        let mut file = match open(OpenOptions::new().read(true), &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        let skipped = length.saturating_sub(limit);
        file.seek(SeekFrom::Start(skipped))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole = if skipped > 0 {
            text.split_once('\n').map_or("", |(_, whole)| whole)
        } else {
            &text
        };
        Ok(Some(whole.to_owned()))
    }

    /// Adds a line to a file, in one write.
    ///
    /// # Errors
    /// The folder or the file is not this user's own, or cannot be written.
    pub fn append(&self, file: &str, line: &str) -> io::Result<()> {
        let path = self.make()?.join(file);
        let mut file = open(OpenOptions::new().create(true).append(true), &path)?;
        file.write_all(format!("{line}\n").as_bytes())
            .map_err(|error| at(&path, &error))
    }

    /// Writes a file whole.
    ///
    /// # Errors
    /// The folder is not this user's own, or cannot be written.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let path = self.make()?.join(file);
        write_whole(&path, text, Readers::Owner).map_err(|error| at(&path, &error))
    }

    /// The folder where it is there.
    fn find(&self) -> io::Result<Option<PathBuf>> {
        let mut path = self.root.clone();
        let mut names = self.below.iter();
        loop {
            match path.symlink_metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(at(&path, &error)),
                Ok(data) => own(&path, &data)?,
            }
            match names.next() {
                Some(name) => path.push(name),
                None => return Ok(Some(path)),
            }
        }
    }

    /// The folder, made where it is not there.
    fn make(&self) -> io::Result<PathBuf> {
        if let Some(path) = self.find()? {
            return Ok(path);
        }
        if let Some(parent) = self.root.parent() {
            fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
        }
        let mut path = self.root.clone();
        let mut names = self.below.iter();
        loop {
            let mut builder = DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(at(&path, &error));
                }
                _ => own(&path, &path.symlink_metadata()?)?,
            }
            match names.next() {
                Some(name) => path.push(name),
                None => return Ok(path),
            }
        }
    }
}

/// Refuses a folder that is a link, somebody else's, or one that others may write to.
fn own(path: &Path, data: &fs::Metadata) -> io::Result<()> {
    let refused = |why: &str| {
        let message = format!("`{}` {why}", path.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    };
    if !data.is_dir() {
        return refused("is no folder");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if data.uid() != rustix::process::geteuid().as_raw() {
            return refused("belongs to another user");
        }
        if data.mode() & 0o022 != 0 {
            return refused("can be written by others");
        }
    }
    Ok(())
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options.open(path).map_err(|error| at(path, &error))
}

/// The same error, with where it was.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::Store;

    #[test]
    fn what_is_written_is_read_and_of_long_files_the_last_lines() {
        let root = tempfile::tempdir().unwrap();
        let folder = Store::at(root.path().join("state")).project("a:b/../c", "shop");
        assert_eq!(folder.read("log", 100).unwrap(), None);
        for line in ["one", "two", "three"] {
            folder.append("log", line).unwrap();
        }
        assert_eq!(
            folder.read("log", 100).unwrap().unwrap(),
            "one\ntwo\nthree\n"
        );
        assert_eq!(folder.read("log", 8).unwrap().unwrap(), "three\n");
        folder.write("log", "other\n").unwrap();
        assert_eq!(folder.read("log", 100).unwrap().unwrap(), "other\n");
        // Nothing but the store was made, and no name leads out of it.
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn engines_and_projects_have_folders_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::at(root.path().join("state"));
        let pairs = [
            ("a", "b"),
            ("a", "B"),
            ("a/b", ""),
            ("a%2Fb", ""),
            ("a", "/b"),
        ];
        for (engine, project) in pairs {
            let folder = store.project(engine, project);
            assert_eq!(folder.read("log", 9).unwrap(), None, "{engine} {project}");
            folder.append("log", "x").unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn it_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let store = Store::at(root.path().join("state"));
        store.project("a", "b").append("log", "x").unwrap();
        for (path, mode) in [
            ("state", 0o700),
            ("state/a/b", 0o700),
            ("state/a/b/log", 0o600),
        ] {
            let data = root.path().join(path).metadata().unwrap();
            assert_eq!(data.permissions().mode() & 0o777, mode, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_write_to_and_links_are_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state");
        let (store, precious) = (Store::at(&state), root.path().join("precious"));
        let project = store.project("a", "b");
        project.append("log", "x").unwrap();
        std::fs::write(&precious, "data").unwrap();
        std::fs::remove_file(state.join("a/b/log")).unwrap();
        symlink(&precious, state.join("a/b/log")).unwrap();
        assert!(project.append("log", "y").is_err());
        assert!(project.read("log", 9).is_err());
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "data");
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
        let refused = project.write("log", "y").unwrap_err().to_string();
        assert!(refused.ends_with("can be written by others"), "{refused}");
        let linked = root.path().join("linked");
        symlink(&state, &linked).unwrap();
        let refused = Store::at(&linked).folder().append("log", "y").unwrap_err();
        assert!(refused.to_string().ends_with("is no folder"), "{refused}");
    }
}
