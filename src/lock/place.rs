//! Where the lock of a project is.

use std::path::{Path, PathBuf};

/// The file that stands for a project on an engine, by the engine's own id: however its address is spelled, it is one.
pub fn path_of(folder: &Path, project: &str, engine: &str) -> PathBuf {
    let plain = |text: &str| -> String {
        let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        text.chars()
            .map(|c| if keep(c) { c } else { '-' })
            .collect()
    };
    let (project, engine) = (plain(project), plain(engine));
    folder.join(format!("rscale-{project}@{engine}.lock"))
}

/// Where the locks are: RSCALE_LOCK_DIR, else the folder that every user may write to.
pub fn folder() -> PathBuf {
    let named = std::env::var_os("RSCALE_LOCK_DIR");
    if let Some(folder) = named.filter(|value| !value.is_empty()) {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::path_of;

    #[test]
    fn projects_and_engines_have_locks_of_their_own() {
        let folder = Path::new("/locks");
        let local = path_of(folder, "shop", "ABCD:EFGH");
        assert_eq!(local, path_of(folder, "shop", "ABCD:EFGH"));
        assert_ne!(local, path_of(folder, "shop", "ABCD:XYZ"));
        assert_ne!(local, path_of(folder, "shop2", "ABCD:EFGH"));
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let path = path_of(Path::new("/locks"), "../../etc/x", "unix:///../y");
        assert_eq!(path.parent(), Some(Path::new("/locks")));
    }
}
