//! What rscale promises of every scale, a module each: nothing else changes, all or nothing, every replica
//! counts, the right replica goes, one at a time, interrupted is not broken. Each promise has a test that
//! fails when it is broken.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::engine::{Engine, Project, Ran, Running, entry, names};

/// A service whose new replicas do what the files in `./flag` say: crash, or be unhealthy.
const TROUBLE: &str = r#"
x-trouble: &trouble
  image: busybox:1
  init: true
  volumes: ["./flag:/flag"]
  command: [sh, -c, "if test -f /flag/crash; then echo boom-$$HOSTNAME; exit 3; fi; test -f /flag/sick || touch /tmp/well; exec sleep 900"]
"#;
/// A check that passes once the replica above is well.
const CHECK: &str = "{test: [CMD, test, -f, /tmp/well], interval: 400ms, timeout: 30s, retries: 5}";

fn trouble(services: &str) -> Option<Project> {
    let project = Engine::project(&format!(
        "{TROUBLE}services:\n{}",
        services.replace("CHECK", CHECK)
    ))?;
    project.write("flag/none", "");
    Some(project)
}

/// Runs what must fail, and proves that nothing of it stayed.
#[track_caller]
fn rolls_back(project: &Project, args: &[&str], because: &str) -> serde_json::Value {
    let before = project.all_ids();
    let ran = project.json(args).exited(1).says(because);
    assert_eq!(
        project.all_ids(),
        before,
        "not what there was before\n{ran}"
    );
    assert!(
        project
            .containers()
            .iter()
            .all(|container| container.state == "running"),
        "{ran}"
    );
    let document = ran.document();
    assert_eq!(document["outcome"], "rolled_back", "{ran}");
    assert!(
        document["error"].as_str().unwrap().contains(because),
        "{ran}"
    );
    document
}

mod nothing_else_changes {
    use super::*;

    /// `web` needs `db`, which needs `store`; `other` is no one's business; `front` needs `web`.
    const SHOP: &str = "
services:
  web: {<<: *app, depends_on: [db], WEB}
  db: {<<: *app, depends_on: {store: {condition: service_started}}}
  store: *app
  other: *app
  front: {<<: *app, depends_on: {web: {condition: service_started, restart: true}}}
configs: {greeting: {content: hello}}
";

    fn shop(web: &str) -> Option<Project> {
        let project = Engine::project(&SHOP.replace("WEB", web))?;
        project.compose(&[
            "up", "-d", "--scale", "db=4", "--scale", "store=2", "--scale", "other=3",
        ]);
        project.assert_running(&[
            ("db", 4),
            ("store", 2),
            ("other", 3),
            ("web", 1),
            ("front", 1),
        ]);
        Some(project)
    }

    fn keeps_all_but(project: &Project, service: &str, args: &[&str]) {
        let others = |project: &Project| {
            let mut ids = project.all_ids();
            ids.retain(|(name, _), _| name != service);
            ids
        };
        let (before, kept) = (others(project), project.ids(service));
        let ran = project.json(args).succeeded();
        assert_eq!(others(project), before, "{ran}");
        for (number, id) in project.ids(service) {
            assert!(
                kept.get(&number).is_none_or(|old| *old == id),
                "{service} {number} is another\n{ran}"
            );
        }
        let document = ran.document();
        assert_eq!(document["outcome"], "scaled", "{ran}");
        assert_eq!(
            document["untouched"],
            json!({"containers": before.len(), "changed": []}),
            "{ran}"
        );
    }

    #[test]
    fn dependencies_and_strangers_keep_their_containers_and_counts() {
        let Some(project) = shop("") else { return };
        keeps_all_but(&project, "web", &["web=3"]);
        project.assert_running(&[
            ("db", 4),
            ("store", 2),
            ("other", 3),
            ("web", 3),
            ("front", 1),
        ]);
        keeps_all_but(&project, "web", &["web=1"]);
        keeps_all_but(&project, "db", &["db=5"]);
        project.assert_running(&[
            ("db", 5),
            ("store", 2),
            ("other", 3),
            ("web", 1),
            ("front", 1),
        ]);
        project.assert_a_later_up_recreates_nothing();
    }

