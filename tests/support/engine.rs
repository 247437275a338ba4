//! Projects on a real engine: a folder with a compose file, the containers that come of it, and
//! whatever the tests ask of both. All of it is removed at the end, after a panic too.
//!
//! Without an engine the tests fail, unless `RSCALE_E2E=skip` is set: then each says so and returns.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::turn::{Exclusive, Turn, Weight};

/// What every compose file here begins with: a replica that does nothing and ends at once on SIGTERM.
const APP: &str = "x-app: &app {image: 'busybox:1', init: true, command: sleep 900}\n";
/// No command of a test takes longer; what does hangs. Building the image of an example takes the most.
const TIME_LIMIT: Duration = Duration::from_secs(600);
/// How long a test waits for something that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The engine of this machine.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// A project with this compose file, in a folder of its own; nothing of it runs yet. The file may use
    /// `*app`. `None` when the end-to-end tests are to be skipped.
    pub fn project(yaml: &str) -> Option<Project> {
        Self::project_with(ComposeUnderTest::Plugin, yaml)
    }

    /// The same with another Compose, for the test and for rscale.
    pub fn project_with(compose: ComposeUnderTest, yaml: &str) -> Option<Project> {
        let project = Self::empty_project(compose, Weight::of(yaml))?;
        project.compose_file(yaml);
        Some(project)
    }

    /// A copy of a folder of examples, `gunicorn-caddy/app` say, as a project of the test's own name;
    /// nothing of it runs yet. `None` when the end-to-end tests are to be skipped.
    pub fn example(folder: &str) -> Option<Project> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples")
            .join(folder);
        let yaml = fs::read_to_string(folder.join("compose.yaml")).unwrap_or_default();
        let project = Self::empty_project(ComposeUnderTest::Plugin, Weight::of(&yaml))?;
        copy_folder(&folder, &project.folder());
        // Above the `name` of the compose file.
        project.set("COMPOSE_PROJECT_NAME", project.name());
        Some(project)
    }

    fn empty_project(compose: ComposeUnderTest, weight: Weight) -> Option<Project> {
        if std::env::var("RSCALE_E2E").is_ok_and(|value| value == "skip") {
            return Self::skip("RSCALE_E2E=skip");
        }
        let binary = match compose {
            ComposeUnderTest::Plugin => None,
            ComposeUnderTest::Binary(path) => Some(path),
            ComposeUnderTest::LeftOut(variable) => {
                return Self::skip(&format!("{variable} is empty"));
            }
        };
        let turn = Turn::take(weight);
        assert!(
            Self::answers(),
            "no Docker engine answers; start one (tests/testbed/engine.sh up) or set RSCALE_E2E=skip"
        );
        Some(Project::new(binary, turn))
    }

    /// Past the capture of the test harness: what is skipped must be seen.
    fn skip(reason: &str) -> Option<Project> {
        let _ = writeln!(io::stderr(), "SKIPPED ({reason})");
        None
    }

    fn answers() -> bool {
        static ANSWERS: OnceLock<bool> = OnceLock::new();
        *ANSWERS.get_or_init(|| {
            let info = Command::new("docker")
                .args(["info", "--format", "{{.ID}}"])
                .output();
            info.is_ok_and(|output| output.status.success())
        })
    }
}

/// Which Compose makes the projects and is used by rscale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComposeUnderTest {
    /// `docker compose`, which rscale finds by itself.
    Plugin,
    /// A standalone binary, given to rscale as `RSCALE_COMPOSE`.
    Binary(PathBuf),
    /// None: the variable that would name it is empty.
    LeftOut(&'static str),
}

impl ComposeUnderTest {
    /// The newest Compose 2.x that Debian has.
    pub fn newest() -> Self {
        static PATH: OnceLock<PathBuf> = OnceLock::new();
        Self::fetched(&PATH, "RSCALE_E2E_COMPOSE_NEWEST", "newest")
    }

