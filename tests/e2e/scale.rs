//! `rscale scale`: counts, options, what a compose file can ask of it, and what is refused.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::engine::{ComposeUnderTest, Engine, Project, entry, free_ports, names};

/// A project of this compose file that has been brought up.
fn up(yaml: &str) -> Option<Project> {
    let project = Engine::project(yaml)?;
    project.compose(&["up", "-d"]);
    Some(project)
}

/// The lines of a document's `commands` that contain a word.
fn commands_with<'d>(document: &'d Value, word: &str) -> Vec<&'d str> {
    let commands = document["commands"].as_array().unwrap().iter();
    commands
        .map(|line| line.as_str().unwrap())
        .filter(|line| line.contains(word))
        .collect()
}

mod counts {
    use super::*;

    #[test]
    fn are_absolute_or_relative_to_what_is_there() {
        let Some(project) = up("services: {web: *app, worker: *app}") else {
            return;
        };
        for (targets, from_to, web, worker) in [
            (["web=2", "worker=+2"], [(1, 2), (1, 3)], 2, 3),
            (["web=+1", "worker=-2"], [(2, 3), (3, 1)], 3, 1),
            (["web=-3", "worker=+0"], [(3, 0), (1, 1)], 0, 1),
        ] {
            let document = project.json(&targets).succeeded().document();
            for (name, (from, to)) in ["web", "worker"].into_iter().zip(from_to) {
                let service = entry(&document["services"], name);
                assert_eq!(
                    (&service["from"], &service["to"]),
                    (&json!(from), &json!(to)),
                    "{document:#}"
                );
                assert_eq!(
                    service["outcome"],
                    if from == to { "unchanged" } else { "scaled" }
                );
            }
            assert_eq!(
                (project.ids("web").len(), project.ids("worker").len()),
                (web, worker)
            );
        }
    }

    #[test]
    fn below_zero_are_refused() {
        let Some(project) = up("services: {web: *app}") else {
            return;
        };
        let before = project.all_ids();
        let document = project.json(&["web=-2"]).exited(3).document();
        assert_eq!(document["findings"][0]["rule"], "limits", "{document:#}");
        assert_eq!(project.all_ids(), before);
    }

    #[test]
    fn to_zero_and_back_begin_at_one_again() {
        let Some(project) = up("services: {web: *app}") else {
            return;
        };
        let document = project.json(&["web=3"]).succeeded().document();
        let created = names(&entry(&document["services"], "web")["created"]).len();
        assert_eq!((created, project.numbers("web")), (2, vec![1, 2, 3]));
        let document = project.json(&["web=0"]).succeeded().document();
        assert_eq!(
            names(&entry(&document["services"], "web")["removed"]).len(),
            3,
            "{document:#}"
        );
        assert_eq!(project.containers(), []);
        project.json(&["web=2"]).succeeded();
        assert_eq!(project.numbers("web"), [1, 2]);
    }

    #[test]
    fn that_are_there_already_change_nothing() {
        let Some(project) = up("services: {web: *app}") else {
            return;
        };
        let before = project.all_ids();
        let document = project.json(&["web=1"]).succeeded().document();
        assert_eq!(
            (&document["outcome"], &document["commands"]),
            (&json!("unchanged"), &json!([]))
        );
        assert_eq!(project.all_ids(), before);
    }

    /// `docker compose run` makes containers that are no replicas.
    #[test]
    fn leave_one_off_containers_out() {
        let Some(project) = up("services: {web: *app}") else {
            return;
        };
        let one_off = project
            .compose(&["run", "-d", "web", "sleep", "900"])
            .stdout
            .trim()
            .to_owned();
        let document = project.json(&["web=+1"]).succeeded().document();
        let web = entry(&document["services"], "web");
        assert_eq!((&web["from"], &web["to"]), (&json!(1), &json!(2)));
        project.json(&["web=0"]).succeeded();
        assert_eq!(project.containers(), []);
        assert_eq!(
            project.docker(&["inspect", "--format", "{{.State.Running}}", &one_off]),
            "true"
        );
    }

    #[test]
    fn can_be_made_conditional_on_what_is_there() {
        let Some(project) = up("services: {web: *app}") else {
            return;
        };
        let before = project.all_ids();
        let document = project
            .json(&["web=3", "--current-replicas", "2"])
            .exited(3)
            .document();
        assert_eq!(
            document["findings"][0]["rule"], "current-replicas",
            "{document:#}"
        );
        assert_eq!(project.all_ids(), before);
        project
            .json(&["web=2", "--current-replicas", "1"])
            .succeeded();
        assert_eq!(project.numbers("web"), [1, 2]);
    }