    /// Compose starts these replicas itself, which is another way through rscale and through Compose.
    #[test]
    fn the_same_where_compose_starts_the_replicas() {
        let Some(project) = shop("configs: [greeting]") else {
            return;
        };
        keeps_all_but(&project, "web", &["web=3"]);
        project.assert_running(&[
            ("db", 4),
            ("store", 2),
            ("other", 3),
            ("web", 3),
            ("front", 1),
        ]);
        project.assert_a_later_up_recreates_nothing();
    }

    /// Before Compose 2.29.3 `--no-deps` changes the configuration hash, and the next `up` recreates all.
    #[test]
    fn scaling_without_dependencies_leaves_the_hash_as_it_is() {
        let Some(project) = shop("") else { return };
        keeps_all_but(&project, "web", &["--no-deps", "web=3"]);
        project.assert_a_later_up_recreates_nothing();
    }

    #[test]
    fn replicas_of_the_scaled_service_are_not_recreated_when_the_file_changed() {
        let Some(project) =
            Engine::project("services: {web: {<<: *app, environment: {COLOUR: $COLOUR}}}")
        else {
            return;
        };
        project.set("COLOUR", "red");
        project.compose(&["up", "-d"]);
        project.set("COLOUR", "blue");
        keeps_all_but(&project, "web", &["web=2"]);
        let colour = |number| {
            let name = project.container("web", number);
            project.docker(&["exec", &name, "sh", "-c", "echo $COLOUR"])
        };
        assert_eq!((colour(1), colour(2)), ("red".into(), "blue".into()));
    }
}

mod all_or_nothing {
    use super::*;

    #[test]
    fn one_service_crashes_and_both_go_back() {
        let Some(project) = trouble("  good: *app\n  bad: *trouble\n  idle: *app\n") else {
            return;
        };
        project.compose(&["up", "-d"]);
        project.crash_from_now_on();
        let document = rolls_back(&project, &["good=3", "bad=2"], "exited with code 3");
        for name in ["good", "bad"] {
            let service = entry(&document["services"], name);
            assert_eq!(service["outcome"], "rolled_back");
            assert_eq!(
                (&service["created"], &service["removed"]),
                (&json!([]), &json!([]))
            );
            assert_eq!(service["running"], 1);
        }
        assert_eq!(entry(&document["services"], "good")["error"], json!(null));
        assert_eq!(
            document["untouched"],
            json!({"containers": 1, "changed": []})
        );
    }

    /// Replicas are added before any is taken away, so the one that was to go is still the old one.
    #[test]
    fn a_service_that_shrinks_beside_one_that_crashes_keeps_its_replicas() {
        let Some(project) = trouble("  good: *app\n  bad: *trouble\n") else {
            return;
        };
        project.compose(&["up", "-d", "--scale", "good=3"]);
        project.crash_from_now_on();
        rolls_back(&project, &["good=1", "bad=2"], "exited with code 3");
    }

    #[test]
    fn the_last_lines_of_the_failed_replica_are_shown() {
        let Some(project) = trouble("  bad: *trouble\n") else {
            return;
        };
        project.compose(&["up", "-d"]);
        project.crash_from_now_on();
        let ran = project.rscale(&["bad=2"]).exited(1);
        let ran = ran
            .says(&format!("last lines of {}-bad-2:", project.name()))
            .says("  | boom-");
        assert!(ran.stdout.contains("rolled back"), "{ran}");
    }