    /// Compose v1, the Python program.
    pub fn v1() -> Self {
        static PATH: OnceLock<PathBuf> = OnceLock::new();
        Self::fetched(&PATH, "RSCALE_E2E_COMPOSE_V1", "v1")
    }

    /// A path from the environment, else what the test bed fetches; an empty path leaves the test out.
    fn fetched(path: &OnceLock<PathBuf>, variable: &'static str, key: &str) -> Self {
        let path = path.get_or_init(|| {
            if let Some(path) = std::env::var_os(variable) {
                return path.into();
            }
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/engine.sh");
            let output = Command::new(script)
                .args(["compose", key])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "engine.sh compose {key} failed: {said}"
            );
            String::from_utf8(output.stdout).unwrap().trim().into()
        });
        if path.as_os_str().is_empty() {
            return Self::LeftOut(variable);
        }
        Self::Binary(path.clone())
    }
}

/// A Compose project of one test.
#[derive(Debug)]
pub struct Project {
    name: String,
    /// Holds the project's folder and the folder of locks.
    root: TempDir,
    /// A Compose binary; `docker compose` without one.
    compose: Option<PathBuf>,
    environment: RefCell<BTreeMap<String, String>>,
    /// It ends when everything is taken away.
    turn: Arc<Turn>,
}

/// A container of the project, as the engine lists it; one-off containers are left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    pub service: String,
    pub number: u32,
    pub id: String,
    pub name: String,
    pub state: String,
    /// Such as `Up 3 seconds (healthy)`.
    pub status: String,
}

