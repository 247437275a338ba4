//! The examples, as their READMEs tell them: real software on a real engine.

mod bullmq_api;
mod ci;
mod django_celery_nginx;
mod gunicorn_caddy;
mod kubernetes;
mod quickstart;
pub mod rabbitmq_workers;
mod stream_dispatcher;
#[cfg(target_os = "linux")]
mod swarm;

use crate::support::engine::{Project, Ran};

/// Runs `make load-test`; fails unless all tasks of every type were completed.
#[track_caller]
fn load_test(project: &Project, types: &[&str]) -> Ran {
    let ran = project.make(&["load-test", "TASKS=20"]).succeeded();
    for name in types {
        let mut lines = ran.stdout.lines();
        let row = lines.find_map(|line| line.strip_prefix(name)).unwrap_or("");
        // SENT, COMPLETED, FAILED, LOST
        let counts: Vec<&str> = row.split_whitespace().take(4).collect();
        assert_eq!(counts, ["20", "20", "0", "0"], "{name}\n{ran}");
    }
    ran
}
