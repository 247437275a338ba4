//! The driver with real processes, and with an executor that records what it is asked.

use std::time::{Duration, Instant};

use super::{Command, fits};
use crate::engine::Engine;
use crate::engine::compose::{Compose, Generation};
use crate::engine::launcher::Launcher;
use crate::error::Exit;
use crate::exec::process::ProcessExecutor;
use crate::exec::recording::RecordingExecutor;
use crate::exec::{CommandError, CommandOutput, Executor};
use crate::load::Driver;
use crate::load::book::Book;
use crate::load::id::RunId;
use crate::load::ledger::{State, UNKNOWN};
use crate::load::pace::{Amount, Arrival, Pace};
use crate::load::site::{Names, Site};
use crate::project::Project;
use crate::project::declared::Declared;
use crate::project::observed::Handle;
use crate::project::observed::Replica;
use crate::project::workload::{CommandWork, Place, TaskType, Work};

const PATIENCE: Duration = Duration::from_secs(20);
const RUN: RunId = RunId::from_bytes([9; 12]);

fn sh(script: &str) -> CommandWork {
    CommandWork {
        words: ["sh", "-c", script].map(str::to_owned).to_vec(),
        place: Place::Local,
        once: false,
    }
}

fn once(script: &str) -> CommandWork {
    CommandWork {
        once: true,
        ..sh(script)
    }
}

fn pace(tasks: u32, in_flight: Option<u32>) -> Pace {
    Pace {
        amount: Amount::Tasks(tasks),
        arrival: Arrival::Closed { in_flight },
    }
}

fn site(places: &[Place], timeout: Duration) -> Site {
    let compose = Compose {
        command: vec!["docker".into(), "compose".into()],
        generation: Generation::V2,
        project_options: Vec::new(),
    };
    let replica = Replica {
        id: "3f5c0a1b2c3d4e5f".into(),
        name: "shop-worker-1".into(),
        service: "worker".into(),
        ..Replica::default()
    };
    Site {
        names: Names::of(&Project::new(Declared::default(), vec![replica])),
        launchers: places
            .iter()
            .map(|place| {
                (
                    place.clone(),
                    compose
                        .launcher(place, &Handle::expected("shop-web-1"))
                        .unwrap(),
                )
            })
            .collect(),
        timeout,
        ..Site::default()
    }
}

fn types(works: &[CommandWork]) -> Vec<(u16, TaskType)> {
    let types = works.iter().enumerate().map(|(kind, work)| {
        let task = TaskType {
            name: format!("Job {kind}"),
            service: None,
            work: Work::Command(work.clone()),
        };
        (u16::try_from(kind).unwrap(), task)
    });
    types.collect()
}

/// Runs commands of this machine; the book, and what was warned of.
async fn run(works: &[CommandWork], pace: Pace, timeout: Duration) -> (Book, Vec<String>) {
    let executor = ProcessExecutor::listening().unwrap();
    run_with(&executor, works, pace, timeout).await
}

async fn run_with(
    executor: &dyn Executor,
    works: &[CommandWork],
    pace: Pace,
    timeout: Duration,
) -> (Book, Vec<String>) {
    let places: Vec<Place> = works.iter().map(|work| work.place.clone()).collect();
    let site = site(&places, timeout);
    let driver = Command::new(types(works), &site, executor).unwrap();
    let book = Book::new(RUN, works.len(), pace);
    tokio::time::timeout(PATIENCE, driver.run(&book))
        .await
        .expect("it ends")
        .unwrap();
    let closed = driver.close(&book, false).await;
    (book, closed.warnings)
}

fn classes(book: &Book) -> Vec<String> {
    let ledger = book.ledger();
    let records = ledger.records.iter();
    records
        .map(|record| match record.state {
            State::Done => "done".to_owned(),
            State::Failed => ledger.error(record).unwrap().to_owned(),
            state => format!("{state:?}"),
        })
        .collect()
}