    #[test]
    fn heal_a_service_whose_replicas_stopped() {
        let Some(project) = up("services: {web: {<<: *app, scale: 3}}") else {
            return;
        };
        let before = project.all_ids();
        project.docker(&[
            "stop",
            &project.container("web", 1),
            &project.container("web", 3),
        ]);
        let document = project.json(&["web=3"]).succeeded().document();
        assert_eq!(project.all_ids(), before, "{document:#}");
        project.assert_running(&[("web", 3)]);
        assert_eq!(entry(&document["services"], "web")["running"], 3);
        assert_eq!(document["outcome"], "scaled", "{document:#}");
    }

    /// Compose starts what is stopped only after it has removed what is too much: a running one.
    #[test]
    fn heal_and_shrink_at_once() {
        let Some(project) = up("services: {web: {<<: *app, scale: 4}}") else {
            return;
        };
        project.docker(&[
            "stop",
            &project.container("web", 1),
            &project.container("web", 2),
        ]);
        let kept = project.ids("web");
        project.json(&["web=3"]).succeeded();
        project.assert_running(&[("web", 3)]);
        assert_eq!(project.numbers("web"), [1, 3, 4]);
        assert!(
            project
                .ids("web")
                .iter()
                .all(|(number, id)| kept[number] == *id)
        );
    }
}

mod options {
    use super::*;

    #[test]
    fn no_wait_does_not_verify() {
        let Some(project) = Engine::project(
            "services: {web: {<<: *app, volumes: ['./flag:/flag'], command: [sh, -c, 'test -f /flag/crash && exit 3; exec sleep 900']}}",
        ) else {
            return;
        };
        project.write("flag/none", "");
        project.compose(&["up", "-d"]);
        project.crash_from_now_on();
        let ran = project
            .json(&["web=2", "--no-wait", "--stable", "10m"])
            .succeeded();
        assert!(ran.took < Duration::from_secs(300), "{ran}");
        assert_eq!(ran.document()["outcome"], "scaled");
        project.wait_for("web", 2, "Exited (3)");
        // The same scale, verified, is not done.
        project.json(&["web=2"]).exited(1);
    }

    #[test]
    fn step_goes_gradually_and_pause_rests_between_the_steps() {
        let Some(project) = up("services: {web: *app}") else {
            return;
        };
        let ran = project
            .json(&["web=6", "--step", "2", "--pause", "1500ms"])
            .succeeded();
        let document = ran.document();
        let ups = commands_with(&document, " up ");
        let counts: Vec<&str> = ups
            .iter()
            .filter_map(|line| line.split("--scale ").nth(1)?.split(' ').next())
            .collect();
        assert_eq!(counts, ["web=3", "web=5", "web=6"], "{document:#}");
        assert!(ran.took > Duration::from_secs(3), "{ran}");
        project.assert_running(&[("web", 6)]);
        let document = project
            .json(&["web=1", "--step", "3"])
            .succeeded()
            .document();
        // Five go, three of them and then two, each on its own.
        let stops = commands_with(&document, "docker stop");
        assert_eq!(stops.len(), 5, "{document:#}");
        project.assert_running(&[("web", 1)]);
        assert_eq!(project.numbers("web"), [1]);
    }

    #[test]
    fn each_step_is_verified_before_the_next() {
        let Some(project) = Engine::project(
            "services: {web: {<<: *app, volumes: ['./log:/log'], command: [sh, -c, 'sleep 1; touch /tmp/well; date +%s > /log/$$HOSTNAME; exec sleep 900'], healthcheck: {test: [CMD, test, -f, /tmp/well], interval: 300ms, start_period: 1m}}}",
        ) else {
            return;
        };
        project.write("log/none", "");
        let document = project
            .json(&["web=2", "--step", "1"])
            .succeeded()
            .document();
        let ready_at = |number| -> u64 {
            let id = project.ids("web")[&number].clone();
            project
                .read(&format!("log/{}", &id[..12]))
                .trim()
                .parse()
                .unwrap()
        };
        assert!(
            ready_at(2) > ready_at(1),
            "both were started at once: {document:#}"
        );
    }

