//! `rscale load-test`, its sweep and what else asks the queues, on the real Celery workers of rabbitmq-workers:
//! what the command makes of a run. The drivers have files of their own. A stack takes a while to start, so that each
//! test goes through several things one after another.

use rustix::process::Signal;
use serde_json::Value;

use crate::cli::schema::is_valid;
use crate::support::engine::{Engine, Project, entry};

/// The example with one worker of each kind, its image built by whoever comes first.
fn started() -> Option<Project> {
    let project = Engine::example("rabbitmq-workers")?;
    super::examples::rabbitmq_workers::up(&project);
    Some(project)
}

fn service<'v>(status: &'v Value, name: &str) -> &'v Value {
    entry(&status["services"], name)
}

#[test]
fn a_run_is_measured_and_queues_are_shown() {
    let Some(project) = started() else { return };
    a_run_prints_its_figures_and_keeps_them_compares_them_and_judges_them(&project);
    status_shows_the_queues_and_a_broker_that_does_not_answer_does_not_fail_it(&project);
}

#[test]
fn idle_workers_go_first_and_a_sweep_puts_the_counts_back() {
    let Some(project) = started() else { return };
    a_scale_down_takes_the_idle_ones_and_leaves_the_busy_one(&project);
    a_sweep_measures_each_count_and_puts_the_counts_back(&project);
    a_sweep_that_is_interrupted_or_fails_puts_the_counts_back(&project);
}

fn a_run_prints_its_figures_and_keeps_them_compares_them_and_judges_them(project: &Project) {
    let ran = project
        .rscale(&[
            "load-test",
            "--tasks",
            "20",
            "--warmup",
            "2",
            "--save",
            "before.json",
        ])
        .succeeded()
        .says("Starting load test: 20 tasks of each type (Task A -> queue_a, Task B -> queue_b)")
        .says("Workers: worker-a 1, worker-b 1");
    for line in [
        "Load Test Summary:",
        "  Total tasks sent: 40",
        "warm-up: 4 tasks before the measured run",
        "events: on, so workers tell execution times and who did what",
    ] {
        assert!(
            ran.stdout.lines().any(|other| other == line),
            "{line}: {ran}"
        );
    }
    // Neither in a note nor in the file.
    assert!(
        !ran.stdout.contains("guest") && !project.read("before.json").contains("guest"),
        "{ran}"
    );

    // Task B takes twice as long as Task A, and one worker does one at a time.
    let ran = project
        .json(&[
            "load-test",
            "--tasks=20",
            "--fail-if=task_a.execution.p95_seconds>0.01",
            "--fail-if=failed>0",
            "--fail-if=throughput<1000",
            "--report=page.html",
        ])
        .exited(5)
        .says("threshold missed: task_a.execution.p95_seconds > 0.01: it is ")
        .says("threshold missed: throughput < 1000: it is ");
    let result = ran.document();
    is_valid("load-test", &result);
    assert_eq!(
        result["missed_thresholds"].as_array().unwrap().len(),
        2,
        "{ran}"
    );
    assert_eq!(
        (&result["completed"], &result["lost"]),
        (&40.into(), &0.into()),
        "{ran}"
    );
    let (a, b) = (
        entry(&result["tasks"], "Task A"),
        entry(&result["tasks"], "Task B"),
    );
    let mean = |task: &Value| task["execution_seconds"]["mean"].as_f64().unwrap();
    assert!(mean(a) >= 0.1 && mean(b) >= 0.2, "{ran}");
    // 20 tasks one after another wait for each other; the last one waited for the other 19.
    assert!(
        a["queue_wait_seconds"]["max"].as_f64().unwrap() >= 1.9,
        "{ran}"
    );
    // No faster than one worker can: 20 x 0.2 s.
    assert!(result["total_seconds"].as_f64().unwrap() >= 4.0, "{ran}");
    let share = entry(&result["replicas"], &project.container("worker-b", 1));
    assert_eq!(
        (&share["completed"], &share["share"]),
        (&20.into(), &1.0.into()),
        "{ran}"
    );
    assert!(project.read("page.html").contains("Task A"), "{ran}");

    project
        .rscale(&["load-test", "--tasks=20", "--compare", "before.json"])
        .succeeded()
        .says("Task A");

    // Without events the results come all the same, and what only events tell is not made up.
    let ran = project
        .json(&["load-test", "--tasks=5", "--no-events"])
        .succeeded();
    let result = ran.document();
    assert_eq!(
        (&result["events"], &result["completed"]),
        (&false.into(), &10.into()),
        "{ran}"
    );
    assert!(result["tasks"][0]["execution_seconds"].is_null(), "{ran}");
    assert_eq!(result["replicas"], Value::Array(Vec::new()), "{ran}");

    // Flags alone do as well, and the workers' own environment says where.
    let ran = project
        .rscale(&[
            "load-test",
            "--tasks=5",
            "--task=tasks.task_a@queue_a",
            "--rate=50",
        ])
        .succeeded()
        .says("Workers: worker-a 1");
    assert!(
        ran.stdout.contains("rate: 50 tasks of each type a second"),
        "{ran}"
    );
}