    #[test]
    fn what_was_started_along_goes_as_well() {
        let Some(project) = trouble("  db: *app\n  bad: {<<: *trouble, depends_on: [db]}\n") else {
            return;
        };
        project.crash_from_now_on();
        let ran = project.json(&["bad=2"]).exited(1);
        assert_eq!(ran.document()["outcome"], "rolled_back", "{ran}");
        assert_eq!(project.containers(), [], "{ran}");
    }

    #[test]
    fn a_step_that_fails_takes_the_steps_before_it_back() {
        // The first of the new replicas gets the slot, every other one crashes.
        let Some(project) = trouble(
            "  bad: {<<: *trouble, command: [sh, -c, 'if test -f /flag/crash; then mkdir /flag/slot || exit 3; fi; exec sleep 900']}\n",
        ) else {
            return;
        };
        project.compose(&["up", "-d"]);
        project.crash_from_now_on();
        let document = rolls_back(&project, &["bad=4", "--step", "1"], "exited with code 3");
        let ups = document["commands"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|line| line.as_str().unwrap().contains(" up "));
        assert_eq!(ups.count(), 2, "{document:#}");
        assert_eq!(
            project.list("flag"),
            ["crash", "none", "slot"],
            "the first step did not happen"
        );
    }

    #[test]
    fn replicas_that_were_removed_in_earlier_steps_come_back() {
        let Some(project) = trouble(
            "  good: *app\n  bad: {<<: *trouble, command: [sh, -c, 'if test -f /flag/crash; then mkdir /flag/slot || exit 3; fi; exec sleep 900']}\n",
        ) else {
            return;
        };
        project.compose(&["up", "-d", "--scale", "good=3"]);
        let (good, bad) = (project.ids("good"), project.ids("bad"));
        project.crash_from_now_on();
        let document = project
            .json(&["good=1", "bad=3", "--step", "1"])
            .exited(1)
            .document();
        assert_eq!(document["outcome"], "rolled_back", "{document:#}");
        assert!(
            names(&document["commands"])
                .iter()
                .any(|line| line.starts_with("docker stop")),
            "{document:#}"
        );
        project.assert_running(&[("good", 3), ("bad", 1)]);
        assert_eq!(project.ids("bad"), bad);
        // The first step took the third away; another has its place.
        let after = project.ids("good");
        assert_eq!((&after[&1], &after[&2]), (&good[&1], &good[&2]));
        assert_eq!(
            entry(&document["services"], "good")["running"],
            3,
            "{document:#}"
        );
    }

    #[test]
    fn what_can_be_refused_is_refused_before_anything_is_touched() {
        let Some(project) =
            Engine::project("services: {web: *app, only: {<<: *app, container_name: $NAME}}")
        else {
            return;
        };
        project.set("NAME", &format!("{}-fixed", project.name()));
        let document = project.json(&["web=3", "only=2"]).exited(3).document();
        assert_eq!(
            (&document["outcome"], &document["commands"]),
            (&json!("refused"), &json!([]))
        );
        assert_eq!(project.containers(), []);
        let networks = project.docker(&[
            "network",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", project.name()),
        ]);
        assert_eq!(networks, "", "a network was made");
    }
}

mod every_replica_counts {
    use super::*;

    /// `docker compose up --wait` believes the first replica and calls this done.
    #[test]
    fn one_of_several_that_exits_is_a_failure() {
        let Some(project) = trouble(
            "  bad: {<<: *trouble, command: [sh, -c, 'if test -f /flag/crash; then mkdir /flag/slot || exit 3; fi; exec sleep 900']}\n",
        ) else {
            return;
        };
        project.compose(&["up", "-d"]);
        project.crash_from_now_on();
        rolls_back(&project, &["bad=3"], "exited with code 3");
    }

    #[test]
    fn one_that_turns_unhealthy_is_a_failure() {
        let Some(project) = trouble("  bad: {<<: *trouble, healthcheck: CHECK}\n") else {
            return;
        };
        project.compose(&["up", "-d", "--wait"]);
        project.write("flag/sick", "");
        rolls_back(&project, &["bad=2"], "became unhealthy");
    }