    #[test]
    fn keep_leaves_what_failed_for_inspection() {
        let Some(project) = Engine::project(
            "services: {web: {<<: *app, volumes: ['./flag:/flag'], command: [sh, -c, 'test -f /flag/crash && exit 3; exec sleep 900']}}",
        ) else {
            return;
        };
        project.write("flag/none", "");
        project.compose(&["up", "-d"]);
        let before = project.ids("web");
        project.crash_from_now_on();
        let document = project.json(&["web=2", "--keep"]).exited(1).document();
        assert_eq!(document["outcome"], "failed", "{document:#}");
        let states = project.states("web");
        assert_eq!(
            (states[&1].as_str(), states[&2].as_str()),
            ("running", "exited")
        );
        assert_eq!(project.ids("web")[&1], before[&1]);
        // Broken replicas go first, so the next scale clears it away.
        project.json(&["web=1"]).succeeded();
        assert_eq!(project.ids("web"), before);
    }

    /// The plan that is shown is the plan that is run, command by command.
    #[test]
    fn dry_run_prints_what_is_then_run_and_changes_nothing() {
        let Some(project) = Engine::project(
            "
services:
  web: {<<: *app, depends_on: [db]}
  worker: {<<: *app, stop_grace_period: 3s}
  greeter: {<<: *app, depends_on: [db], configs: [greeting]}
  db: *app
configs: {greeting: {content: hello}}
",
        ) else {
            return;
        };
        let (mut ran_something, mut in_order) = (0, 0);
        for args in [
            ["web=2", "greeter=2", "worker=10"].as_slice(),
            &["web=4", "worker=7", "greeter=1", "--step", "2"],
            &["web=0", "worker=+2", "greeter=+1", "--stop-timeout", "1s"],
            &["web=3", "--no-deps", "--pull", "never"],
        ] {
            let before = project.all_ids();
            let dry = project
                .json(&[args, &["--dry-run"]].concat())
                .succeeded()
                .document();
            assert_eq!(
                (&dry["outcome"], &dry["dry_run"]),
                (&json!("planned"), &json!(true)),
                "{dry:#}"
            );
            assert_eq!(project.all_ids(), before, "a dry run changed something");
            let real = project.json(args).succeeded().document();
            // Replicas of several services are removed side by side.
            let sorted = |document: &Value| {
                let mut commands: Vec<String> = names(&document["commands"])
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
                commands.sort();
                commands
            };
            assert_eq!(sorted(&real), sorted(&dry), "{args:?}");
            if commands_with(&real, "docker stop").len() < 2 {
                assert_eq!(real["commands"], dry["commands"], "{args:?}");
                in_order += 1;
            }
            ran_something += names(&real["commands"]).len();
            for (dry, real) in dry["services"]
                .as_array()
                .unwrap()
                .iter()
                .zip(real["services"].as_array().unwrap())
            {
                assert_eq!(
                    (&dry["name"], &dry["from"], &dry["to"]),
                    (&real["name"], &real["from"], &real["to"])
                );
            }
        }
        assert!(
            ran_something > 10 && in_order > 0,
            "{ran_something} commands, {in_order} in order"
        );
    }

    #[test]
    fn dry_run_says_each_step_and_each_command() {
        let Some(project) = up("services: {web: *app}") else {
            return;
        };
        let ran = project.rscale(&["web=2", "--dry-run"]).succeeded();
        for line in [
            "web: 1 -> 2",
            "create web up to 2",
            " up --no-start --no-recreate --scale web=2 web",
            "   $ docker start ",
        ] {
            assert!(ran.stdout.contains(line), "{line}\n{ran}");
        }
        assert_eq!(project.numbers("web"), [1]);
    }

    #[test]
    fn build_makes_new_replicas_from_the_new_image() {
        let Some(project) =
            Engine::project("services: {web: {<<: *app, image: '$NAME', build: {context: image}}}")
        else {
            return;
        };
        project.set("NAME", &format!("{}-web:test", project.name()));
        let label = project.name();
        let dockerfile = |age: &str| {
            project.write(
                "image/Dockerfile",
                &format!(
                    "FROM busybox:1\nLABEL com.docker.compose.project={label}\nENV AGE={age}\n"
                ),
            );
        };
        dockerfile("first");
        project.compose(&["up", "-d", "--build"]);
        dockerfile("second");
        let age = |number| {
            let name = project.container("web", number);
            project.docker(&["exec", &name, "sh", "-c", "echo $AGE"])
        };
        project.json(&["web=2"]).succeeded();
        assert_eq!(age(2), "first");
        let before = project.ids("web");
        project.json(&["web=3", "--build"]).succeeded();
        assert_eq!(age(3), "second");
        assert!(
            before
                .iter()
                .all(|(number, id)| project.ids("web")[number] == *id)
        );
        // Their image is an older one now, so they go first.
        project.json(&["web=1"]).succeeded();
        assert_eq!(project.numbers("web"), [3]);
    }
}

