//! `rscale scale`, and `rscale SERVICE=COUNT` which is the same.

use super::SHOP;
use crate::support::fake::{Answer, Container, Fake, running};

fn shop() -> Fake {
    Fake::new(SHOP).containers([running("db", 2), running("web", 1)].concat())
}

/// `web` grows from one to three.
fn growing() -> Fake {
    shop()
        .on(
            "^start ",
            Answer::makes([running("db", 2), running("web", 3)].concat()),
        )
        .on(
            "up --no-start",
            Answer::makes(
                [
                    running("db", 2),
                    running("web", 1),
                    vec![
                        Container::new("web", 2, "created"),
                        Container::new("web", 3, "created"),
                    ],
                ]
                .concat(),
            ),
        )
}

/// The outcome without the time that it took, which differs from run to run.
fn timeless(stdout: &str) -> String {
    let timeless = |line: &str| match (line.split_once(" in "), line.rfind(" (")) {
        (Some((before, _)), Some(at)) => before.to_owned() + " in TIME" + &line[at..],
        _ => line.to_owned(),
    };
    stdout.lines().map(|line| timeless(line) + "\n").collect()
}

#[test]
fn scales_with_and_without_the_word() {
    for line in ["web=3", "scale web=3", "web=+2", "scale web=+2"] {
        let ran = growing().line(line).output();
        assert_eq!(ran.status, 0, "{ran:#?}");
        assert_eq!(
            timeless(&ran.stdout),
            "web  1 -> 3  scaled in TIME (3 running)\nother services: 2 containers untouched\n"
        );
        assert_eq!(ran.stderr, "");
        let mut changes = ran.changes();
        assert_eq!(
            changes.remove(0),
            "compose up --no-start --no-recreate --scale web=3 --scale db=2 web"
        );
        // They are started at the same time.
        changes.sort_unstable();
        assert_eq!(changes, ["start web-2-id", "start web-3-id"]);
    }
}

#[test]
fn removes_the_highest_number_with_the_grace_that_was_typed() {
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 2))
        .on("rm --force", Answer::makes(running("worker-a", 1)))
        .line("worker-a=-1 --stop-timeout 90s")
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert_eq!(
        timeless(&ran.stdout),
        "worker-a  2 -> 1  scaled in TIME (1 running)\n"
    );
    assert_eq!(
        ran.changes(),
        ["stop -t 90 worker-a-2-id", "rm --force worker-a-2-id"]
    );
}

#[test]
fn a_wish_that_is_met_changes_nothing() {
    let ran = shop()
        .line("web=1 db=+0")
        .stdout("db   2  unchanged (2 running)\nweb  1  unchanged (1 running)\n")
        .run();
    assert!(ran.changes().is_empty());
}

#[test]
fn one_service_twice_with_one_count_is_fine() {
    shop()
        .line("web=1 web=1")
        .stdout("web  1  unchanged (1 running)\nother services: 2 containers untouched\n")
        .run();
}

#[test]
fn a_dry_run_prints_the_plan_and_its_commands_and_changes_nothing() {
    let plan = "\
web: 1 -> 3
1. create web up to 3
   $ docker compose up --no-start --no-recreate --scale web=3 --scale db=2 web
2. start what does not run of web
   $ docker start shop-web-2
   $ docker start shop-web-3
3. verify every replica of web
";
    let ran = growing().line("web=3 --dry-run").stdout(plan).run();
    assert!(ran.changes().is_empty());
}

#[test]
fn without_waiting_nothing_is_verified() {
    let ran = growing().line("web=3 --no-wait").output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(
        !ran.calls.iter().any(|call| call.starts_with("inspect")),
        "{:#?}",
        ran.calls
    );
    assert_eq!(ran.changes().len(), 3);
}

#[test]
fn what_the_preflight_refuses_is_exit_3_and_untouched() {
    let ran = Fake::new("services: {web: {image: app, container_name: only}}")
        .containers(running("web", 1))
        .line("web=2")
        .output();
    assert_eq!(ran.status, 3, "{ran:#?}");
    assert!(
        ran.stderr.starts_with("error[container-name]: "),
        "{ran:#?}"
    );
    assert!(ran.stderr.contains("\n  hint: "), "{ran:#?}");
    assert!(
        !ran.stderr.contains("--force"),
        "force does not help: {ran:#?}"
    );
    assert!(ran.changes().is_empty());
}