    #[test]
    fn one_that_does_not_become_healthy_in_time_is_a_failure() {
        let Some(project) = trouble(
            "  bad: {<<: *trouble, healthcheck: {test: [CMD, test, -f, /tmp/well], interval: 400ms, start_period: 5m}}\n",
        ) else {
            return;
        };
        project.compose(&["up", "-d", "--wait"]);
        project.write("flag/sick", "");
        rolls_back(
            &project,
            &["bad=2", "--wait-timeout", "2s"],
            "not healthy yet after 2s",
        );
    }

    #[test]
    fn done_means_healthy_not_just_started() {
        let Some(project) = trouble(
            "  web: {<<: *trouble, command: [sh, -c, 'sleep 2; touch /tmp/well; exec sleep 900'], healthcheck: {test: [CMD, test, -f, /tmp/well], interval: 300ms, start_period: 1m}}\n",
        ) else {
            return;
        };
        let document = project.json(&["web=2"]).succeeded().document();
        let web = entry(&document["services"], "web");
        assert_eq!(
            (&web["running"], &web["healthy"]),
            (&json!(2), &json!(2)),
            "{document:#}"
        );
        assert!(web["seconds"].as_f64().unwrap() >= 2.0, "{document:#}");
        for number in [1, 2] {
            let name = project.container("web", number);
            let health =
                project.docker(&["inspect", "--format", "{{.State.Health.Status}}", &name]);
            assert_eq!(health, "healthy");
        }
    }

    #[test]
    fn one_that_the_engine_restarts_again_and_again_is_a_failure() {
        let Some(project) = trouble("  bad: {<<: *trouble, restart: always}\n") else {
            return;
        };
        project.compose(&["up", "-d"]);
        project.crash_from_now_on();
        rolls_back(&project, &["bad=2"], "restarted 3 times, last exit code 3");
    }

    #[test]
    fn one_that_dies_within_the_stability_window_is_a_failure() {
        let Some(project) = trouble(
            "  bad: {<<: *trouble, command: [sh, -c, 'test -f /flag/crash && { sleep 2; exit 7; }; exec sleep 900']}\n",
        ) else {
            return;
        };
        project.compose(&["up", "-d"]);
        project.crash_from_now_on();
        rolls_back(&project, &["bad=2", "--stable", "4s"], "exited with code 7");
    }

    #[test]
    fn a_missing_image_is_a_failure_with_a_cause() {
        let Some(project) = Engine::project("services: {web: {<<: *app, image: $IMAGE}}") else {
            return;
        };
        project.set("IMAGE", "busybox:1");
        project.compose(&["up", "-d"]);
        // Nothing listens on port 1, so no registry has to be waited for.
        project.set("IMAGE", "localhost:1/nosuch:1");
        rolls_back(&project, &["web=2"], "registry cannot be reached");
        rolls_back(
            &project,
            &["web=2", "--pull", "never"],
            "the image does not exist",
        );
    }

    #[test]
    fn a_command_that_does_not_exist_is_a_failure() {
        for init in ["true", "false"] {
            let Some(project) = Engine::project(&format!(
                "services: {{web: {{<<: *app, init: {init}, command: [$WHAT, '900']}}}}"
            )) else {
                return;
            };
            project.set("WHAT", "sleep");
            project.compose(&["up", "-d"]);
            project.set("WHAT", "/no/such/program");
            rolls_back(
                &project,
                &["web=2"],
                if init == "true" {
                    "exited with code 127"
                } else {
                    "/no/such/program"
                },
            );
        }
    }
}

mod the_right_replica_goes {
    use super::*;

