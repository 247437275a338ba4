//! Bad input: one clear line, a hint, exit 2, and docker is not called a single time.

use super::SHOP;
use crate::support::fake::Fake;

/// Refused as wrong usage, before docker is asked anything.
#[track_caller]
fn refuses(args: &[&str], message: &str, hint: &str) {
    let ran = Fake::new(SHOP)
        .args(args.iter().copied())
        .stderr(&format!("error: {message}\n  hint: {hint}\n"))
        .status(2)
        .run();
    assert!(
        ran.calls.is_empty(),
        "{args:?} called docker: {:?}",
        ran.calls
    );
}

#[test]
fn refuses_what_is_no_target_with_one_line_and_a_hint() {
    let counts = "a count is 3, +2 or -1 (relative to the replicas there are now): rscale web=3";
    for (target, message, hint) in [
        (
            "web",
            "`web` has no count",
            "type a count after the service: rscale web=3",
        ),
        (
            "=3",
            "`=3` has no service",
            "type the service before the count: rscale web=3",
        ),
        ("web=", "`web=`: the count is missing", counts),
        ("web=1.5", "`web=1.5`: `1.5` is not a whole number", counts),
        ("web=-", "`web=-`: a number is missing after `-`", counts),
        ("web=+", "`web=+`: a number is missing after `+`", counts),
        (
            "web=99999999999",
            "`web=99999999999`: `99999999999` is too large",
            counts,
        ),
        (
            "web=three",
            "`web=three`: `three` is not a whole number",
            counts,
        ),
    ] {
        for command in [&[][..], &["scale"], &["check"]] {
            refuses(&[command, &[target]].concat(), message, hint);
        }
    }
}

#[test]
fn refuses_a_bad_target_behind_a_good_one() {
    refuses(
        &["db=1", "web"],
        "`web` has no count",
        "type a count after the service: rscale web=3",
    );
}

#[test]
fn refuses_one_service_with_two_counts() {
    for command in [&[][..], &["scale"], &["check"]] {
        refuses(
            &[command, &["web=3", "web=2"]].concat(),
            "`web` is given twice, as 3 and as 2",
            "keep one of them: rscale web=2",
        );
    }
}

#[test]
fn refuses_a_count_over_1000() {
    for target in ["web=1001", "web=+1001"] {
        refuses(
            &[target],
            &format!("`{target}` asks for more than 1000 replicas"),
            &format!("if that is meant: rscale --force {target}"),
        );
    }
}

#[test]
fn takes_a_count_over_1000_with_force() {
    let ran = Fake::new(SHOP)
        .line("worker-a=1001 --force --dry-run")
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(ran.stdout.starts_with("worker-a: 0 -> 1001\n"), "{ran:#?}");
}

#[test]
fn scale_all_refuses_what_is_no_count() {
    for (count, message) in [
        ("three", "`three` is not a whole number"),
        ("1.5", "`1.5` is not a whole number"),
        ("-", "a number is missing after `-`"),
        ("99999999999", "`99999999999` is too large"),
    ] {
        refuses(&["scale-all", count], message, "rscale scale-all 3");
    }
    let ran = Fake::new(SHOP).line("scale-all 1001").output();
    assert_eq!((ran.status, ran.calls.len()), (2, 0), "{ran:#?}");
    assert!(
        ran.stderr.contains("1001") && ran.stderr.contains("--force"),
        "{ran:#?}"
    );
}

#[test]
fn says_what_to_type_when_nothing_is() {
    for args in [&[][..], &["scale"]] {
        let ran = Fake::new(SHOP)
            .args(args.iter().copied())
            .stderr(
                "error: nothing to scale\n  hint: name services and counts: rscale web=3\n  \
                 hint: see what there is: rscale status\n",
            )
            .status(2)
            .run();
        assert!(ran.calls.is_empty());
    }
}

#[test]
fn finds_the_command_that_was_misspelt() {
    for (typed, meant) in [
        ("statsu", "status"),
        ("stauts", "status"),
        ("sacle", "scale"),
        ("chekc", "check"),
    ] {
        refuses(
            &[typed],
            &format!("`{typed}` is neither a command nor a target"),
            &format!("did you mean `rscale {meant}`?"),
        );
    }
}

