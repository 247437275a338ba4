//! Signals, on a docker that does not answer.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::SHOP;
use crate::support::background::Background;
use crate::support::fake::{Answer, Container, Fake, running};

/// Two signals that are no closer than this are two.
const APART: Duration = Duration::from_millis(400);

/// A replica that is created and never starts.
fn never_starts() -> Fake {
    let created = [
        running("worker-a", 1),
        vec![Container::new("worker-a", 2, "created")],
    ];
    Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("up --no-start", Answer::makes(created.concat()))
        .on("^start ", Answer::waits())
        .line("worker-a=2")
}

/// `docker start` has two minutes, and after one Ctrl-C it had no limit at all.
#[test]
fn a_second_signal_ends_the_waiting() {
    let fake = never_starts();
    let run = Background::of(fake.command());
    fake.wait_for_call("start ");
    run.signal(Signal::INT);
    std::thread::sleep(APART);
    run.signal(Signal::TERM);
    let (status, _, stderr) = run.ended();
    assert_eq!(status, Some(130), "{stderr}");
    // Nothing was begun after that, and what is left was looked at.
    let calls = fake.calls();
    assert!(
        !calls.iter().any(|call| call.starts_with("rm ")),
        "{calls:#?}"
    );
    assert!(stderr.contains("rscale status"), "{stderr}");
}

/// What a roll-back runs is left alone by a first signal.
#[test]
fn a_second_signal_ends_a_roll_back() {
    let created = [
        running("worker-a", 1),
        vec![Container::new("worker-a", 2, "created")],
    ];
    let fake = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("up --no-start", Answer::makes(created.concat()))
        .on("^start ", Answer::fails("no"))
        .on("^rm ", Answer::waits())
        .line("worker-a=2");
    let run = Background::of(fake.command());
    fake.wait_for_call("rm ");
    run.signal(Signal::INT);
    std::thread::sleep(APART);
    run.signal(Signal::INT);
    let (status, stdout, stderr) = run.ended();
    assert_ne!(status, Some(0), "{stdout}{stderr}");
    assert!(stderr.contains("the roll-back failed"), "{stdout}{stderr}");
}

/// `timeout: 1s` of a refresh was forgotten after Ctrl-C: it ran as long as it liked and counted as done.
#[test]
fn a_first_signal_leaves_a_commands_own_limit() {
    let refresh = "refresh: [{service: lb, exec: [reload], timeout: 1s}]";
    let services =
        format!("services: {{lb: {{image: app}}, web: {{image: app, x-rscale: {{{refresh}}}}}}}");
    let lb = running("lb", 1);
    let two = [lb.clone(), running("web", 2)].concat();
    let fake = Fake::new(&services)
        .containers([lb, running("web", 1)].concat())
        .on("up --no-start", Answer::makes(two))
        .on("exec shop-lb-1 reload", Answer::waits())
        .on("^exec ", Answer::waits())
        .line("web=2");
    let run = Background::of(fake.command());
    fake.wait_for_call("exec ");
    run.signal(Signal::INT);
    let (status, stdout, stderr) = run.ended();
    assert_ne!(status, Some(0), "{stdout}{stderr}");
    assert!(stderr.contains("did not end within 1s"), "{stdout}{stderr}");
}

/// It ended with 130 and `scaled`, and without a word of why.
#[test]
fn an_interruption_that_comes_too_late_is_said() {
    let created = [
        running("worker-a", 1),
        vec![Container::new("worker-a", 2, "created")],
    ];
    let started = running("worker-a", 2);
    let fake = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("up --no-start", Answer::makes(created.concat()))
        .on("^start ", Answer::waits().leaving(started))
        .line("worker-a=2 --no-wait");
    let run = Background::of(fake.command());
    fake.wait_for_call("start ");
    run.signal(Signal::INT);
    std::thread::sleep(APART);
    fake.go_on();
    let (status, stdout, stderr) = run.ended();
    assert_eq!(status, Some(130), "{stdout}{stderr}");
    assert!(stdout.contains("1 -> 2  scaled"), "{stdout}{stderr}");
    assert!(
        stderr.contains("interrupted when all but the end was done: nothing was rolled back"),
        "{stdout}{stderr}"
    );
}

/// Its handler replaced an ignored SIGHUP, so that a terminal that closes rolled it back.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    for (name, signal) in [("HUP", Signal::HUP), ("INT", Signal::INT)] {
        let fake = Fake::new(SHOP)
            .containers(running("web", 1))
            .on("^ps ", Answer::waits())
            .line("status");
        let rscale = fake.command();
        let mut command = Command::new("/bin/sh");
        let script = format!("trap '' {name}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(rscale.get_program());
        command.args(rscale.get_args()).env_clear();
        let env = rscale.get_envs();
        command.envs(env.filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(fake.project_folder());
        let run = Background::of(command);
        fake.wait_for_call("ps ");
        run.signal(signal);
        std::thread::sleep(APART);
        run.signal(signal);
        fake.go_on();
        let (status, _, stderr) = run.ended();
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{name}");
    }
}

/// The same signals, where nobody ignores them.
#[test]
fn a_signal_ends_what_only_reads() {
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        let fake = Fake::new(SHOP).on("^ps ", Answer::waits()).line("status");
        let run = Background::of(fake.command());
        fake.wait_for_call("ps ");
        run.signal(signal);
        let (status, _, stderr) = run.ended();
        assert_eq!(
            (status, stderr.as_str()),
            (Some(130), "error: interrupted\n")
        );
    }
}
