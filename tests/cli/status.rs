//! `rscale status`.

use super::SHOP;
use crate::support::fake::{Answer, Container, Fake, running};

fn motley() -> Fake {
    let mut published = Container::new("web", 1, "running").health("healthy");
    published.ports = "0.0.0.0:8000->80/tcp, :::8000->80/tcp".into();
    published.restarts = 0;
    let mut oneoff = Container::new("web", 1, "running");
    oneoff.oneoff = true;
    oneoff.id = "run-id".into();
    Fake::new(SHOP).containers(vec![
        published,
        Container::new("web", 2, "running").health("unhealthy"),
        Container::new("worker-a", 1, "running").health("starting"),
        Container::new("worker-b", 1, "exited").exit_code(137),
        Container::new("old", 1, "running"),
        oneoff,
    ])
}

#[test]
fn shows_every_service_what_differs_and_what_is_orphaned() {
    let table = "\
SERVICE   REPLICAS          HEALTHY  STATE                   PORTS         RESTARTS  UPTIME
db        0/0 (declared 1)  -        stopped                               0         -
web       2/2 (declared 1)  1/2      degraded (#2 unhealthy) 8000->80/tcp  0         3 minutes
worker-a  1/1               0/1      starting                              0         3 minutes
worker-b  0/1               -        stopped (#1 exited)                   0         -
old       1/1 (orphan)      -        ok                                    0         3 minutes
";
    let ran = motley().line("status").output();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    // Columns are as wide as their longest cell; what matters is what stands in them.
    let words = |text: &str| -> Vec<Vec<String>> {
        text.lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    assert_eq!(words(&ran.stdout), words(table), "{}", ran.stdout);
    assert!(ran.changes().is_empty());
}

#[test]
fn narrows_down_to_the_services_named() {
    let ran = motley().line("status worker-a old").output();
    let names: Vec<&str> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names, ["SERVICE", "worker-a", "old"], "{}", ran.stdout);
}

#[test]
fn restarts_are_asked_only_where_the_engine_restarts() {
    let services = "services: {web: {image: app, restart: always}, worker-a: {image: app}}";
    let mut restarted = Container::new("web", 1, "running");
    restarted.restarts = 7;
    let ran = Fake::new(services)
        .containers(vec![restarted, Container::new("worker-a", 1, "running")])
        .line("status")
        .output();
    let inspections: Vec<&String> = ran
        .calls
        .iter()
        .filter(|call| call.starts_with("inspect"))
        .collect();
    assert_eq!(inspections.len(), 1);
    assert!(inspections[0].ends_with(" web-1-id"), "{inspections:?}");
    let web = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("web"))
        .unwrap();
    assert!(web.split_whitespace().any(|word| word == "7"), "{web}");
}

#[test]
fn v_says_what_cannot_be_scaled_and_why() {
    let services = "services: {web: {image: app, container_name: only}}";
    let plain = Fake::new(services).line("status").output();
    assert!(!plain.stdout.contains("only"), "{}", plain.stdout);
    let verbose = Fake::new(services).line("status -v").output();
    assert!(
        verbose.stdout.lines().last().unwrap().contains("only"),
        "{}",
        verbose.stdout
    );
}

#[test]
fn inactive_services_without_containers_are_left_out_unless_named() {
    let services = "services: {web: {image: app}, debug: {image: app, profiles: [debug]}}";
    let fake = || Fake::new(services).active("services: {web: {image: app}}");
    let names = |fake: Fake| -> Vec<String> {
        let ran = fake.output();
        ran.stdout
            .lines()
            .skip(1)
            .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
            .collect()
    };
    assert_eq!(names(fake().line("status")), ["web"]);
    assert_eq!(names(fake().line("status debug")), ["debug"]);
    assert_eq!(
        names(fake().containers(running("debug", 1)).line("status")),
        ["debug", "web"]
    );
}

#[test]
fn a_project_of_another_name_is_listed_again() {
    // The folder is `shop`; the file says `store`.
    let ran = Fake::new("services: {web: {image: app}}")
        .on(
            " config",
            Answer::prints("name: store\nservices: {web: {image: app}}\n"),
        )
        .line("status")
        .output();
    let listings: Vec<&str> = ran
        .calls
        .iter()
        .filter_map(|call| {
            call.strip_prefix("ps --all --no-trunc --filter label=com.docker.compose.project=")
        })
        .filter_map(|rest| rest.split(' ').next())
        .collect();
    assert_eq!(listings, ["shop", "store"]);
}

#[test]
fn a_container_that_goes_meanwhile_does_not_matter() {
    let services = "services: {web: {image: app, restart: always}}";
    let ran = Fake::new(services)
        .containers(running("web", 2))
        .on(
            "^inspect ",
            Answer::fails("Error: No such container: web-2-id"),
        )
        .line("status")
        .output();
    assert_eq!(ran.status, 0, "{ran:#?}");
    assert!(
        ran.stdout.contains(" ? "),
        "unknown restarts are shown as such: {}",
        ran.stdout
    );
}

/// Reads the lines of a watching run until the last one expected, then ends it with SIGTERM.
fn watched(fake: &Fake, count: usize) -> (Vec<String>, std::process::ExitStatus) {
    use std::io::BufRead;
    let mut child = fake
        .command()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Kept until the end: without a reader it would end by itself.
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let read: Vec<String> = lines.by_ref().take(count).map(Result::unwrap).collect();
    let pid = child.id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(kill.unwrap().success());
    (read, child.wait().unwrap())
}

#[test]
fn watching_into_a_pipe_prints_a_line_per_change_and_ends_with_130() {
    let services = "services: {web: {image: app}}";
    let fake = Fake::new(services)
        .on("^ps --all", Answer::makes(running("web", 2)).once())
        .line("status --watch 20ms");
    let (lines, status) = watched(&fake, 2);
    assert_eq!(lines, ["web  0/0 running, stopped", "web  2/2 running, ok"]);
    assert_eq!(status.code(), Some(130));
}

#[test]
fn the_interval_may_come_from_the_environment() {
    let fake = Fake::new("services: {web: {image: app}}")
        .on("^ps --all", Answer::makes(running("web", 2)).once())
        .env("RSCALE_WATCH", "20ms")
        .line("status");
    assert_eq!(
        watched(&fake, 2).0,
        ["web  0/0 running, stopped", "web  2/2 running, ok"]
    );
}

#[test]
fn watching_ends_when_nobody_reads_any_more() {
    let fake = Fake::new("services: {web: {image: app}}").line("status --watch 20ms");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = fake.command().stdout(writer).spawn().unwrap();
    for _ in 0..2400 {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("it still watches after two minutes without a reader");
}

#[test]
fn watching_as_json_prints_a_document_per_change() {
    let fake = Fake::new("services: {web: {image: app}}")
        .on("^ps --all", Answer::makes(running("web", 2)).once())
        .line("status --watch 20ms --format json");
    let (lines, status) = watched(&fake, 30);
    let text = lines.join("\n");
    let mut documents = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    assert_eq!(
        documents.next().unwrap().unwrap()["services"][0]["running"],
        0
    );
    assert_eq!(status.code(), Some(130));
}

/// A watching run whose lines are read one by one.
struct Watching {
    child: std::process::Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Watching {
    fn new(fake: &Fake) -> Self {
        use std::io::BufRead;
        let mut command = fake.command();
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Ends it with SIGTERM and gives what it said on stderr, and its exit code.
    fn ended(self) -> (String, Option<i32>) {
        let pid = self.child.id().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-TERM", &pid]).status().unwrap().success());
        let output = self.child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (stderr, output.status.code())
    }
}

#[test]
fn watching_goes_on_while_the_engine_does_not_answer() {
    let down =
        "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?";
    let fake = Fake::new("services: {web: {image: app}}")
        .on("^ps --all", Answer::makes(running("web", 2)).once())
        .on("^ps --all", Answer::fails(down).once())
        .on("^ps --all", Answer::fails(down).once())
        .on(
            "^ps --all",
            Answer::fails("Error response from daemon: odd").once(),
        )
        .line("status --watch 20ms");
    let mut watching = Watching::new(&fake);
    assert_eq!(watching.line(), "web  0/0 running, stopped");
    assert_eq!(watching.line(), "web  2/2 running, ok");
    let (stderr, status) = watching.ended();
    assert_eq!(status, Some(130));
    let said: Vec<&str> = stderr.lines().collect();
    let [first, second, last] = said.as_slice() else {
        panic!("{stderr}");
    };
    assert!(
        first.starts_with("no look succeeds since 20")
            && first.contains(", going on: the Docker daemon is not running"),
        "{stderr}"
    );
    // The time is that of the first one.
    let since = &first["no look succeeds ".len()..first.find(',').unwrap()];
    assert!(second.contains(since), "{stderr}");
    assert_eq!(*last, format!("looks succeed again; they failed {since}"));
}

#[test]
fn a_first_look_that_fails_ends_it() {
    let fake = Fake::new("services: {web: {image: app}}")
        .on(
            "^ps --all",
            Answer::fails("Cannot connect to the Docker daemon"),
        )
        .line("status --watch 20ms");
    assert_eq!(fake.output().status, 4);
}

/// Waits for something, for two minutes at most.
#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it does not come to be so");
}

#[test]
fn watching_reads_a_file_that_changed() {
    let fake = Fake::new("services: {web: {image: app}}").line("status --watch 20ms");
    let file = fake.project_folder().join("compose.yaml");
    std::fs::write(&file, "").unwrap();
    let mut watching = Watching::new(&fake);
    assert_eq!(watching.line(), "web  0/0 running, stopped");
    let broken = "services: [";
    fake.declare(broken);
    std::fs::write(&file, broken).unwrap();
    // A file in the middle of being edited is no end either.
    let reads = || {
        fake.calls()
            .iter()
            .filter(|call| call.contains(" config"))
            .count()
    };
    let before = reads();
    until(|| reads() >= before + 2);
    fake.declare("services: {web: {image: app}, cache: {image: app}}");
    std::fs::write(&file, "services: {}").unwrap();
    assert_eq!(watching.line(), "cache  0/0 running, stopped");
    let calls = reads();
    let looks = || {
        fake.calls()
            .iter()
            .filter(|call| call.starts_with("ps"))
            .count()
    };
    let before = looks();
    until(|| looks() >= before + 3);
    assert_eq!(reads(), calls, "a file that stays as it is is read once");
    assert_eq!(watching.ended().1, Some(130));
}
