//! A run that is killed is found: the next command says what was begun, and how to finish or undo it.

use rustix::process::Signal;

use super::SHOP;
use crate::support::background::Background;
use crate::support::fake::{Answer, Container, Fake, running};

/// `rscale worker-a=2`, killed when the new replica is there and is about to be started.
fn killed() -> Fake {
    let fake = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("up --no-start", Answer::makes(half_made()))
        .on("^start ", Answer::waits().once())
        .on("^start ", Answer::makes(running("worker-a", 2)))
        .line("scale worker-a=2 --step 1 --stop-timeout 7s");
    let run = Background::of(fake.command());
    fake.wait_for_call("start ");
    run.signal(Signal::KILL);
    run.ended();
    fake.go_on();
    fake
}

fn half_made() -> Vec<Container> {
    [
        running("worker-a", 1),
        vec![Container::new("worker-a", 2, "created")],
    ]
    .concat()
}

const TOLD: &str =
    "and was killed before it ended: `worker-a` 1 -> 2, now 2, new since: shop-worker-a-2";

#[test]
fn status_says_what_was_begun_and_how_to_finish_or_undo_it() {
    let ran = killed().again("status").output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(ran.stderr.contains(TOLD), "{ran:#?}");
    assert!(
        ran.stderr
            .contains("hint: to finish it: rscale worker-a=2; to undo it: rscale worker-a=1"),
        "{ran:#?}"
    );
    // Who it was is told by subcommand and targets; what else was typed may be a secret.
    assert!(ran.stderr.contains("`rscale worker-a=2` (pid "), "{ran:#?}");
}

#[test]
fn status_has_it_as_json() {
    let document = killed().again("status --format json").output().json();
    let killed = &document["killed_runs"][0];
    assert_eq!(killed["command"], "rscale worker-a=2");
    assert_eq!(killed["finish"], "rscale worker-a=2");
    assert_eq!(killed["undo"], "rscale worker-a=1");
    let service = &killed["services"][0];
    assert_eq!(
        (
            &service["name"],
            &service["from"],
            &service["to"],
            &service["now"]
        ),
        (&"worker-a".into(), &1.into(), &2.into(), &2.into())
    );
    assert_eq!(service["new"], serde_json::json!(["shop-worker-a-2"]));
}

#[test]
fn check_and_a_dry_run_warn_of_it() {
    for line in ["check worker-b=1", "worker-b=1 --dry-run"] {
        let ran = killed().again(line).output();
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("warning[killed-run]: "), "{line}: {ran:#?}");
        assert!(said.contains(TOLD), "{line}: {ran:#?}");
    }
}

#[test]
fn a_load_test_says_it_before_it_measures() {
    let ran = killed()
        .again("load-test --tasks 1 --redis-list redis://127.0.0.1:9 --key k --payload x")
        .output();
    assert!(ran.stderr.contains(TOLD), "{ran:#?}");
}

#[test]
fn the_same_command_again_finishes_it_and_then_nothing_is_told() {
    let fake = killed().again("worker-a=2");
    let ran = fake.output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(ran.stderr.contains("this run finishes it"), "{ran:#?}");
    let after = fake.again("status").output();
    assert!(!after.stderr.contains("killed"), "{after:#?}");
}

#[test]
fn what_is_on_its_way_is_not_taken_for_killed() {
    let fake = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("up --no-start", Answer::makes(half_made()))
        .on("^start ", Answer::waits())
        .line("worker-a=2");
    let run = Background::of(fake.command());
    fake.wait_for_call("start ");
    let ran = fake.again("status").output();
    assert!(!ran.stderr.contains("killed"), "{ran:#?}");
    run.signal(Signal::KILL);
    run.ended();
}

#[test]
fn without_a_store_it_is_said_once_and_everything_else_works() {
    let fake = Fake::new(SHOP)
        .containers(running("worker-a", 2))
        .on("^rm", Answer::makes(running("worker-a", 1)))
        .env("RSCALE_STATE_DIR", "/dev/null/none")
        .line("worker-a=1");
    let ran = fake.output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert_eq!(
        ran.stderr.matches("is not remembered").count(),
        1,
        "{ran:#?}"
    );
    let ran = fake.again("status").output();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:#?}");
}

/// Options may be secrets; the journal has subcommands and targets.
#[test]
fn the_journal_has_no_options() {
    let fake = killed();
    let mut folders = vec![fake.state_folder()];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    assert!(text.contains("rscale worker-a=2"), "{text}");
    assert!(!text.contains("stop-timeout"), "{text}");
}

/// `docker start` of a killed run still works: until it has ended nobody else begins anything.
#[test]
fn the_lock_is_held_for_as_long_as_a_command_of_a_killed_run_works() {
    let fake = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("up --no-start", Answer::makes(half_made()))
        .on("^start ", Answer::waits().once())
        .on("^start ", Answer::makes(running("worker-a", 2)))
        .line("worker-a=2");
    let run = Background::of(fake.command());
    fake.wait_for_call("start ");
    run.signal(Signal::KILL);
    run.ended();
    let fake = fake.again("worker-a=2 --lock-timeout 200ms");
    let waiting = fake.output();
    assert_eq!(waiting.status, 1, "{waiting:#?}");
    assert!(
        waiting
            .stderr
            .contains("waiting: a command of `rscale worker-a=2` (pid "),
        "{waiting:#?}"
    );
    assert!(
        waiting
            .stderr
            .contains("), which was killed, still works on project `shop` after 200ms"),
        "{waiting:#?}"
    );
    fake.go_on();
    let ran = fake.again("worker-a=2").output();
    assert_eq!(ran.status, 0, "{ran:#?}");
}

#[test]
fn a_run_that_undoes_it_is_told_so() {
    let ran = killed().again("worker-a=1 --dry-run").output();
    assert!(ran.stderr.contains("hint: this run undoes it"), "{ran:#?}");
}