fn status_shows_the_queues_and_a_broker_that_does_not_answer_does_not_fail_it(project: &Project) {
    let naps = [
        "run",
        "--rm",
        "-T",
        "dispatch",
        "--no-wait",
        "--nap",
        "4",
        "--seconds",
        "55",
    ];
    project.compose(&naps);
    let mut ran = None;
    project.wait_until("the first nap runs", || {
        let said = project.json(&["status"]).succeeded();
        let runs = service(&said.document(), "worker-a")["queue"]["running"] == 1;
        ran = Some(said);
        runs
    });
    let ran = ran.unwrap();
    let status = ran.document();
    is_valid("status", &status);
    let queue = &service(&status, "worker-a")["queue"];
    assert_eq!(
        (&queue["driver"], &queue["name"]),
        (&"celery".into(), &"queue_a".into()),
        "{ran}"
    );
    // One runs, one is taken ahead (worker_prefetch_multiplier), two wait.
    assert_eq!(
        (&queue["running"], &queue["consumers"], &queue["error"]),
        (&1.into(), &1.into(), &Value::Null),
        "{ran}"
    );
    assert!(queue["ready"].as_u64().unwrap() >= 2, "{ran}");
    assert_eq!(service(&status, "redis")["queue"], Value::Null);
    let ran = project.rscale(&["status"]).succeeded();
    assert!(ran.stdout.contains("worker-a  queue_a: "), "{ran}");

    // Its container runs, and nothing in it moves.
    let signal = |name: &str| {
        let kill = format!("kill -{name} $(pidof beam.smp)");
        project.docker(&["exec", &project.container("rabbitmq", 1), "sh", "-c", &kill]);
    };
    signal("STOP");
    let ran = project.json(&["status"]).succeeded();
    let status = ran.document();
    assert_eq!(
        service(&status, "worker-a")["queue"]["error"],
        "no answer within 1s",
        "{ran}"
    );
    assert_eq!(service(&status, "worker-a")["running"], 1, "{ran}");
    signal("CONT");
    project.compose(&["stop", "--timeout=1", "rabbitmq"]);
    let status = project.json(&["status"]).succeeded().document();
    let error = service(&status, "worker-b")["queue"]["error"]
        .as_str()
        .unwrap();
    assert_eq!(error, "`rabbitmq` does not run");
}

fn a_scale_down_takes_the_idle_ones_and_leaves_the_busy_one(project: &Project) {
    project.rscale(&["worker-a=4"]).succeeded();
    project.wait_until("every worker listens", || {
        let status = project.json(&["status"]).document();
        service(&status, "worker-a")["queue"]["consumers"] == 4
    });
    // Only the one with the highest number, which would be the first to go, can take the task.
    let others: Vec<String> = project
        .ids("worker-a")
        .into_iter()
        .filter(|(number, _)| *number < 4)
        .map(|(_, id)| format!("celery@{}", &id[..12]))
        .collect();
    let control = |command: &str| {
        let celery = ["exec", "-T", "worker-a", "celery", "--app=tasks", "control"];
        let to = ["--timeout=120", "--destination", &others.join(",")];
        let words = [celery.as_slice(), &to, &[command, "queue_a"]].concat();
        project.compose(&words);
    };
    control("cancel_consumer");
    let nap = [
        "run",
        "--rm",
        "-T",
        "dispatch",
        "--no-wait",
        "--nap",
        "1",
        "--seconds",
        "55",
    ];
    project.compose(&nap);
    let running = || {
        let status = project.json(&["status"]).document();
        service(&status, "worker-a")["queue"]["running"].as_u64()
    };
    project.wait_until("the fourth worker is busy", || running() == Some(1));
    control("add_consumer");
    // A broker that stands still for a moment is waited for: longer than `status` waits.
    let broker = project.container("rabbitmq", 1);
    let still = "kill -STOP $(pidof beam.smp); sleep 2; kill -CONT $(pidof beam.smp)";
    project.docker(&["exec", "--detach", &broker, "sh", "-c", still]);
    let plan = project.rscale(&["worker-a=1", "--dry-run"]).succeeded();
    let order = |number: u32| {
        plan.stdout
            .find(&format!("{} (idle)", project.container("worker-a", number)))
    };
    assert!(
        order(3) < order(2) && order(2) < order(1) && order(3).is_some(),
        "{plan}"
    );
    let ran = project.rscale(&["worker-a=1"]).succeeded();
    assert_eq!(project.numbers("worker-a"), [4], "{ran}");
    let mut now = None;
    project.wait_until("all that there are say what they are at", || {
        now = running();
        now.is_some()
    });
    assert_eq!(now, Some(1), "{ran}");
    // The nap ends here.
    project.docker(&["kill", &project.container("worker-a", 4)]);
    project.rscale(&["worker-a=1"]).succeeded();
}