mod stopping {
    use super::*;

    /// Writes to `./log` when told to stop, then does `EXIT`.
    fn worker(exit: &str, settings: &str) -> Option<Project> {
        let project = Engine::project(&format!(
            r#"services:
  worker:
    <<: *app
    volumes: ["./log:/log"]
    scale: 2
    command: [sh, -c, "trap 'touch /log/told-$$HOSTNAME; {exit}' TERM; touch /log/up-$$HOSTNAME; while :; do sleep 0.1; done"]
    {settings}
"#,
        ))?;
        project.write("log/none", "");
        project.compose(&["up", "-d"]);
        // A replica that is stopped before its trap is set is another test.
        project.wait_until("both are up", || count(&project, "up-") == 2);
        Some(project)
    }

    fn count(project: &Project, start: &str) -> usize {
        project
            .list("log")
            .iter()
            .filter(|name| name.starts_with(start))
            .count()
    }

    #[test]
    fn begins_with_sigterm_and_ends_when_the_replica_does() {
        let Some(project) = worker(
            "sleep 2; touch /log/done-$$HOSTNAME; exit 0",
            "stop_grace_period: 10m",
        ) else {
            return;
        };
        let ran = project.json(&["worker=0"]).succeeded();
        assert_eq!(
            (count(&project, "told-"), count(&project, "done-")),
            (2, 2),
            "{ran}"
        );
        assert!(ran.took < Duration::from_secs(300), "{ran}");
    }

    /// A replica that never ends by itself is killed when the grace that applies is over: neither at
    /// once nor after the engine's 10 seconds or the declared minute. It counts how long it had.
    fn kills_after_two_seconds(settings: &str, args: &[&str]) {
        let Some(project) = worker(
            "while :; do echo tick >> /log/ticks; sleep 0.1; done",
            settings,
        ) else {
            return;
        };
        let ran = project.json(&[&["worker=1"], args].concat()).succeeded();
        assert_eq!(
            count(&project, "told-"),
            1,
            "SIGTERM did not come first\n{ran}"
        );
        let ticks = project.read("log/ticks").lines().count();
        assert!(
            (1..100).contains(&ticks),
            "killed after {ticks} tenths of a second at least\n{ran}"
        );
        project.assert_running(&[("worker", 1)]);
    }

    #[test]
    fn honours_the_declared_grace() {
        kills_after_two_seconds("stop_grace_period: 2s", &[]);
    }

    #[test]
    fn honours_the_policy_before_the_declaration() {
        kills_after_two_seconds(
            "stop_grace_period: 60s\n    x-rscale: {stop-timeout: 2s}",
            &[],
        );
    }

    #[test]
    fn honours_the_option_before_all() {
        kills_after_two_seconds(
            "stop_grace_period: 60s\n    x-rscale: {stop-timeout: 50s}",
            &["--stop-timeout", "2s"],
        );
    }

    #[test]
    fn waits_for_all_replicas_of_all_services_at_once() {
        let Some(project) = Engine::project(
            r"
x-slow: &slow
  image: busybox:1
  stop_grace_period: 10m
  scale: 2
  volumes: ['./log:/log']
  command:
    - sh
    - -c
    - trap 'touch /log/told-'$$HOSTNAME TERM; touch /log/up-$$HOSTNAME; until test -e /log/go; do sleep 0.1; done
services: {a: *slow, b: *slow}
",
        ) else {
            return;
        };
        project.write("log/.keep", "");
        project.compose(&["up", "-d"]);
        project.wait_until("all listen", || count(&project, "up-") == 4);
        let run = project.start(&["a=0", "b=0"]);
        // Nobody ends before the last one has been told.
        project.wait_until("all are told", || count(&project, "told-") == 4);
        project.assert_running(&[("a", 2), ("b", 2)]);
        project.write("log/go", "");
        run.ended().succeeded();
        assert_eq!(project.containers(), []);
    }

    #[test]
    fn a_worker_that_is_always_restarted_stays_away() {
        let Some(project) = up("services: {worker: {<<: *app, restart: always}}") else {
            return;
        };
        project.json(&["worker=3"]).succeeded();
        project.assert_running(&[("worker", 3)]);
        let before = project.ids("worker");
        project.json(&["worker=1"]).succeeded();
        assert_eq!(project.ids("worker"), [(1, before[&1].clone())].into());
        project.assert_running(&[("worker", 1)]);
    }
}