    #[test]
    fn broken_ones_then_outdated_ones_then_the_highest_number() {
        let Some(project) = trouble(
            "  exited: *app
  unhealthy: {<<: *trouble, healthcheck: CHECK}
  outdated: {<<: *app, environment: {AGE: $AGE}}
  equal: *app
",
        ) else {
            return;
        };
        project.set("AGE", "old");
        project.compose(&[
            "up",
            "-d",
            "--scale",
            "exited=3",
            "--scale",
            "unhealthy=3",
            "--scale",
            "outdated=2",
            "--scale",
            "equal=3",
        ]);
        project.set("AGE", "new");
        project.compose(&[
            "up",
            "-d",
            "--no-recreate",
            "--scale",
            "outdated=4",
            "outdated",
        ]);
        project.docker(&["kill", &project.container("exited", 2)]);
        let sick = project.container("unhealthy", 1);
        (1..=3).for_each(|number| project.wait_for("unhealthy", number, "(healthy)"));
        project.docker(&["exec", &sick, "rm", "/tmp/well"]);
        project.wait_for("unhealthy", 1, "(unhealthy)");
        project.wait_for("exited", 2, "Exited");
        let document = project
            .json(&["exited=2", "unhealthy=2", "outdated=3", "equal=2"])
            .succeeded()
            .document();
        assert_eq!(project.numbers("exited"), [1, 3], "{document:#}");
        assert_eq!(project.numbers("unhealthy"), [2, 3], "{document:#}");
        assert_eq!(project.numbers("outdated"), [1, 3, 4], "{document:#}");
        assert_eq!(project.numbers("equal"), [1, 2], "{document:#}");
        let removed = entry(&document["services"], "outdated")["removed"].clone();
        assert_eq!(removed, json!([format!("{}-outdated-2", project.name())]));
        // The rest of the old ones, then the highest of the new.
        project.json(&["outdated=1"]).succeeded();
        assert_eq!(project.numbers("outdated"), [3]);
    }

    #[test]
    fn with_an_env_file_it_is_outdated_only_once_that_changed() {
        let yaml = "services: {web: {<<: *app, env_file: web.env}}";
        let Some(project) = Engine::project(yaml) else {
            return;
        };
        project.write("web.env", "A=1$2\n");
        project.compose(&["up", "-d", "--scale", "web=3"]);
        let last = |reason: &str| format!("{} ({reason})", project.container("web", 3));
        let ran = project.rscale(&["--dry-run", "web=2"]).succeeded();
        assert!(ran.stdout.contains(&last("highest number")), "{ran}");
        project.write("web.env", "A=2\n");
        project.compose(&["up", "-d", "--no-recreate", "--scale", "web=4"]);
        let ran = project.rscale(&["--dry-run", "web=3"]).succeeded();
        assert!(ran.stdout.contains(&last("older configuration")), "{ran}");
        project.json(&["web=1"]).succeeded();
        assert_eq!(project.numbers("web"), [4]);
    }

    #[test]
    fn dead_before_unhealthy_before_good() {
        let Some(project) = trouble("  web: {<<: *trouble, healthcheck: CHECK}\n") else {
            return;
        };
        project.compose(&["up", "-d", "--wait", "--scale", "web=4"]);
        project.docker(&["exec", &project.container("web", 1), "rm", "/tmp/well"]);
        project.docker(&["kill", &project.container("web", 2)]);
        project.wait_for("web", 1, "(unhealthy)");
        let order = |count: &str| {
            let ran = project.rscale(&["--dry-run", count]).succeeded();
            let removed = ran
                .stdout
                .split_whitespace()
                .filter(|word| word.starts_with(project.name()));
            let mut numbers: Vec<String> = removed
                .filter_map(|word| Some(word.rsplit_once('-')?.1.to_owned()))
                .collect();
            numbers.dedup();
            numbers
        };
        assert_eq!(order("web=3")[0], "2");
        let document = project.json(&["web=2"]).succeeded().document();
        assert_eq!(project.numbers("web"), [3, 4], "{document:#}");
        let mut removed = names(&entry(&document["services"], "web")["removed"]);
        removed.sort_unstable();
        assert_eq!(
            removed,
            [
                format!("{}-web-1", project.name()),
                format!("{}-web-2", project.name())
            ]
        );
    }
}