#[test]
fn refuses_targets_before_a_command() {
    for (command, hint) in [
        ("scale", "put it behind: rscale scale web=3 ..."),
        ("check", "put it behind: rscale check web=3 ..."),
        ("status", "rscale scale web=3"),
    ] {
        refuses(
            &["web=3", command],
            "`web=3` stands before the command",
            hint,
        );
    }
}

/// Dropped silently, `--dry-run` in front of the command would scale.
#[test]
fn options_before_a_command_are_kept_or_refused() {
    for line in ["--dry-run scale worker-a=2", "--dry-run scale-all 2"] {
        let ran = Fake::new(SHOP).line(line).output();
        assert!(
            ran.changes().is_empty(),
            "{line} changed something: {:?}",
            ran.changes()
        );
        let kept = ran.status == 0 && ran.stdout.contains("worker-a: 0 -> 2\n");
        let refused = ran.status == 2 && ran.calls.is_empty() && ran.stderr.contains("--dry-run");
        assert!(kept || refused, "{line}: {ran:#?}");
    }
    let ran = Fake::new("services: {beat: {image: app, command: celery -A app beat}}")
        .line("--force check beat=2")
        .output();
    assert!(
        ran.status == 0 || (ran.status == 2 && ran.stderr.contains("--force")),
        "{ran:#?}"
    );
}

#[test]
fn refuses_wrong_values_of_options() {
    for (line, what) in [
        ("web=3 --step 0", "--step"),
        ("web=3 --step x", "--step"),
        ("web=3 --pull sometimes", "--pull"),
        (
            "web=3 --wait-timeout 5",
            "`5` is not a duration such as 90s or 1m30s",
        ),
        ("web=3 --stable=-1s", "`-1s` is negative"),
        ("web=3 --stop-timeout soon", "`soon` is not a duration"),
        ("web=3 --current-replicas few", "--current-replicas"),
        ("web=3 --nonsense", "--nonsense"),
        ("web=3 --format xml", "--format"),
        ("web=3 --color sometimes", "--color"),
        ("web=3 --step 2 --pause long", "`long` is not a duration"),
        ("scale-all", "COUNT"),
        ("status --watch often", "`often` is not a duration"),
        ("completions csh", "csh"),
    ] {
        let ran = Fake::new(SHOP).line(line).output();
        assert_eq!((ran.status, ran.calls.len()), (2, 0), "{line}: {ran:#?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(what),
            "{line}: {}",
            ran.stderr
        );
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn a_pause_wants_a_step() {
    let ran = Fake::new(SHOP).line("web=3 --pause 5s").output();
    assert_eq!((ran.status, ran.calls.len()), (2, 0), "{ran:#?}");
    assert!(ran.stderr.contains("--step"), "{ran:#?}");
}

#[test]
fn refuses_a_compose_command_that_is_none() {
    let ran = Fake::new(SHOP)
        .line("web=3")
        .args(["--compose-command", "'docker compose"])
        .stderr(
            "error: `--compose-command 'docker compose` is no command\n  \
             hint: rscale --compose-command 'docker compose' ...\n",
        )
        .status(2)
        .run();
    assert!(ran.calls.is_empty());
}

#[test]
fn an_unknown_service_is_told_with_the_nearest_and_all_others() {
    let services = "its services: db, web, worker-a, worker-b";
    for line in [
        "wrker-a=3",
        "scale wrker-a=3",
        "check wrker-a=3",
        "status wrker-a",
        "web=2 wrker-a=3",
    ] {
        let ran = Fake::new(SHOP)
            .line(line)
            .stderr(&format!(
                "error: project `shop` has no service `wrker-a`\n  hint: did you mean `worker-a`?\n  \
                 hint: {services}\n"
            ))
            .status(2)
            .run();
        assert!(ran.changes().is_empty());
    }
    Fake::new(SHOP)
        .line("zebra=3")
        .stderr(&format!(
            "error: project `shop` has no service `zebra`\n  hint: {services}\n"
        ))
        .status(2)
        .run();
}

#[test]
fn a_pattern_that_matches_nothing_is_told() {
    for flag in ["--only", "--except"] {
        Fake::new(SHOP)
            .args(["scale-all", "2", flag, "nosuch*"])
            .stderr("error: no service matches `nosuch*`\n  hint: the services: db, web, worker-a, worker-b\n")
            .status(2)
            .run();
    }
}
