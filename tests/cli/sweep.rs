//! A sweep keeps its project from the first point to the last, is found when it is killed, and takes back only its own counts.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::SHOP;
use crate::support::background::Background;
use crate::support::fake::{Answer, Fake, running};

/// A sweep over one point, which sends commands; they find `docker` and what every system has.
fn sweep(command: &str) -> Fake {
    let fake = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("up --no-start", Answer::makes(running("worker-a", 2)))
        .on("^rm ", Answer::makes(running("worker-a", 1)))
        .on("^others-scale", Answer::makes(running("worker-a", 4)))
        .args(["load-test", "--sweep", "worker-a=2"])
        .args(["--tasks", "1", "--command", command]);
    let path = fake
        .environment()
        .into_iter()
        .find(|(name, _)| name == "PATH");
    let path = path.unwrap().1 + ":/usr/bin:/bin";
    fake.env("PATH", &path)
}

/// One that measures until its folder is gone.
fn measuring() -> (Fake, Background) {
    let fake = sweep("sh -c 'touch begun; while [ -e begun ]; do sleep 0.1; done'");
    let run = Background::of(fake.command());
    let (begun, began) = (fake.project_folder().join("begun"), Instant::now());
    while !begun.exists() {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "it does not begin"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    (fake, run)
}

#[test]
fn while_a_sweep_measures_nobody_else_scales() {
    let (fake, run) = measuring();
    let ran = fake.again("worker-a=3 --lock-timeout 0s").output();
    assert_eq!(ran.status, 1, "{ran:#?}");
    assert!(
        ran.stderr
            .contains("error: `rscale load-test --sweep worker-a=2` (pid "),
        "{ran:#?}"
    );
    run.signal(Signal::KILL);
    run.ended();
}

#[test]
fn a_sweep_that_is_killed_is_found_with_the_counts_before_it() {
    let (fake, run) = measuring();
    run.signal(Signal::KILL);
    run.ended();
    let ran = fake.again("status").output();
    assert!(
        ran.stderr
            .contains("`worker-a` had 1, now 2, new since: shop-worker-a-2"),
        "{ran:#?}"
    );
    assert!(
        ran.stderr.contains("hint: to undo it: rscale worker-a=1"),
        "{ran:#?}"
    );
}

#[test]
fn afterwards_the_counts_are_the_former_ones() {
    let ran = sweep("true").output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(ran.stderr.contains("back to worker-a=1"), "{ran:#?}");
    assert!(
        ran.changes().iter().any(|call| call.starts_with("rm ")),
        "{ran:#?}"
    );
}

#[test]
fn a_count_that_somebody_else_set_meanwhile_stays() {
    let ran = sweep("docker others-scale").output();
    assert!(!ran.stderr.contains("back to"), "{ran:#?}");
    let taken = ran
        .changes()
        .into_iter()
        .find(|call| call.starts_with("rm "));
    assert_eq!(taken, None, "{ran:#?}");
    assert!(
        ran.stderr
            .contains("`worker-a` has 4 replicas, which this sweep did not ask for"),
        "{ran:#?}"
    );
}