mod dependencies {
    use super::*;

    const SHOP: &str =
        "services: {web: {<<: *app, depends_on: [db]}, db: {<<: *app, scale: 2}, other: *app}";

    #[test]
    fn without_containers_are_started_and_the_plan_says_so() {
        let Some(project) = Engine::project(SHOP) else {
            return;
        };
        let plan = project.rscale(&["web=2", "--dry-run"]).succeeded();
        assert!(
            plan.stdout
                .contains("db: started as a dependency, 2 replicas"),
            "{plan}"
        );
        assert_eq!(project.containers(), []);
        let ran = project
            .rscale(&["web=2"])
            .succeeded()
            .says("starting `db` (2) as well");
        assert!(ran.stdout.contains("web  0 -> 2"), "{ran}");
        project.assert_running(&[("web", 2), ("db", 2)]);
        project.assert_a_later_up_recreates_nothing();
    }

    #[test]
    fn are_left_alone_with_no_deps() {
        let Some(project) = Engine::project(SHOP) else {
            return;
        };
        project.json(&["web=2", "--no-deps"]).succeeded();
        project.assert_running(&[("web", 2)]);
        let web = project.ids("web");
        project.compose(&["up", "-d", "--scale", "web=2", "web"]);
        assert_eq!(
            project.ids("web"),
            web,
            "a plain `docker compose up` recreated replicas"
        );
        project.assert_running(&[("web", 2), ("db", 2)]);
    }

    #[test]
    fn that_were_stopped_are_started_again() {
        let Some(project) = up(SHOP) else { return };
        let before = project.all_ids();
        project.compose(&["stop", "db"]);
        project.json(&["web=2"]).succeeded();
        project.assert_running(&[("web", 2), ("db", 2), ("other", 1)]);
        assert!(before.iter().all(|(key, id)| project.all_ids()[key] == *id));
    }

    #[test]
    fn that_must_be_healthy_are_waited_for() {
        let Some(project) = Engine::project(
            "
services:
  web: {<<: *app, depends_on: {db: {condition: service_healthy}}}
  db: {<<: *app, command: [sh, -c, 'sleep 2; touch /tmp/well; exec sleep 900'], healthcheck: {test: [CMD, test, -f, /tmp/well], interval: 300ms, start_period: 1m}}
",
        ) else {
            return;
        };
        project.json(&["web=2"]).succeeded();
        project.assert_running(&[("web", 2), ("db", 1)]);
        let started = |service, number| {
            let name = project.container(service, number);
            project.docker(&["inspect", "--format", "{{.State.StartedAt}}", &name])
        };
        let since: jiff::Timestamp = started("db", 1).parse().unwrap();
        for number in [1, 2] {
            let web: jiff::Timestamp = started("web", number).parse().unwrap();
            assert!(
                web.duration_since(since).as_millis() >= 2000,
                "web did not wait for db"
            );
        }
    }

    /// `MORE` decides whether rscale or Compose starts the replicas of `web`.
    fn a_job_that_is_done_is_not_done_again(more: &str) {
        let Some(project) = up(&format!(
            "
services:
  migrate: {{image: 'busybox:1', volumes: ['./log:/log'], command: [sh, -c, 'echo run >> /log/runs']}}
  web: {{<<: *app, depends_on: {{migrate: {{condition: service_completed_successfully}}}}{more}}}
configs: {{greeting: {{content: hello}}}}
"
        )) else {
            return;
        };
        assert_eq!(project.read("log/runs"), "run\n");
        let migrate = project.ids("migrate");
        let document = project.json(&["web=3"]).succeeded().document();
        assert_eq!(project.running()["web"], 3);
        assert_eq!(
            project.read("log/runs"),
            "run\n",
            "the job ran again: {document:#}"
        );
        assert_eq!(project.ids("migrate"), migrate);
        project.json(&["web=1"]).succeeded();
        assert_eq!(project.read("log/runs"), "run\n");
    }

    #[test]
    fn that_are_jobs_are_not_run_again() {
        a_job_that_is_done_is_not_done_again("");
    }

    #[test]
    fn that_are_jobs_are_not_run_again_where_compose_starts_the_replicas() {
        a_job_that_is_done_is_not_done_again(", configs: [greeting]");
    }

