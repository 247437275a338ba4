//! Files that commands inherit which change something: the lock of a project is held for as long as anything of a run
//! still works, also when the run itself was killed.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, Weak};

static SHARED: Mutex<Vec<Weak<File>>> = Mutex::new(Vec::new());

/// Has commands that are started from now on inherit an open file, for as long as it is kept.
pub fn share(file: &Arc<File>) {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.retain(|file| file.strong_count() > 0);
    shared.push(Arc::downgrade(file));
}

/// Starts a command that inherits the shared files; no other does. Elsewhere than on Unix nothing is inherited: there
/// a killed run takes along what it started.
pub fn spawn<T>(start: impl FnOnce() -> T) -> T {
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let files: Vec<Arc<File>> = shared.iter().filter_map(Weak::upgrade).collect();
    set(&files, true);
    let started = start();
    set(&files, false);
    started
}

#[cfg(unix)]
fn set(files: &[Arc<File>], inherited: bool) {
    use rustix::io::{FdFlags, fcntl_setfd};
    let flags = if inherited {
        FdFlags::empty()
    } else {
        FdFlags::CLOEXEC
    };
    for file in files {
        // Without it the lock is as long as the run, as it is on systems that have no such thing.
        let _ = fcntl_setfd(file, flags);
    }
}

#[cfg(not(unix))]
fn set(_files: &[Arc<File>], _inherited: bool) {}