impl Project {
    fn new(compose: Option<PathBuf>, turn: Arc<Turn>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!(
            "rs-e2e-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("locks")).unwrap();
        // Compose and rscale take the project's name from its folder.
        fs::create_dir(root.path().join(&name)).unwrap();
        Self {
            name,
            root,
            compose,
            environment: RefCell::default(),
            turn,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the compose file is.
    pub fn folder(&self) -> PathBuf {
        self.root.path().join(&self.name)
    }

    /// Writes the compose file anew.
    pub fn compose_file(&self, yaml: &str) {
        self.write("compose.yaml", &format!("{APP}{yaml}"));
        // Compose v1 knows it by this name only.
        if self.compose.is_some() {
            fs::rename(
                self.folder().join("compose.yaml"),
                self.folder().join("docker-compose.yml"),
            )
            .unwrap();
        }
    }

    /// Writes a file of the project, with its folder.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The text of a file of the project; empty when there is none.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder().join(path)).unwrap_or_default()
    }

    /// The names in a folder of the project.
    pub fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder().join(path)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Sets an environment variable for every later command of this project.
    pub fn set(&self, variable: &str, value: &str) {
        self.environment
            .borrow_mut()
            .insert(variable.into(), value.into());
    }

    pub fn unset(&self, variable: &str) {
        self.environment.borrow_mut().remove(variable);
    }

    /// A command in the project's folder and environment, not started yet.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .env_clear();
        for name in [
            "PATH",
            "HOME",
            "USER",
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "DOCKER_CONFIG",
        ] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("RSCALE_LOCK_DIR", self.root.path().join("locks"));
        command.env("RSCALE_STATE_DIR", self.root.path().join("state"));
        // By itself rscale watches replicas of which nothing is known for longer; that has tests of its own.
        command.env("RSCALE_STABLE", "1s");
        if let Some(path) = &self.compose {
            command.env("RSCALE_COMPOSE", path);
        }
        command.envs(&*self.environment.borrow());
        command
    }

    /// The files in the folder of locks.
    pub fn locks(&self) -> Vec<String> {
        let folder = fs::read_dir(self.root.path().join("locks")).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    /// A run of rscale, not started yet.
    pub fn rscale_command(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_rscale"));
        command.args(args);
        command
    }

    /// Runs rscale.
    pub fn rscale(&self, args: &[&str]) -> Ran {
        Ran::of(self.rscale_command(args))
    }

    /// Runs `rscale --format json`.
    pub fn json(&self, args: &[&str]) -> Ran {
        self.rscale(&[args, &["--format", "json"]].concat())
    }

    /// Starts rscale and goes on.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::of(self.rscale_command(args))
    }

    /// Runs `make` in the project's folder, with this rscale in its `RSCALE`.
    pub fn make(&self, args: &[&str]) -> Ran {
        let mut command = self.command("make");
        command
            .arg("--no-print-directory")
            .args(args)
            .arg(concat!("RSCALE=", env!("CARGO_BIN_EXE_rscale")));
        self.ran(command, args)
    }

    /// The test has started what it is heavy for.
    pub fn started(&self) {
        self.turn.started();
    }

    /// Runs a command; `up` is the heaviest.
    fn ran(&self, command: Command, args: &[&str]) -> Ran {
        let ran = Ran::of(command);
        if args.first() == Some(&"up") {
            self.started();
        }
        ran
    }

    /// Runs plain Compose, which must succeed.
    #[track_caller]
    pub fn compose(&self, args: &[&str]) -> Ran {
        self.try_compose(args).succeeded()
    }

    /// Runs plain Compose, which may fail: a command in a container that is not ready yet, say.
    pub fn try_compose(&self, args: &[&str]) -> Ran {
        let mut command = match &self.compose {
            None => {
                let mut command = self.command("docker");
                command.arg("compose");
                command
            }
            Some(path) => self.command(path),
        };
        command.args(args);
        self.ran(command, args)
    }

    /// Runs docker, which must succeed, and gives what it printed.
    pub fn docker(&self, args: &[&str]) -> String {
        let mut command = self.command("docker");
        command.args(args);
        Ran::of(command).succeeded().stdout.trim().to_owned()
    }

    /// The containers of the project, in the order of services and numbers.
    pub fn containers(&self) -> Vec<Container> {
        let format = r#"{{.Label "com.docker.compose.service"}}|{{.Label "com.docker.compose.container-number"}}|{{.ID}}|{{.Names}}|{{.State}}|{{.Status}}|{{.Label "com.docker.compose.oneoff"}}"#;
        let listing = self.docker(&[
            "ps",
            "--all",
            "--no-trunc",
            "--filter",
            &self.filter(),
            "--format",
            format,
        ]);
        let mut containers: Vec<Container> = listing
            .lines()
            .map(|line| line.split('|').collect::<Vec<_>>())
            .filter(|columns| columns[6] != "True")
            .map(|columns| Container {
                service: columns[0].into(),
                number: columns[1].parse().unwrap(),
                id: columns[2].into(),
                name: columns[3].into(),
                state: columns[4].into(),
                status: columns[5].into(),
            })
            .collect();
        containers.sort();
        containers
    }

    fn filter(&self) -> String {
        format!("label=com.docker.compose.project={}", self.name)
    }

    fn by_number<T>(&self, service: &str, value: impl Fn(Container) -> T) -> BTreeMap<u32, T> {
        let of_service = self
            .containers()
            .into_iter()
            .filter(|container| container.service == service);
        of_service
            .map(|container| (container.number, value(container)))
            .collect()
    }

    /// The containers of a service: number and id.
    pub fn ids(&self, service: &str) -> BTreeMap<u32, String> {
        self.by_number(service, |container| container.id)
    }

    /// Number and state.
    pub fn states(&self, service: &str) -> BTreeMap<u32, String> {
        self.by_number(service, |container| container.state)
    }

    /// The numbers of a service's replicas.
    pub fn numbers(&self, service: &str) -> Vec<u32> {
        self.by_number(service, |_| ()).into_keys().collect()
    }

    /// The name of one replica's container.
    pub fn container(&self, service: &str, number: u32) -> String {
        let found = self
            .by_number(service, |container| container.name)
            .remove(&number);
        found.unwrap_or_else(|| {
            panic!(
                "`{service}` has no replica {number}: {:?}",
                self.containers()
            )
        })
    }

    /// Every container of the project: service and number with the id.
    pub fn all_ids(&self) -> BTreeMap<(String, u32), String> {
        let containers = self.containers().into_iter();
        containers
            .map(|container| ((container.service, container.number), container.id))
            .collect()
    }

    /// How many replicas of each service run.
    pub fn running(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for container in self
            .containers()
            .iter()
            .filter(|container| container.state == "running")
        {
            *counts.entry(container.service.clone()).or_default() += 1;
        }
        counts
    }

    /// Fails unless exactly these services have replicas, all running, as many as said.
    #[track_caller]
    pub fn assert_running(&self, expected: &[(&str, usize)]) {
        let containers = self.containers();
        let expected: BTreeMap<String, usize> = expected
            .iter()
            .map(|(service, count)| ((*service).to_owned(), *count))
            .collect();
        let all_run = containers
            .iter()
            .all(|container| container.state == "running");
        assert!(
            all_run && self.running() == expected,
            "wanted {expected:?}, got {containers:#?}"
        );
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}; {:#?}",
                self.containers()
            );
            thread::sleep(LOOK);
        }
    }

    /// Waits until a replica is as its status says: `(healthy)`, `Exited`.
    #[track_caller]
    pub fn wait_for(&self, service: &str, number: u32, status: &str) {
        self.wait_until(&format!("{service} {number} {status}"), || {
            let found = self
                .by_number(service, |container| container.status)
                .remove(&number);
            found.is_some_and(|is| is.contains(status))
        });
    }

    /// Makes new replicas crash that look for `flag/crash` when they begin. Those that run must have looked
    /// already, which on a busy machine takes a while: then they sleep.
    #[track_caller]
    pub fn crash_from_now_on(&self) {
        self.wait_until("every replica that runs sleeps", || {
            let containers = self.containers().into_iter();
            let mut running = containers.filter(|container| container.state == "running");
            running.all(|container| self.docker(&["top", &container.name]).contains("sleep "))
        });
        self.write("flag/crash", "");
    }

    /// Runs a plain `docker compose up` with the counts that there are, and compares the containers: it
    /// recreates replicas whose configuration hash is not the one it computes itself.
    #[track_caller]
    pub fn assert_a_later_up_recreates_nothing(&self) {
        let before = self.all_ids();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for (service, _) in before.keys() {
            *counts.entry(service).or_default() += 1;
        }
        assert!(!counts.is_empty());
        let scales: Vec<String> = counts
            .iter()
            .map(|(service, count)| format!("--scale={service}={count}"))
            .collect();
        let mut args = vec!["up", "-d"];
        args.extend(scales.iter().map(String::as_str));
        args.extend(counts.keys());
        self.compose(&args);
        assert_eq!(
            self.all_ids(),
            before,
            "a plain `docker compose up` changed containers"
        );
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let list = |kind: &[&str]| {
            let output = Command::new("docker")
                .args(kind)
                .args(["--quiet", "--filter", &self.filter()])
                .output();
            let stdout = output.map(|output| output.stdout).unwrap_or_default();
            let text = String::from_utf8_lossy(&stdout).into_owned();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for (listing, removal) in [
            (["ps", "--all"], ["rm", "--force", "--volumes"].as_slice()),
            (["network", "ls"], &["network", "rm"]),
            (["volume", "ls"], &["volume", "rm", "--force"]),
            (["image", "ls"], &["image", "rm", "--force"]),
        ] {
            let found = list(&listing);
            if found.is_empty() {
                continue;
            }
            let output = Command::new("docker").args(removal).args(&found).output();
            let said = output.map_or_else(
                |error| error.to_string(),
                |output| String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            );
            // Engine 20.10 can leave a network with "active endpoints" that nothing can remove.
            if !list(&listing).is_empty() {
                let _ = writeln!(io::stderr(), "left behind by {}: {said}", self.name);
            }
        }
    }
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    line: String,
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ran {
    /// Runs a command.
    pub fn of(command: Command) -> Self {
        Running::of(command).ended()
    }

    /// Fails unless the command ended with 0.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// Fails unless the command ended with this status.
    #[track_caller]
    pub fn exited(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// What was printed, read as JSON.
    #[track_caller]
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// Fails unless stderr has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not said\n{self}");
        self
    }

    /// Fails unless stderr has exactly one line of error, and that begins so.
    #[track_caller]
    pub fn says_one_error(self, start: &str) -> Self {
        let errors: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| line.contains("error"))
            .collect();
        assert!(
            matches!(errors.as_slice(), [line] if line.starts_with(&format!("error: {start}"))),
            "not one line that begins with `error: {start}`\n{self}"
        );
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            line,
            status,
            stdout,
            stderr,
            took,
        } = self;
        write!(
            f,
            "{line}\nended with {status} after {took:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}"
        )
    }
}