    #[test]
    fn that_are_jobs_are_run_when_they_never_were() {
        let Some(project) = Engine::project(
            "
services:
  migrate: {image: 'busybox:1', volumes: ['./log:/log'], command: [sh, -c, 'sleep 1; echo run >> /log/runs']}
  web: {<<: *app, depends_on: {migrate: {condition: service_completed_successfully}}}
",
        ) else {
            return;
        };
        project.write("log/none", "");
        project.json(&["web=2"]).succeeded();
        assert_eq!(project.read("log/runs"), "run\n");
        assert_eq!(project.running()["web"], 2);
    }
}

mod compose_file {
    use super::*;

    #[test]
    fn services_of_inactive_profiles_can_be_named() {
        let Some(project) = up("services: {web: *app, tracer: {<<: *app, profiles: [debug]}}")
        else {
            return;
        };
        project.assert_running(&[("web", 1)]);
        let before = project.ids("web");
        let document = project.json(&["tracer=2"]).succeeded().document();
        project.assert_running(&[("web", 1), ("tracer", 2)]);
        assert_eq!(document["findings"][0]["rule"], "profile", "{document:#}");
        assert_eq!(document["findings"][0]["severity"], "warning");
        let document = project
            .json(&["--profile", "debug", "tracer=1"])
            .succeeded()
            .document();
        assert_eq!(document["findings"], json!([]));
        project.json(&["tracer=0"]).succeeded();
        assert_eq!(project.ids("web"), before);
        project.assert_running(&[("web", 1)]);
    }

    /// `up` deletes the containers of services that left the file when this is set.
    #[test]
    fn orphans_stay_whatever_the_environment_says() {
        let Some(project) = up("services: {web: *app, old: *app}") else {
            return;
        };
        project.compose_file("services: {web: *app}");
        let old = project.ids("old");
        project.set("COMPOSE_REMOVE_ORPHANS", "1");
        project.json(&["web=3"]).succeeded();
        project.json(&["web=1"]).succeeded();
        assert_eq!(project.ids("old"), old);
        project.assert_running(&[("web", 1), ("old", 1)]);
        // The same, said in a file.
        project.unset("COMPOSE_REMOVE_ORPHANS");
        project.write(".env", "COMPOSE_REMOVE_ORPHANS=1\n");
        project.json(&["web=2"]).succeeded();
        assert_eq!(project.ids("old"), old);
    }

    /// `docker compose scale` recreates replicas when the file changed, and drops these.
    #[test]
    fn anonymous_volumes_survive() {
        let Some(project) = Engine::project(
            "services: {web: {<<: *app, volumes: [/data], environment: {COLOUR: $COLOUR}}}",
        ) else {
            return;
        };
        project.set("COLOUR", "red");
        project.compose(&["up", "-d"]);
        let first = project.container("web", 1);
        project.docker(&["exec", &first, "sh", "-c", "echo precious > /data/f"]);
        let volume = |name: &str| {
            project.docker(&["inspect", "--format", "{{(index .Mounts 0).Name}}", name])
        };
        let before = volume(&first);
        project.set("COLOUR", "blue");
        project.json(&["web=3"]).succeeded();
        assert_eq!(volume(&first), before);
        assert_eq!(
            project.docker(&["exec", &first, "cat", "/data/f"]),
            "precious"
        );
        // A scale-down deletes no data either, not even that of the replica that goes.
        let third = volume(&project.container("web", 3));
        project.json(&["web=1"]).succeeded();
        assert_eq!(project.numbers("web"), [2], "the outdated one goes first");
        project.docker(&["volume", "inspect", &before, &third]);
        // Nothing ties them to the project any more, so its end does not find them.
        project.docker(&["volume", "rm", &before, &third]);
    }

    #[test]
    fn secrets_and_configs_that_compose_copies_in_are_there() {
        let Some(project) = Engine::project(
            "
services:
  web:
    <<: *app
    secrets: [token]
    configs: [{source: greeting, target: /etc/greeting}]
    command: [sh, -c, 'cat /run/secrets/token /etc/greeting > /tmp/at-start; exec sleep 900']
secrets: {token: {environment: TOKEN}}
configs: {greeting: {content: hello}}
",
        ) else {
            return;
        };
        project.set("TOKEN", "s3cret");
        project.compose(&["up", "-d"]);
        project.json(&["web=3"]).succeeded();
        for number in 1..=3 {
            let name = project.container("web", number);
            assert_eq!(
                project.docker(&["exec", &name, "cat", "/tmp/at-start"]),
                "s3crethello",
                "replica {number}"
            );
        }
    }