#[tokio::test]
async fn each_task_is_a_command_and_its_time_is_the_execution() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "sleep 0.2; echo \"$RSCALE_TASK_ID {{id}}\" >> {}/ids",
        folder.path().display()
    );
    let began = Instant::now();
    let (book, warnings) = run(&[sh(&script)], pace(6, Some(3)), PATIENCE).await;
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(400) && took < Duration::from_secs(5),
        "three at a time: {took:?}"
    );
    assert_eq!(
        (classes(&book), warnings),
        (vec!["done".to_owned(); 6], vec![])
    );
    let ids = std::fs::read_to_string(folder.path().join("ids")).unwrap();
    let mut ids: Vec<&str> = ids.lines().collect();
    ids.sort_unstable();
    let expected: Vec<String> = (0..6)
        .map(|task| format!("{0} {0}", RUN.task(task)))
        .collect();
    assert_eq!(ids, expected);
    let ledger = book.ledger();
    for record in &ledger.records {
        let end_to_end = Duration::from_nanos(record.finished - record.intended).as_secs_f64();
        assert!(
            record.execution >= 0.2 && f64::from(record.execution) <= end_to_end,
            "{record:?}"
        );
    }
    assert_eq!(ledger.undetailed(), 0);
}

#[tokio::test]
async fn a_command_that_fails_is_counted_by_how_it_ended_and_the_first_is_quoted() {
    let works = [
        sh("echo no such queue >&2; exit 3"),
        sh("kill -9 $$"),
        sh("sleep 20"),
        CommandWork {
            words: vec!["rscale-no-such-program".into()],
            ..sh("")
        },
    ];
    let (book, warnings) = run(&works, pace(2, None), Duration::from_millis(500)).await;
    let classes = classes(&book);
    let kinds = [
        "exit status 3",
        "signal 9 (SIGKILL)",
        "timeout",
        "not found",
    ];
    let expected: Vec<&str> = kinds.into_iter().cycle().take(8).collect();
    assert_eq!(classes, expected);
    assert_eq!(
        warnings,
        ["a command of `Job 0` failed and said: no such queue"]
    );
}

#[tokio::test]
async fn an_open_pace_runs_commands_when_they_are_due() {
    let pace = Pace {
        amount: Amount::Tasks(5),
        arrival: Arrival::Open { per_second: 10.0 },
    };
    let (book, _) = run(&[sh("sleep 0.3")], pace, PATIENCE).await;
    assert_eq!(classes(&book), vec!["done"; 5]);
    let sent: Vec<u64> = book
        .ledger()
        .records
        .iter()
        .map(|record| record.sent / 100_000_000)
        .collect();
    assert!(
        sent.iter()
            .zip(0..)
            .all(|(sent, due)| (due..due + 2).contains(sent)),
        "{sent:?}"
    );
}

#[tokio::test]
async fn one_command_tells_what_became_of_each_task_while_it_runs() {
    let script = r#"
        echo "sending $RSCALE_COUNT {count}"
        test "$RSCALE_COUNT {count}" = "4 4" || exit 9
        echo '{"id": "a", "ok": true, "seconds": 0.5, "wait_seconds": 0.25, "replica": "celery@3f5c0a1b2c3d"}'
        sleep 0.5
        echo '{"id": "a", "ok": false}'
        echo '{"id": "b", "ok": false, "error": "ValueError", "replica": "elsewhere"}'
        echo '{"ok": false}'
        printf '{"ok": true}'
    "#;
    let (book, warnings) = run(&[once(script)], pace(4, None), PATIENCE).await;
    assert_eq!(
        (classes(&book), warnings),
        (
            ["done", "ValueError", "error", "done"]
                .map(str::to_owned)
                .to_vec(),
            vec![]
        )
    );
    let ledger = book.ledger();
    let first = &ledger.records[0];
    assert!(
        ledger.records[1].finished - first.finished > 300_000_000,
        "as it was said, and not at the end"
    );
    assert!((first.execution - 0.5).abs() < 1e-6);
    let waited = Duration::from_nanos(first.started);
    assert!(
        waited >= Duration::from_millis(250) && waited < Duration::from_millis(400),
        "{waited:?}"
    );
    let who: Vec<_> = ledger
        .replicas
        .iter()
        .map(|worker| (worker.service.as_deref(), worker.name.as_str()))
        .collect();
    assert_eq!(
        who,
        [(Some("worker"), "shop-worker-1"), (None, "elsewhere")]
    );
}

