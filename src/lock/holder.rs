//! Who holds a lock, for whoever has to wait for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::plain;

/// Letters of each of its texts that are taken from what others wrote.
const LIMIT: usize = 200;

/// Who holds a lock, as the holder wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub user: String,
    /// The machine that it runs on.
    #[serde(default)]
    pub host: String,
    /// Subcommand and targets, as they could be typed; nothing else of what was, which may be secret.
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
            host: host_name(),
            command,
            since: since.as_secs(),
        }
    }

    /// Reads what a holder wrote: anybody may have written anything, so it comes out plain and short. Nobody in
    /// particular where it cannot be read.
    pub fn read(text: &str) -> Self {
        let mut holder: Self = serde_json::from_str(text).unwrap_or_default();
        for text in [&mut holder.user, &mut holder.host, &mut holder.command] {
            *text = plain::line(text).chars().take(LIMIT).collect();
        }
        holder
    }

    /// Whether it is known to have ended: its process is no more, on this machine.
    pub fn is_dead(&self) -> bool {
        self.host == host_name() && !self.host.is_empty() && !is_alive(self.pid)
    }
}

/// `rscale web=3` (pid 4711, alice).
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

#[cfg(unix)]
fn is_alive(pid: u32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Whoever may not be signalled is there all the same.
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// It is not asked: what is not known to be dead is waited for.
#[cfg(not(unix))]
fn is_alive(_pid: u32) -> bool {
    true
}

/// This machine's name; empty where it has none.
pub fn host_name() -> String {
    #[cfg(unix)]
    return rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Holder;

    #[test]
    fn what_others_wrote_comes_out_plain_and_short() {
        let text = format!(
            r#"{{"pid":1,"user":"a\u001b]0;x\u0007","command":"{}","since":0}}"#,
            "x".repeat(9000)
        );
        let shown = Holder::read(&text).to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert!(shown.len() < 300, "{}", shown.len());
        assert_eq!(Holder::read("garbage").to_string(), "another rscale run");
        assert_eq!(Holder::read("").to_string(), "another rscale run");
    }

    #[cfg(unix)]
    #[test]
    fn dead_is_only_what_ended_on_this_machine() {
        let this = Holder::this_run("rscale web=3".into());
        assert!(!this.is_dead());
        // The highest that Linux gives is 2^22.
        let gone = Holder {
            pid: (1 << 22) + 1,
            ..this
        };
        assert!(gone.is_dead());
        let elsewhere = Holder {
            host: "elsewhere".into(),
            ..gone
        };
        assert!(!elsewhere.is_dead());
    }
}