    #[test]
    fn project_options_and_environment_are_composes_own() {
        let Some(project) = Engine::project("services: {wrong: *app}") else {
            return;
        };
        let other = format!("{}-b", project.name());
        project.write(
            "deploy/base.yaml",
            "services: {web: {image: 'busybox:1', init: true, command: sleep 900}}\n",
        );
        project.write(
            "deploy/more.yaml",
            "services: {web: {environment: {COLOUR: $COLOUR}, scale: 2}}\n",
        );
        project.write("deploy/colours.env", "COLOUR=green\n");
        // Its containers are of another project, which the end of this test does not know.
        let docker_names = || {
            project.docker(&[
                "ps",
                "--format",
                "{{.Names}}",
                "--filter",
                &format!("name={other}"),
            ])
        };
        let options = [
            "-f",
            "deploy/base.yaml",
            "-f",
            "deploy/more.yaml",
            "-p",
            &other,
            "--env-file",
            "deploy/colours.env",
        ];
        let ran = project.json(&[options.as_slice(), &["web=1"]].concat());
        let found = docker_names();
        let colour = project.docker(&[
            "inspect",
            "--format",
            "{{.Config.Env}}",
            &format!("{other}-web-1"),
        ]);
        // The same by the variables that Compose reads.
        project.set("COMPOSE_FILE", "deploy/base.yaml:deploy/more.yaml");
        project.set("COMPOSE_PROJECT_NAME", &other);
        project.set("COLOUR", "green");
        let status = project.json(&["status"]);
        let gone = project.json(&["web=0"]);
        project.docker(&["network", "rm", &format!("{other}_default")]);
        assert_eq!(ran.succeeded().document()["project"], other.as_str());
        assert_eq!(found, format!("{other}-web-1"));
        assert!(colour.contains("COLOUR=green"), "{colour}");
        let status = status.succeeded().document();
        assert_eq!(
            (&status["project"], &status["services"][0]["replicas"]),
            (&json!(other), &json!(1))
        );
        gone.succeeded();
        assert_eq!(docker_names(), "");
    }

    /// Lifecycle hooks came with Compose 2.30.
    #[test]
    fn pre_stop_hooks_run_in_replicas_that_go() {
        let Some(project) = Engine::project_with(
            ComposeUnderTest::newest(),
            "
services:
  web:
    <<: *app
    volumes: ['./log:/log']
    pre_stop: [{command: [sh, -c, 'echo \"$$TOKEN\" > /log/$$HOSTNAME'], environment: {TOKEN: 'a $$b$$$$c'}}]
",
        ) else {
            return;
        };
        project.write("log/none", "");
        project.compose(&["up", "-d", "--scale", "web=3"]);
        let ids = project.ids("web");
        project.json(&["web=1"]).succeeded();
        assert_eq!(project.ids("web"), [(1, ids[&1].clone())].into());
        let mut expected = vec![
            ids[&2][..12].to_owned(),
            ids[&3][..12].to_owned(),
            "none".into(),
        ];
        // The variable has the value that Compose would give it.
        let log = format!("log/{}", &ids[&3][..12]);
        assert_eq!(project.read(&log), "a $b$$c\n");
        expected.sort();
        assert_eq!(project.list("log"), expected);
    }

    #[test]
    fn a_pre_stop_hook_that_fails_stops_the_scale_down() {
        let Some(project) = Engine::project_with(
            ComposeUnderTest::newest(),
            "services: {web: {<<: *app, pre_stop: [{command: [sh, -c, 'exit 9']}]}}",
        ) else {
            return;
        };
        project.compose(&["up", "-d", "--scale", "web=3"]);
        let before = project.all_ids();
        let document = project
            .json(&["web=1"])
            .exited(1)
            .says("pre_stop hook failed")
            .document();
        assert!(
            document["error"].as_str().unwrap().contains("pre_stop"),
            "{document:#}"
        );
        assert_eq!(project.all_ids(), before);
        project.assert_running(&[("web", 3)]);
    }

    #[test]
    fn post_start_hooks_run_in_every_new_replica() {
        let Some(project) = Engine::project_with(
            ComposeUnderTest::newest(),
            "
services:
  web:
    <<: *app
    volumes: ['./log:/log']
    post_start: [{command: [sh, -c, 'echo hello > /log/$$HOSTNAME']}]
",
        ) else {
            return;
        };
        project.write("log/none", "");
        project.compose(&["up", "-d"]);
        project.json(&["web=3"]).succeeded();
        project.assert_running(&[("web", 3)]);
        let mut expected: Vec<String> = project
            .ids("web")
            .values()
            .map(|id| id[..12].to_owned())
            .collect();
        expected.push("none".into());
        expected.sort();
        assert_eq!(project.list("log"), expected);
    }
}