/// A command that runs; it is ended when nobody waits for it any more.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    began: Instant,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    said: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Running {
    pub fn of(mut command: Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let began = Instant::now();
        let spawned = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{line}: {error}"));
        let said = std::sync::Arc::default();
        let stdout = Some(collect(child.stdout.take().unwrap(), &said));
        let stderr = Some(collect(child.stderr.take().unwrap(), &said));
        Self {
            line,
            child,
            began,
            stdout,
            stderr,
            said,
        }
    }

    /// Waits until either stream has this text.
    #[track_caller]
    pub fn wait_until_it_says(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said.lock().unwrap().contains(text) {
            let said = self.said.lock().unwrap().clone();
            assert!(
                Instant::now() < deadline,
                "{}: `{text}` is not said\n{said}",
                self.line
            );
            thread::sleep(LOOK);
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end.
    #[track_caller]
    pub fn ended(mut self) -> Ran {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            let said = || self.said.lock().unwrap().clone();
            assert!(
                self.began.elapsed() < TIME_LIMIT,
                "{} does not end\n{}",
                self.line,
                said()
            );
            thread::sleep(Duration::from_millis(5));
        };
        let took = self.began.elapsed();
        let text = |handle: &mut Option<JoinHandle<String>>| handle.take().unwrap().join().unwrap();
        Ran {
            line: self.line.clone(),
            status: status.code().unwrap_or(-1),
            stdout: text(&mut self.stdout),
            stderr: text(&mut self.stderr),
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a stream to its end, and shows meanwhile what came.
fn collect(
    mut stream: impl Read + Send + 'static,
    said: &std::sync::Arc<std::sync::Mutex<String>>,
) -> JoinHandle<String> {
    let said = std::sync::Arc::clone(said);
    thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            all.extend_from_slice(&buffer[..count]);
            said.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        String::from_utf8_lossy(&all).into_owned()
    })
}

/// Copies a folder with everything in it into one that exists.
fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The first of up to twenty neighbouring ports that nothing on this machine listens on; no two tests get the same,
/// be they of one run or of several.
pub fn free_ports(count: u16) -> u16 {
    static MINE: Mutex<Vec<Exclusive>> = Mutex::new(Vec::new());
    assert!((1..=20).contains(&count));
    // Below the ports that the kernel hands out.
    let blocks = (15_000..25_000).step_by(20);
    for first in blocks {
        let Some(block) = Exclusive::try_now(&format!("ports-{first}")) else {
            continue;
        };
        if (first..first + count).all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok()) {
            MINE.lock().unwrap().push(block);
            return first;
        }
    }
    panic!("no ports are free");
}

/// Names of a JSON array's items.
pub fn names(array: &Value) -> Vec<&str> {
    let items = array
        .as_array()
        .unwrap_or_else(|| panic!("no array: {array}"));
    items
        .iter()
        .map(|item| item.as_str().or_else(|| item["name"].as_str()).unwrap())
        .collect()
}

/// The entry of a JSON array with this name.
#[track_caller]
pub fn entry<'v>(array: &'v Value, name: &str) -> &'v Value {
    let items = array
        .as_array()
        .unwrap_or_else(|| panic!("no array: {array}"));
    items
        .iter()
        .find(|item| item["name"] == name)
        .unwrap_or_else(|| panic!("no `{name}` in {array:#}"))
}