mod one_at_a_time {
    use super::*;

    #[test]
    fn two_runs_at_once_end_in_one_of_the_two_wishes() {
        let Some(project) = Engine::project("services: {web: *app}") else {
            return;
        };
        project.compose(&["up", "-d", "--scale", "web=3"]);
        for round in 0..4 {
            // Compose itself leaves replicas 1, 2, 4 and 5 here.
            let runs = [project.start(&["web=5"]), project.start(&["web=2"])];
            for run in runs {
                run.ended().succeeded();
            }
            let states = project.states("web");
            assert!(
                states.values().all(|state| state == "running"),
                "round {round}: {states:?}"
            );
            let numbers: Vec<u32> = states.into_keys().collect();
            assert!(
                matches!(numbers.as_slice(), [1, 2] | [1, 2, 3, 4, 5]),
                "round {round}: {numbers:?}"
            );
        }
    }

    /// A run that holds the lock for a while: it rests between its two steps.
    const SLOW: &[&str] = &["web=3", "--step", "1", "--pause", "15s"];
    /// One that holds it for as long as a test lasts.
    const HELD: &[&str] = &["web=3", "--step", "1", "--pause", "1h"];

    fn interrupt(run: Running) {
        run.signal(Signal::INT);
        run.ended().exited(130);
    }

    #[test]
    fn the_second_run_says_for_whom_it_waits() {
        let Some(project) = Engine::project("services: {web: *app}") else {
            return;
        };
        project.compose(&["up", "-d"]);
        let first = project.start(SLOW);
        first.wait_until_it_says("pausing");
        let second = project.start(&["web=1"]);
        second.wait_until_it_says(&format!("waiting for `rscale web=3` (pid {}", first.pid()));
        let first = first.ended().succeeded();
        let second = second.ended().succeeded();
        assert!(first.took > Duration::from_secs(15), "{first}");
        assert!(
            second.stdout.contains("3 -> 1"),
            "the second run began before the first was done\n{second}"
        );
        project.assert_running(&[("web", 1)]);
    }

    /// One engine under several spellings of its address has one lock, whose file is gone afterwards.
    #[test]
    fn however_the_engine_is_spelled_it_is_one() {
        let Some(project) = Engine::project("services: {web: *app}") else {
            return;
        };
        project.compose(&["up", "-d"]);
        let first = project.start(HELD);
        first.wait_until_it_says("pausing");
        let socket = std::env::var("DOCKER_HOST").ok();
        let socket = socket.and_then(|host| host.strip_prefix("unix://").map(str::to_owned));
        let socket = socket.unwrap_or_else(|| "/var/run/docker.sock".to_owned());
        let link = project.folder().join("link.sock");
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        for host in [
            format!("unix://{}", link.display()),
            format!("unix:///{socket}"),
        ] {
            let mut command = project.rscale_command(&["web=1", "--lock-timeout", "100ms"]);
            command.env("DOCKER_HOST", host);
            Ran::of(command).exited(1).says("still scales project");
        }
        interrupt(first);
        assert_eq!(project.locks(), [""; 0]);
    }

    #[test]
    fn the_second_run_gives_up_after_the_lock_timeout() {
        let Some(project) = Engine::project("services: {web: *app}") else {
            return;
        };
        project.compose(&["up", "-d"]);
        let first = project.start(HELD);
        first.wait_until_it_says("pausing");
        let ids = project.ids("web");
        let second = project
            .rscale(&["web=1", "--lock-timeout", "300ms"])
            .exited(1);
        second
            .says("still scales project")
            .says("hint: wait longer: rscale --lock-timeout");
        assert_eq!(project.ids("web"), ids);
        // Looking changes nothing, so it does not wait either.
        let look = ["web=1", "--dry-run", "--lock-timeout", "1h"];
        project.rscale(&look).succeeded();
        interrupt(first);
    }