mod refusals {
    use super::*;

    /// Refuses these targets by this rule, and nothing changes.
    #[track_caller]
    fn refuses(project: &Project, targets: &[&str], rule: &str) {
        let states = || {
            project
                .containers()
                .into_iter()
                .map(|one| (one.id, one.state))
                .collect::<Vec<_>>()
        };
        let before = states();
        let ran = project.json(targets).exited(3).says(&format!("[{rule}]"));
        let document = ran.document();
        assert_eq!(
            (&document["outcome"], &document["commands"]),
            (&json!("refused"), &json!([])),
            "{ran}"
        );
        let rules: Vec<&str> = document["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["rule"].as_str().unwrap())
            .collect();
        assert!(rules.contains(&rule), "{ran}");
        assert_eq!(states(), before, "{ran}");
    }

    #[test]
    fn a_paused_replica() {
        let Some(project) = up("services: {web: {<<: *app, scale: 2}, other: *app}") else {
            return;
        };
        let paused = project.container("web", 2);
        project.docker(&["pause", &paused]);
        refuses(&project, &["web=3", "other=2"], "paused");
        refuses(&project, &["web=1"], "paused");
        project.json(&["other=2"]).succeeded();
        project.docker(&["unpause", &paused]);
        project.json(&["web=3"]).succeeded();
    }

    #[test]
    fn a_second_replica_with_a_fixed_name() {
        let Some(project) =
            Engine::project("services: {only: {<<: *app, container_name: $NAME}, web: *app}")
        else {
            return;
        };
        project.set("NAME", &format!("{}-fixed", project.name()));
        project.compose(&["up", "-d"]);
        refuses(&project, &["only=2", "web=2"], "container-name");
        refuses(&project, &["only=2", "--force"], "container-name");
        project.json(&["only=0"]).succeeded();
        project.json(&["only=1", "web=2"]).succeeded();
        project.assert_running(&[("only", 1), ("web", 2)]);
    }

    #[test]
    fn a_second_replica_behind_a_fixed_host_port() {
        let port = free_ports(1);
        let Some(project) = up(&format!(
            "services: {{edge: {{<<: *app, ports: ['{port}:80']}}, web: *app}}"
        )) else {
            return;
        };
        refuses(&project, &["edge=2", "web=2"], "host-port");
        project.json(&["edge=1", "web=2"]).succeeded();
    }

    #[test]
    fn more_replicas_than_the_range_has_ports() {
        let first = free_ports(3);
        let Some(project) = up(&format!(
            "services: {{web: {{<<: *app, ports: ['127.0.0.1:{first}-{}:80']}}}}",
            first + 2
        )) else {
            return;
        };
        refuses(&project, &["web=4"], "port-range");
        project.json(&["web=3"]).succeeded();
        project.assert_running(&[("web", 3)]);
        let mut ports: Vec<String> = (1..=3)
            .map(|number| project.docker(&["port", &project.container("web", number), "80"]))
            .collect();
        ports.sort();
        let expected: Vec<String> = (first..first + 3)
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        assert_eq!(ports, expected, "not a port for each");
    }

    #[test]
    fn a_range_in_which_something_else_listens() {
        let first = free_ports(2);
        let Some(project) = Engine::project(&format!(
            "services: {{web: {{<<: *app, ports: ['{first}-{}:80']}}}}",
            first + 1
        )) else {
            return;
        };
        let listener = TcpListener::bind(("0.0.0.0", first + 1)).unwrap();
        refuses(&project, &["web=2"], "port-range");
        drop(listener);
        project.json(&["web=2"]).succeeded();
        project.assert_running(&[("web", 2)]);
    }

    #[test]
    fn a_scheduler_and_a_limit_unless_forced() {
        let Some(project) = up(
            "services: {beat: {<<: *app, command: [sh, -c, 'exec sleep 900', celery, beat], x-rscale: {scalable: false}}, web: {<<: *app, x-rscale: {max: 2}}}",
        ) else {
            return;
        };
        refuses(&project, &["web=3"], "limits");
        refuses(&project, &["beat=2"], "limits");
        let document = project.json(&["web=3", "--force"]).succeeded().document();
        assert_eq!(
            document["findings"][0]["severity"], "warning",
            "{document:#}"
        );
        project.assert_running(&[("web", 3), ("beat", 1)]);
    }
}