#[test]
fn what_is_a_matter_of_policy_can_be_forced() {
    let beat = "services: {beat: {image: app, command: celery -A app beat}}";
    let refused = Fake::new(beat)
        .containers(running("beat", 1))
        .line("beat=2 --dry-run")
        .output();
    assert_eq!(refused.status, 3, "{refused:#?}");
    assert!(
        refused.stderr.starts_with("error[scheduler]: "),
        "{refused:#?}"
    );
    assert!(
        !refused.stdout.contains("$ docker"),
        "nothing of it would be run: {refused:#?}"
    );
    assert!(
        refused
            .stderr
            .contains("  hint: what is a matter of policy can be overruled: rscale --force ...\n")
    );
    let forced = Fake::new(beat)
        .containers(running("beat", 1))
        .line("beat=2 --dry-run --force")
        .output();
    assert_eq!(forced.status, 0, "{forced:#?}");
    assert!(
        forced.stderr.starts_with("warning[scheduler]: "),
        "{forced:#?}"
    );
    assert!(forced.stdout.starts_with("beat: 1 -> 2\n"));
}

#[test]
fn below_zero_is_refused() {
    let ran = shop().line("web=-2").output();
    assert_eq!(ran.status, 3, "{ran:#?}");
    assert!(ran.stderr.starts_with("error[limits]: "), "{ran:#?}");
    assert!(ran.changes().is_empty());
}

#[test]
fn refuses_when_another_count_was_expected() {
    let ran = shop().line("web=3 --current-replicas 2").output();
    assert_eq!(ran.status, 3, "{ran:#?}");
    assert!(
        ran.stderr.starts_with("error[current-replicas]: "),
        "{ran:#?}"
    );
    assert!(ran.changes().is_empty());
    let ran = growing().line("web=3 --current-replicas 1").output();
    assert_eq!(ran.status, 0, "{ran:#?}");
}

#[test]
fn a_replica_that_exits_is_rolled_back_and_its_log_is_shown() {
    let crashed = [
        running("worker-a", 1),
        vec![Container::new("worker-a", 2, "exited").exit_code(3)],
    ]
    .concat();
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .log("worker-a-2-id", "loading\nno such queue\n")
        .on("^start ", Answer::makes(crashed))
        .on("rm --force", Answer::makes(running("worker-a", 1)))
        .on(
            "up --no-start",
            Answer::makes(
                [
                    running("worker-a", 1),
                    vec![Container::new("worker-a", 2, "created")],
                ]
                .concat(),
            ),
        )
        .line("worker-a=2")
        .stdout("worker-a  1 -> 2  rolled back (1 running)\n")
        .stderr(
            "rolling back: `shop-worker-a-2` exited with code 3\n\
             error: `shop-worker-a-2` exited with code 3\n  \
             hint: leave it there to look at it: rscale --keep ...\n\
             last lines of shop-worker-a-2:\n  | loading\n  | no such queue\n",
        )
        .status(1)
        .run();
    assert_eq!(
        ran.changes().last(),
        Some(&"rm --force --volumes worker-a-2-id")
    );
}

#[test]
fn keep_leaves_what_failed_for_inspection() {
    let crashed = [
        running("worker-a", 1),
        vec![Container::new("worker-a", 2, "exited").exit_code(3)],
    ]
    .concat();
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("^start ", Answer::makes(crashed))
        .on(
            "up --no-start",
            Answer::makes([running("worker-a", 1), vec![Container::new("worker-a", 2, "created")]].concat()),
        )
        .line("worker-a=2 --keep")
        .stdout("worker-a  1 -> 2  failed (1 running)\n")
        .stderr("error: `shop-worker-a-2` exited with code 3\n  hint: look at it: docker inspect shop-worker-a-2\n")
        .status(1)
        .run();
    assert!(!ran.changes().iter().any(|call| call.starts_with("rm ")));
}

#[test]
fn a_rollback_that_fails_says_so() {
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on(
            "rm --force",
            Answer::fails("Error response from daemon: device or resource busy"),
        )
        .on(
            "up --no-start",
            Answer::fails("Error response from daemon: No such image: app").leaving(
                [
                    running("worker-a", 1),
                    vec![Container::new("worker-a", 2, "created")],
                ]
                .concat(),
            ),
        )
        .line("worker-a=2")
        .output();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr
            .contains("  hint: the roll-back failed as well ("),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("see what is there: rscale status"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "worker-a  1 -> 2  failed (1 running)\n");
}

#[test]
fn a_dependency_without_containers_is_started_and_told() {
    let ran = Fake::new(SHOP)
        .on(
            "up --detach",
            Answer::makes([running("db", 1), running("web", 1)].concat()),
        )
        .line("web=1")
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert_eq!(
        ran.stderr,
        "starting `db` (1) as well: it is a dependency and does not run\n"
    );
    assert_eq!(
        ran.changes(),
        ["compose up --detach --no-recreate --scale web=1 --scale db=1 web"]
    );
}