#[tokio::test]
async fn one_command_without_a_word_has_done_everything_when_it_ends_well() {
    for in_flight in [None, Some(2)] {
        let (book, warnings) = run(&[once("echo done")], pace(5, in_flight), PATIENCE).await;
        assert_eq!(
            (classes(&book), warnings),
            (vec!["done".to_owned(); 5], vec![])
        );
        assert!(book.is_settled(&[0]));
        assert!(
            book.ledger().records.iter().all(|record| !record.timed),
            "their own times are not known"
        );
    }
}

#[tokio::test]
async fn one_command_that_fails_has_failed_what_it_told_no_results_of() {
    for (script, class, said) in [
        (
            "echo '{\"ok\": true}'; echo broken >&2; exit 2",
            "exit status 2",
            true,
        ),
        ("echo '{\"ok\": true}'; exec sleep 20", "timeout", false),
    ] {
        for in_flight in [None, Some(1)] {
            let (book, warnings) = run(
                &[once(script)],
                pace(3, in_flight),
                Duration::from_millis(600),
            )
            .await;
            assert_eq!(classes(&book), ["done", class, class]);
            let expected = "`Job 0` failed and said: broken".to_owned();
            assert_eq!(
                warnings,
                said.then_some(expected).into_iter().collect::<Vec<_>>()
            );
        }
    }
}

#[tokio::test]
async fn too_few_results_are_lost_and_too_many_are_left_out() {
    let (book, warnings) = run(&[once("echo '{\"ok\": true}'")], pace(3, None), PATIENCE).await;
    assert_eq!(classes(&book), ["done", "Sent", "Sent"]);
    assert_eq!(warnings, ["`Job 0` ended without the results of 2 tasks"]);
    let (book, warnings) = run(
        &[once("yes '{\"ok\": true}' | head -n 9")],
        pace(3, Some(2)),
        PATIENCE,
    )
    .await;
    assert_eq!(classes(&book), vec!["done"; 3]);
    assert_eq!(warnings, ["`Job 0` gave 6 results more than it has tasks"]);
}

#[tokio::test]
async fn both_ways_run_at_the_same_time() {
    let works = [
        once("sleep 0.4"),
        sh("sleep 0.4"),
        once("sleep 0.4; exit 1"),
    ];
    let began = Instant::now();
    let (book, _) = run(&works, pace(2, Some(2)), PATIENCE).await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let tally = |kind| (book.tally(kind).done, book.tally(kind).failed);
    assert_eq!([tally(0), tally(1), tally(2)], [(2, 0), (2, 0), (0, 2)]);
}

#[tokio::test]
async fn a_run_that_is_dropped_ends_its_commands() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("sleep 2; touch {}/late", folder.path().display());
    let executor = ProcessExecutor::listening().unwrap();
    let works = [sh(&script), once(&script)];
    let site = site(&[Place::Local], PATIENCE);
    let driver = Command::new(types(&works), &site, &executor).unwrap();
    let book = Book::new(RUN, 2, pace(2, None));
    let dropped = tokio::time::timeout(Duration::from_millis(300), driver.run(&book)).await;
    assert!(dropped.is_err());
    assert_eq!(
        driver.close(&book, true).await,
        crate::load::Closed::default()
    );
    tokio::time::sleep(Duration::from_millis(2300)).await;
    assert!(!folder.path().join("late").exists());
    assert!(
        book.ledger()
            .records
            .iter()
            .all(|record| record.finished == UNKNOWN)
    );
}