/// A task that only waits, for so many seconds.
fn waits(seconds: &str) -> [String; 2] {
    [
        "--task=tasks.nap@queue_a".to_owned(),
        format!("--args=[{seconds}]"),
    ]
}

fn a_sweep_measures_each_count_and_puts_the_counts_back(project: &Project) {
    // What the policy forbids is refused before anything is scaled.
    let before = project.all_ids();
    project
        .rscale(&["load-test", "--sweep=worker-a=1,9"])
        .exited(3)
        .says("worker-a=9 would be refused")
        .says("6");
    project
        .rscale(&["load-test", "--sweep=wroker-a=1..3"])
        .exited(2)
        .says("worker-a");
    assert_eq!(project.all_ids(), before);

    project.rscale(&["worker-a=2"]).succeeded();
    let [task, args] = waits("0.7");
    let ran = project
        .json(&[
            "load-test",
            "--sweep=worker-a=1,3",
            "--tasks=12",
            "--warmup=1",
            &task,
            &args,
            "--save=sweep.json",
            "--report=sweep.html",
        ])
        .succeeded()
        .says("    sending 12 tasks of each type to worker-a=1\n")
        .says("back to worker-a=2");
    let sweep = ran.document();
    is_valid("load-test-sweep", &sweep);
    assert_eq!(
        (&sweep["restored"], &sweep["error"]),
        (&true.into(), &Value::Null),
        "{ran}"
    );
    let points = sweep["points"].as_array().unwrap();
    let replicas: Vec<&Value> = points
        .iter()
        .map(|point| &point["counts"][0]["replicas"])
        .collect();
    assert_eq!(replicas, [1, 3], "{ran}");
    // Three workers are far faster than one with tasks that only wait.
    assert!(
        points[1]["improvement_percent"].as_f64().unwrap() > 50.0,
        "{ran}"
    );
    assert_eq!(
        points[1]["result"]["replicas"].as_array().unwrap().len(),
        3,
        "{ran}"
    );
    assert!(sweep["recommended"]["reason"].is_string(), "{ran}");
    assert!(
        sweep["fit"].is_null() && sweep["fit_note"].is_string(),
        "{ran}"
    );
    project.assert_running(&[
        ("rabbitmq", 1),
        ("redis", 1),
        ("worker-a", 2),
        ("worker-b", 1),
    ]);
    assert!(project.read("sweep.html").contains("worker-a"), "{ran}");

    // Conditions are judged at each point. Task B is nobody's who is swept.
    let ran = project
        .json(&[
            "load-test",
            "--sweep=worker-a=1",
            "--tasks=5",
            "--fail-if=throughput<100000",
            "--fail-if=failed>0",
        ])
        .exited(5)
        .says("threshold missed at worker-a=1: throughput < 100000: it is ")
        .says("back to worker-a=2");
    let sweep = ran.document();
    let tasks = sweep["points"][0]["result"]["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 1, "{ran}");
}

fn a_sweep_that_is_interrupted_or_fails_puts_the_counts_back(project: &Project) {
    // Interrupted in the middle of the second point, which one worker is at for a while.
    let [task, args] = waits("2");
    let run = project.start(&[
        "load-test",
        "--sweep=worker-a=3,1",
        "--tasks=6",
        "--warmup=1",
        &task,
        &args,
        "--purge",
        "--format=json",
    ]);
    run.wait_until_it_says("    sending 6 tasks of each type to worker-a=1\n");
    run.signal(Signal::INT);
    let ran = run.ended().exited(130).says("back to worker-a=2");
    let sweep = ran.document();
    assert_eq!(
        (&sweep["interrupted"], &sweep["restored"]),
        (&true.into(), &true.into()),
        "{ran}"
    );
    assert_eq!(sweep["points"].as_array().unwrap().len(), 1, "{ran}");
    project.assert_running(&[
        ("rabbitmq", 1),
        ("redis", 1),
        ("worker-a", 2),
        ("worker-b", 1),
    ]);

    // A point that cannot be reached: its replicas crash.
    project.set("RSCALE_WAIT_TIMEOUT", "20s");
    let compose = project
        .read("compose.yaml")
        .replace("--queues=queue_a", "--queus=queue_a");
    project.write("compose.yaml", &compose);
    let ran = project
        .json(&[
            "load-test",
            "--sweep=worker-a=2,3",
            "--tasks=5",
            "--task=tasks.task_a@queue_a",
            "--celery=amqp://guest:guest@rabbitmq:5672//",
        ])
        .exited(1);
    let sweep = ran.document();
    assert!(
        sweep["error"].is_string() && sweep["restored"] == true,
        "{ran}"
    );
    project.assert_running(&[
        ("rabbitmq", 1),
        ("redis", 1),
        ("worker-a", 2),
        ("worker-b", 1),
    ]);
}
