//! How a replica leaves: drain, wait, `pre_stop` hooks, then the end signal and its grace.

use std::time::Duration;

use super::operation::operation;
use crate::duration;
use crate::export::Warning;
use crate::export::yaml::{Item, Yaml};
use crate::project::declared::{Hook, Service};
use crate::project::policy::Drain;

/// What Kubernetes gives a pod that says nothing.
const USUAL_GRACE: Duration = Duration::from_secs(30);
/// For commands to be started and their end to be seen.
const MARGIN: Duration = Duration::from_secs(5);
/// Time limit of a `pre_stop` hook when rscale runs it.
const HOOK_LIMIT: Duration = Duration::from_secs(300);

/// What the file says of it.
#[derive(Debug)]
pub struct Leaving {
    /// Between the end signal and the kill, and where that is from.
    grace: (Duration, &'static str),
    drain: Option<Drain>,
    hooks: Vec<Hook>,
}

impl Leaving {
    /// `None` where there is nothing that Kompose does not carry itself.
    pub fn of(service: &Service) -> Option<Self> {
        let policy = &service.policy;
        let says =
            policy.stop_timeout.is_some() || policy.drain.is_some() || !service.pre_stop.is_empty();
        let grace = match (policy.stop_timeout, service.stop_grace_period) {
            (Some(grace), _) => (grace, "stop-timeout"),
            (None, Some(grace)) => (grace, "stop_grace_period"),
            (None, None) => (USUAL_GRACE, "Kubernetes' own"),
        };
        says.then(|| Self {
            grace,
            drain: policy.drain.clone(),
            hooks: service.pre_stop.clone(),
        })
    }

    /// The whole of it: Kubernetes starts to count before the `preStop` hook, not behind it.
    /// <https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#hook-handler-execution>
    pub fn total(&self) -> Duration {
        let seconds: Duration = self.addends().into_iter().map(|(time, _)| time).sum();
        Duration::from_secs(seconds.as_secs() + u64::from(seconds.subsec_nanos() > 0))
    }

    fn addends(&self) -> Vec<(Duration, String)> {
        let mut addends = vec![(self.grace.0, self.grace.1.to_owned())];
        if let Some(drain) = &self.drain {
            addends.push((drain.timeout, "drain.timeout".into()));
            addends.push((drain.wait, "drain.wait".into()));
        }
        let hooks = u32::try_from(self.hooks.len()).unwrap_or(u32::MAX);
        addends.push((HOOK_LIMIT.saturating_mul(hooks), "pre_stop".into()));
        if self.drain.is_some() || hooks > 0 {
            addends.push((MARGIN, "to spare".into()));
        }
        addends.retain(|(time, _)| !time.is_zero());
        addends
    }

    /// What the patch does.
    pub fn operations(&self) -> Vec<Item> {
        let addends = self.addends();
        let sum: Vec<String> = addends
            .iter()
            .map(|(time, what)| format!("{} ({what})", duration::exact(*time)))
            .collect();
        let mut comment = sum.join(" + ");
        comment.push('.');
        if addends.len() > 1 {
            comment.push_str(
                " The time of preStop counts, so this is the longest that all of it may take.",
            );
        }
        let mut operations = vec![operation(
            comment,
            "/spec/template/spec/terminationGracePeriodSeconds",
            Yaml::number(self.total().as_secs()),
        )];
        if let Some((command, comment)) = self.pre_stop() {
            let exec = Yaml::map([("command", Yaml::texts(command))]);
            operations.push(operation(
                comment.to_owned(),
                "/spec/template/spec/containers/0/lifecycle",
                Yaml::map([("preStop", Yaml::map([("exec", exec)]))]),
            ));
        }
        operations
    }

    /// The command that runs before the end signal.
    fn pre_stop(&self) -> Option<(Vec<String>, &'static str)> {
        let mut lines = Vec::new();
        if let Some(drain) = &self.drain {
            if drain.wait.is_zero() && self.hooks.is_empty() {
                return Some((
                    drain.exec.clone(),
                    "`drain`. When it fails the replica goes all the same.",
                ));
            }
            lines.push(line(&drain.exec));
            let seconds = drain.wait.as_secs() + u64::from(drain.wait.subsec_nanos() > 0);
            if seconds > 0 {
                lines.push(format!("sleep {seconds}"));
            }
        }
        lines.extend(self.hooks.iter().map(hook_line));
        let comment = match (&self.drain, self.hooks.is_empty()) {
            (None, true) => return None,
            (None, false) => {
                "`pre_stop`; the image needs a shell. When one fails the replica goes all the same."
            }
            (Some(_), true) => {
                "`drain` and its wait; the image needs `sh` and `sleep`. When it fails the replica goes all the same."
            }
            (Some(_), false) => {
                "`drain`, its wait and `pre_stop`; the image needs `sh` and `sleep`. When one fails the replica goes \
                 all the same."
            }
        };
        let script = lines.join("\n");
        Some((vec!["sh".into(), "-c".into(), script], comment))
    }

    /// What Kubernetes has nothing for.
    pub fn lost(&self, service: &str) -> Option<Warning> {
        let other_user = self
            .hooks
            .iter()
            .any(|hook| hook.user.is_some() || hook.privileged);
        other_user.then(|| {
            Warning::of(
                service,
                format!("a pre_stop hook of `{service}` runs as another user, and in Kubernetes as the container's"),
                "see whether it may do there what it has to",
            )
        })
    }
}

/// A command as a shell reads it.
fn line(words: &[String]) -> String {
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

fn hook_line(hook: &Hook) -> String {
    let mut words = Vec::new();
    if !hook.environment.is_empty() {
        words.push("env".to_owned());
        words.extend(
            hook.environment
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
    }
    words.extend(hook.command.iter().cloned());
    match &hook.working_dir {
        Some(folder) => format!(
            "(cd {} && {})",
            line(std::slice::from_ref(folder)),
            line(&words)
        ),
        None => line(&words),
    }
}