    #[test]
    fn the_same_project_from_another_directory_waits_too() {
        let Some(project) = Engine::project("services: {web: *app}") else {
            return;
        };
        project.compose(&["up", "-d"]);
        let first = project.start(HELD);
        first.wait_until_it_says("pausing");
        let file = project.folder().join("compose.yaml");
        let mut command = project.rscale_command(&[
            "-p",
            project.name(),
            "-f",
            file.to_str().unwrap(),
            "web=1",
            "--lock-timeout",
            "300ms",
        ]);
        let elsewhere = tempfile::tempdir().unwrap();
        command.current_dir(elsewhere.path());
        let second = Ran::of(command).exited(1);
        second.says("waiting for `rscale web=3");
        interrupt(first);
    }
}

mod interrupted_is_not_broken {
    use super::*;

    /// Fails unless there are as many replicas as before or as were wished for, and all containers run.
    #[track_caller]
    fn whole(project: &Project, before: &[Vec<String>; 2], wish: usize) {
        let after = project.containers();
        assert!(
            after.iter().all(|container| container.state == "running"),
            "{after:#?}"
        );
        let [web, others] = snapshot(project);
        assert!(
            web.len() == before[0].len() || web.len() == wish,
            "neither {before:?} nor {wish}: {after:#?}"
        );
        assert_eq!(others, before[1], "another service changed");
    }

    /// The ids of `web`, and those of everything else.
    fn snapshot(project: &Project) -> [Vec<String>; 2] {
        let (web, others): (Vec<_>, Vec<_>) = project
            .all_ids()
            .into_iter()
            .partition(|((service, _), _)| service == "web");
        [web, others].map(|ids| ids.into_iter().map(|(_, id)| id).collect())
    }

    /// Interrupts a scale-up that waits for a replica to become healthy.
    fn while_waiting_for_health(signals: &[Signal]) {
        let Some(project) = trouble(
            "  web: {<<: *trouble, healthcheck: {test: [CMD, test, -f, /tmp/well], interval: 400ms, start_period: 5m}}
  other: *app
",
        ) else {
            return;
        };
        project.compose(&["up", "-d", "--wait"]);
        let before = snapshot(&project);
        project.write("flag/sick", "");
        let run = project.start(&["web=3", "--format", "json"]);
        project.wait_until("3 run", || project.running().get("web") == Some(&3));
        for signal in signals {
            run.signal(*signal);
            thread::sleep(Duration::from_millis(100));
        }
        let ran = run.ended().exited(130).says("interrupted");
        assert_eq!(ran.document()["outcome"], "interrupted", "{ran}");
        assert_eq!(snapshot(&project), before, "{ran}");
        project.assert_running(&[("web", 1), ("other", 1)]);
    }

    #[test]
    fn ctrl_c_while_waiting_for_health() {
        while_waiting_for_health(&[Signal::INT]);
    }

    #[test]
    fn sigterm_while_waiting_for_health() {
        while_waiting_for_health(&[Signal::TERM]);
    }

    /// A terminal that closes and systemd send two signals, which mean one thing.
    #[test]
    fn two_signals_at_once() {
        while_waiting_for_health(&[Signal::STOP, Signal::INT, Signal::HUP, Signal::CONT]);
    }