#[tokio::test]
async fn containers_whose_command_did_not_end_are_removed() {
    let exec = CommandWork {
        place: Place::Exec("web".into()),
        ..sh("a {id}")
    };
    let new = CommandWork {
        place: Place::Run("web".into()),
        ..once("b {count}")
    };
    let interrupted = |_: &_| {
        Err(CommandError::Interrupted {
            stderr: String::new(),
        })
    };
    let executor = RecordingExecutor::new(interrupted);
    let (book, warnings) = run_with(&executor, &[exec, new], pace(1, None), PATIENCE).await;
    let mut lines = executor.lines();
    lines.sort();
    // What runs once takes its tasks first.
    let (id, tail) = (RUN.task(1), RUN.tail());
    let name = format!("rscale-load-1{tail}");
    let expected = [
        format!(
            "docker compose run --rm --no-deps -T --name {name} --env RSCALE_COUNT=1 web sh -c 'b 1'"
        ),
        format!("docker exec --env RSCALE_TASK_ID={id} shop-web-1 sh -c 'a {id}'"),
        format!("docker rm --force --volumes {name}"),
    ];
    assert_eq!(lines, expected);
    assert_eq!(warnings, ["containers of `Job 1` are left: interrupted"]);
    assert!(
        book.ledger()
            .records
            .iter()
            .all(|record| record.finished == UNKNOWN)
    );

    // The usual end leaves nothing to remove.
    let executor = RecordingExecutor::new(|_| Ok(CommandOutput::default()));
    let new = CommandWork {
        place: Place::Run("web".into()),
        ..sh("b")
    };
    let (book, _) = run_with(&executor, &[new], pace(2, None), PATIENCE).await;
    assert_eq!(
        (classes(&book), executor.lines().len()),
        (vec!["done".to_owned(); 2], 2)
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said_before_the_run() {
    let executor = ProcessExecutor::listening().unwrap();
    let site = site(&[Place::Local, Place::Exec("web".into())], PATIENCE);
    let check = async |words: &[&str], place: Place| {
        let words = words.iter().map(ToString::to_string).collect();
        let work = CommandWork {
            words,
            place,
            once: false,
        };
        let driver = Command::new(types(&[work]), &site, &executor).unwrap();
        driver
            .check()
            .await
            .map_err(|error| (error.exit(), error.message))
    };
    for (words, place) in [
        (&["sh"][..], Place::Local),
        (&["/bin/sh"], Place::Local),
        (&["anything"], Place::Exec("web".into())),
    ] {
        check(words, place).await.unwrap();
    }
    for program in ["rscale-no-such-program", "./no-such-file"] {
        let message = format!("`Job 0`: `{program}` is not installed, or not on PATH");
        assert_eq!(
            check(&[program], Place::Local).await,
            Err((Exit::Unusable, message))
        );
    }
    let mut elsewhere = self::site(&[Place::Local], PATIENCE);
    for launcher in elsewhere.launchers.values_mut() {
        if let Launcher::Local(spec) = launcher {
            spec.cwd = Some("/no/such/folder".into());
        }
    }
    let driver = Command::new(types(&[sh("true")]), &elsewhere, &executor).unwrap();
    assert_eq!(
        driver.check().await.unwrap_err().message,
        "`Job 0` cannot be run: there is no folder `/no/such/folder`"
    );
    let none = CommandWork {
        words: vec![],
        ..sh("")
    };
    assert_eq!(
        Command::new(types(&[none]), &site, &executor)
            .unwrap_err()
            .exit(),
        Exit::Usage
    );
}

#[tokio::test]
async fn one_command_for_all_tasks_needs_their_number() {
    let open = Arrival::Open { per_second: 1.0 };
    let timed = Amount::For(Duration::from_secs(1));
    let closed = pace(3, None);
    assert!(fits("Job", &once(""), closed).is_ok());
    for wrong in [
        Pace {
            arrival: open,
            ..closed
        },
        Pace {
            amount: timed,
            ..closed
        },
    ] {
        let error = fits("Job", &once(""), wrong).unwrap_err();
        assert_eq!((error.exit(), error.hints.len()), (Exit::Usage, 1));
        assert!(fits("Job", &sh(""), wrong).is_ok());
        let executor = RecordingExecutor::new(|_| Ok(CommandOutput::default()));
        let site = site(&[Place::Local], PATIENCE);
        let driver = Command::new(types(&[once("")]), &site, &executor).unwrap();
        assert_eq!(
            driver
                .run(&Book::new(RUN, 1, wrong))
                .await
                .unwrap_err()
                .exit(),
            Exit::Usage
        );
        assert!(executor.lines().is_empty());
    }
}