#[test]
fn another_run_on_the_project_is_named_and_waited_for_until_the_limit() {
    use crate::support::fake::ENGINE_ID;
    use rscale::testing::lock::{Attempt, Holder, attempt, path_of};
    let fake = growing().line("web=3 --lock-timeout 0s");
    let path = path_of(&fake.lock_folder(), "shop", ENGINE_ID);
    let holder = Holder {
        pid: 4711,
        user: "alice".into(),
        command: "rscale web=9".into(),
        ..Holder::default()
    };
    let Attempt::Taken(lock) = attempt(&path, &holder).unwrap() else {
        panic!("nobody holds it yet")
    };
    let ran = fake
        .stderr(
            "error: `rscale web=9` (pid 4711, alice) still scales project `shop` after 0s\n  \
             hint: wait longer: rscale --lock-timeout 10m ...\n",
        )
        .status(1)
        .run();
    assert!(ran.changes().is_empty());
    let waiting = growing().line("web=3 --lock-timeout 300ms");
    let path = path_of(&waiting.lock_folder(), "shop", ENGINE_ID);
    let Attempt::Taken(second) = attempt(&path, &holder).unwrap() else {
        panic!("nobody holds it yet")
    };
    let ran = waiting.output();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.starts_with(
            "waiting for `rscale web=9` (pid 4711, alice), which scales project `shop`\n"
        ),
        "{}",
        ran.stderr
    );
    // A dry run changes nothing, so it waits for nobody.
    drop(second);
    let Attempt::Taken(second) = attempt(&path, &holder).unwrap() else {
        panic!("nobody holds it")
    };
    assert_eq!(waiting.args(["--dry-run"]).output().status, 0);
    drop((lock, second));
}

#[test]
fn pull_and_build_go_to_compose() {
    let ran = growing().line("web=3 --build --pull never").output();
    assert_eq!(
        ran.changes()[0],
        "compose up --no-start --no-recreate --build --pull never --scale web=3 --scale db=2 web"
    );
}

#[test]
fn compose_v1_is_recognised_and_has_no_pull_policy() {
    let v1 = || {
        growing()
            .on("version --short", Answer::prints("1.29.2\n"))
            .args(["--compose-command", "docker"])
    };
    let ran = v1().line("web=3 --pull always").output();
    assert_eq!(ran.status, 2, "{ran:#?}");
    assert!(
        ran.stderr
            .starts_with("error: this Compose has no `--pull` policy\n  hint: "),
        "{ran:#?}"
    );
    assert!(ran.changes().is_empty());
}

#[test]
fn a_replica_is_outdated_only_when_the_resolved_model_says_so() {
    let web = |hash: &str| {
        let mut containers = running("web", 2);
        containers[0].config_hash = hash.into();
        containers
    };
    let scene = |hash: &str, resolved: Answer| {
        let fake = Fake::new(SHOP)
            .containers(web(hash))
            .on(
                "--file - --project-name shop --profile * config --hash",
                resolved,
            )
            .on("config --hash", Answer::prints("web unresolved\n"));
        let ran = fake.line("web=1 --dry-run").output();
        let asked = ran.calls.iter().filter(|call| call.contains("--hash"));
        (asked.count(), ran.stdout)
    };
    let resolved = || Answer::prints("web resolved\n");
    for (hash, answer, asked, victim) in [
        ("unresolved", resolved(), 1, "shop-web-2 (highest number)"),
        ("resolved", resolved(), 2, "shop-web-2 (highest number)"),
        ("old", resolved(), 2, "shop-web-1 (older configuration)"),
        // What is not known is not said.
        ("old", Answer::fails("no"), 2, "shop-web-2 (highest number)"),
    ] {
        let (count, stdout) = scene(hash, answer);
        assert_eq!(count, asked, "{hash}");
        assert!(stdout.contains(victim), "{hash}: {stdout}");
    }
}

/// Sums with it overflowed in the middle of a scale.
#[test]
fn no_duration_is_too_long() {
    let created = [
        running("worker-a", 1),
        vec![Container::new("worker-a", 2, "created")],
    ];
    let age = "9223372036854775807s";
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 1))
        .on("up --no-start", Answer::makes(created.concat()))
        .on("^start ", Answer::makes(running("worker-a", 2)))
        .line(&format!(
            "worker-a=2 --wait-timeout {age} --lock-timeout {age} --stop-timeout {age}"
        ))
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    let ran = Fake::new(SHOP)
        .containers(running("worker-a", 2))
        .on("^rm ", Answer::makes(running("worker-a", 1)))
        .line(&format!("worker-a=1 --stop-timeout {age}"))
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
}