    /// A second Ctrl-C ends the roll-back as well, here that of a replica that takes its time to stop.
    #[test]
    fn ctrl_c_pressed_again() {
        let Some(project) = Engine::project(
            r#"services:
  web:
    <<: *app
    stop_grace_period: 30m
    volumes: ["./log:/log"]
    command: [sh, -c, "trap 'touch /log/told' TERM; while :; do sleep 0.1; done"]
    healthcheck: {test: [CMD, "true"], interval: 1h, start_period: 2h}
  other: *app
"#,
        ) else {
            return;
        };
        project.write("log/none", "");
        project.compose(&["up", "-d", "--scale", "web=0"]);
        let others = snapshot(&project);
        let run = project.start(&["web=1"]);
        project.wait_until("one runs", || project.running().get("web") == Some(&1));
        run.signal(Signal::INT);
        project.wait_until("it is told to stop", || {
            project.list("log").iter().any(|name| name == "told")
        });
        let [web, _] = snapshot(&project);
        // Two signals within a quarter of a second are one.
        std::thread::sleep(std::time::Duration::from_millis(300));
        run.signal(Signal::INT);
        let ran = run.ended().exited(130).says("rscale status");
        assert!(ran.stdout.contains("(1 running, 0 healthy)"), "{ran}");
        let [left, now] = snapshot(&project);
        assert_eq!((left, now), (web, others[1].clone()), "{ran}");
    }

    fn between_two_steps(signal: Signal) {
        let Some(project) = Engine::project("services: {web: *app, other: *app}") else {
            return;
        };
        project.compose(&["up", "-d"]);
        let before = snapshot(&project);
        let run = project.start(&["web=4", "--step", "1", "--pause", "1h"]);
        run.wait_until_it_says("pausing");
        assert_eq!(project.running()["web"], 2);
        run.signal(signal);
        let ran = run.ended().exited(130).says("interrupted");
        assert_eq!(snapshot(&project), before, "{ran}");
        project.assert_running(&[("web", 1), ("other", 1)]);
    }

    #[test]
    fn ctrl_c_between_two_steps() {
        between_two_steps(Signal::INT);
    }

    #[test]
    fn sigterm_between_two_steps() {
        between_two_steps(Signal::TERM);
    }

    /// The grace that began is not cut short: every replica that was told to stop ends in its own time.
    /// Whether they then stay away or others take their places, none is half-gone.
    fn during_a_long_grace(signal: Signal) {
        let Some(project) = Engine::project(
            r#"services:
  web:
    <<: *app
    volumes: ["./log:/log"]
    stop_grace_period: 60s
    command: [sh, -c, "trap 'touch /log/told-$$HOSTNAME; sleep 3; touch /log/done-$$HOSTNAME; exit 0' TERM; while :; do sleep 0.1; done"]
  other: *app
"#,
        ) else {
            return;
        };
        project.write("log/none", "");
        project.compose(&["up", "-d", "--scale", "web=3"]);
        let before = snapshot(&project);
        let run = project.start(&["web=1"]);
        project.wait_until("two are told to stop", || {
            project
                .list("log")
                .iter()
                .filter(|name| name.starts_with("told"))
                .count()
                == 2
        });
        run.signal(signal);
        run.ended().exited(130).says("interrupted");
        whole(&project, &before, 1);
        let done = project
            .list("log")
            .iter()
            .filter(|name| name.starts_with("done"))
            .count();
        assert_eq!(done, 2, "a grace was cut short");
    }

    #[test]
    fn ctrl_c_during_a_long_grace() {
        during_a_long_grace(Signal::INT);
    }

    #[test]
    fn sigterm_during_a_long_grace() {
        during_a_long_grace(Signal::TERM);
    }

    /// Compose is in the middle of its own waiting then: for the dependency that it started along.
    #[test]
    fn ctrl_c_while_compose_waits_for_a_dependency() {
        let Some(project) = Engine::project(
            "services:
  web: {<<: *app, depends_on: {db: {condition: service_healthy}}}
  db: {<<: *app, healthcheck: {test: [CMD, 'false'], interval: 400ms, start_period: 5m}}
  other: *app
",
        ) else {
            return;
        };
        project.compose(&["up", "-d", "other"]);
        let before = project.all_ids();
        let run = project.start(&["web=2"]);
        project.wait_for("db", 1, "(health: starting)");
        run.signal(Signal::INT);
        let ran = run.ended().exited(130);
        assert_eq!(project.all_ids(), before, "{ran}");
    }
}
