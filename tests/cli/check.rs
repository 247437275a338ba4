//! `rscale check`.

use super::SHOP;
use crate::support::fake::{Fake, running};

const HARD: &str = "
services:
  named: {image: app, container_name: only}
  beat: {image: app, command: celery -A app beat}
  web: {image: app}
";

#[test]
fn nothing_in_the_way_is_said_as_such() {
    let ran = Fake::new(SHOP)
        .containers(running("web", 1))
        .line("check worker-a=5")
        .stdout("nothing stands in the way\n")
        .run();
    assert!(ran.changes().is_empty());
}

#[test]
fn what_would_be_refused_is_exit_3_with_rule_message_and_hint() {
    let ran = Fake::new(HARD)
        .containers(running("named", 1))
        .line("check named=2")
        .output();
    assert_eq!((ran.status, ran.stderr.as_str()), (3, ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].starts_with("error[container-name]: ") && lines[0].contains("only"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("  hint: "), "{lines:?}");
    assert!(ran.changes().is_empty());
}

#[test]
fn without_targets_every_service_is_asked_for_a_second_replica_and_nothing_is_refused() {
    let ran = Fake::new(HARD).line("check").output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    let rules: Vec<&str> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    assert_eq!(rules, ["scheduler", "container-name"], "{}", ran.stdout);
}

#[test]
fn force_and_current_replicas_count_here_too() {
    let beat = || Fake::new(HARD).containers(running("beat", 1));
    assert_eq!(beat().line("check beat=2").output().status, 3);
    let forced = beat().line("check beat=2 --force").output();
    assert_eq!(forced.status, 0, "{forced:#?}");
    assert!(
        forced.stdout.starts_with("warning[scheduler]: "),
        "{forced:#?}"
    );
    let expected = Fake::new(HARD)
        .containers(running("web", 1))
        .line("check web=2 --current-replicas 4")
        .output();
    assert_eq!(expected.status, 3);
    assert!(
        expected.stdout.starts_with("error[current-replicas]: "),
        "{expected:#?}"
    );
}

#[test]
fn relative_counts_are_resolved_against_what_runs() {
    let limited = "services: {web: {image: app, x-rscale: {max: 3}}}";
    let fake = |line| Fake::new(limited).containers(running("web", 2)).line(line);
    fake("check web=+1")
        .stdout("nothing stands in the way\n")
        .run();
    let ran = fake("check web=+2").output();
    assert_eq!(ran.status, 3, "{ran:#?}");
    assert!(ran.stdout.starts_with("error[limits]: "), "{ran:#?}");
}
