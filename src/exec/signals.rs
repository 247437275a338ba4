//! The signals that interrupt rscale.

use super::interruption::Interruptions;

/// Starts to count SIGINT, SIGTERM and SIGHUP. Needs a running tokio runtime.
///
/// One that whoever started rscale has ignored stays ignored, as under `nohup` (SIGHUP) and in the background of
/// a shell without job control (SIGINT); that is known on Linux only.
///
/// # Errors
/// The operating system refuses the listener.
#[cfg(unix)]
pub(super) fn listen(interruptions: &Interruptions) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let ignored = ignored();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        if is_in(ignored, kind.as_raw_value()) {
            continue;
        }
        let mut signals = signal(kind)?;
        let interruptions = interruptions.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                interruptions.hear();
            }
        });
    }
    Ok(())
}

/// Starts to count Ctrl-C. Needs a running tokio runtime.
///
/// # Errors
/// The operating system refuses the listener.
#[cfg(windows)]
pub(super) fn listen(interruptions: &Interruptions) -> std::io::Result<()> {
    let mut signals = tokio::signal::windows::ctrl_c()?;
    let interruptions = interruptions.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            interruptions.hear();
        }
    });
    Ok(())
}

/// What asks a command to end: Ctrl-C, unless the command has inherited that it is ignored.
#[cfg(unix)]
pub(super) fn asking() -> rustix::process::Signal {
    use rustix::process::Signal;
    if is_in(ignored(), Signal::INT.as_raw()) {
        Signal::TERM
    } else {
        Signal::INT
    }
}

/// The signals that this process ignores, a bit for each (proc(5)); empty where there is no `/proc`.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status)
}

#[cfg(unix)]
fn ignored_in(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(unix)]
fn is_in(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}

#[cfg(all(test, unix))]
mod tests {
    use super::{ignored_in, is_in};

    #[test]
    fn reads_which_signals_are_ignored_from_proc() {
        let status = "Name:\trscale\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        let mask = ignored_in(status);
        let ignored: Vec<i32> = (1..=15).filter(|signal| is_in(mask, *signal)).collect();
        // SIGHUP, and SIGPIPE, which every Rust program ignores.
        assert_eq!(ignored, [1, 13]);
        assert_eq!(ignored_in(""), 0);
    }

    #[test]
    fn fuzzing_the_status_of_a_process() {
        let status = "Name:\trscale\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        crate::fuzzing::survives(&[status], |text| {
            let _ = ignored_in(text);
        });
    }
}
