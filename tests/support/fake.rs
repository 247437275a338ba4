//! rscale against a fake `docker`: a compose file, what runs, what docker is to say, the arguments; then
//! exact stdout, stderr, status, and every call that was made.
//!
//! `fake-docker` beside this file answers; PATH holds nothing else, and the environment is empty.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

pub use super::container::{Container, running};

/// What the fake engine is known by.
pub const ENGINE_ID: &str = "FAKE:ENGINE";

/// The engine's time: long after every container was started.
const NOW: &str = "2026-01-02T00:00:00Z";
/// How long something may take that does not hang.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

/// What the fake answers to a call that a rule is about.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    stdout: String,
    stderr: String,
    code: i32,
    once: bool,
    waits: bool,
    world: Option<Vec<Container>>,
}

impl Answer {
    pub fn prints(stdout: &str) -> Self {
        Self {
            stdout: stdout.into(),
            ..Self::default()
        }
    }

    pub fn fails(stderr: &str) -> Self {
        Self {
            stderr: format!("{stderr}\n"),
            code: 1,
            ..Self::default()
        }
    }

    /// It works, and afterwards these containers are there.
    pub fn makes(containers: Vec<Container>) -> Self {
        Self {
            world: Some(containers),
            ..Self::default()
        }
    }

    /// And afterwards these containers are there.
    pub fn leaving(self, containers: Vec<Container>) -> Self {
        Self {
            world: Some(containers),
            ..self
        }
    }

    /// And says something on stderr.
    pub fn saying(self, stderr: &str) -> Self {
        Self {
            stderr: stderr.into(),
            ..self
        }
    }

    /// Only the first time.
    pub fn once(self) -> Self {
        Self { once: true, ..self }
    }

    /// Not before [`Fake::go_on`].
    pub fn waits() -> Self {
        Self {
            waits: true,
            ..Self::default()
        }
    }
}

/// How a run is expected to end and what docker says meanwhile.
#[derive(Debug)]
pub struct Fake {
    folder: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
    rules: usize,
    worlds: usize,
    stdout: String,
    stderr: String,
    status: i32,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub status: i32,
    /// The arguments of every call of docker, in order.
    pub calls: Vec<String>,
}

impl Ran {
    /// The calls that change something.
    pub fn changes(&self) -> Vec<&str> {
        let changing = |call: &&str| {
            call.contains(" up ")
                || [
                    "start ",
                    "stop ",
                    "rm ",
                    "exec ",
                    "volume create ",
                    "volume rm ",
                ]
                .iter()
                .any(|word| call.starts_with(word))
        };
        self.calls
            .iter()
            .map(String::as_str)
            .filter(changing)
            .collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Fake {
    /// A project `shop`, declared by what `docker compose config` prints of it: YAML from `services:` on.
    pub fn new(services: &str) -> Self {
        let fake = Self {
            folder: TempDir::new().unwrap(),
            args: Vec::new(),
            env: Vec::new(),
            rules: 0,
            worlds: 0,
            stdout: String::new(),
            stderr: String::new(),
            status: 0,
        };
        for folder in [
            "bin",
            "home",
            "locks",
            "shop",
            "docker",
            "docker/rules",
            "docker/worlds",
        ] {
            fs::create_dir(fake.path(folder)).unwrap();
        }
        for folder in ["images", "logs"] {
            fs::create_dir(fake.path("docker").join(folder)).unwrap();
        }
        // A link, not a copy: a file that was just written cannot always be run.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fake-docker");
        std::os::unix::fs::symlink(script, fake.path("bin/docker")).unwrap();
        fake.write("calls", "");
        fake.write("hashes", "");
        fake.write("info", &format!("8000000000 {NOW}\n"));
        fake.write("services", "");
        let config = format!("name: shop\n{}\n", services.trim_start_matches('\n'));
        fake.write("config", &config);
        fake.active(services).containers([])
    }

    /// Another file, from now on.
    pub fn declare(&self, services: &str) {
        self.write("config", &format!("name: shop\n{services}\n"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("docker").join(name), text).unwrap();
    }

    /// The folder that rscale runs in.
    pub fn project_folder(&self) -> PathBuf {
        self.path("shop")
    }

    /// Where it is remembered what runs do.
    pub fn state_folder(&self) -> PathBuf {
        self.path("state")
    }

    /// Where the locks of this run are.
    pub fn lock_folder(&self) -> PathBuf {
        self.path("locks")
    }

    /// What `docker compose config` prints when no profile is named.
    pub fn active(self, services: &str) -> Self {
        self.write(
            "active",
            &format!("name: shop\n{}\n", services.trim_start_matches('\n')),
        );
        self
    }

    /// The containers that exist.
    pub fn containers(mut self, containers: impl AsRef<[Container]>) -> Self {
        let world = self.world(containers.as_ref());
        self.write("world", &format!("{world}\n"));
        self
    }

    /// What `docker compose config --services` prints.
    pub fn services(self, names: &str) -> Self {
        self.write("services", &names.replace(' ', "\n"));
        self
    }

    /// What a replica logged.
    pub fn log(self, name: &str, text: &str) -> Self {
        self.write(&format!("logs/{name}"), text);
        self
    }

    fn world(&mut self, containers: &[Container]) -> usize {
        self.worlds += 1;
        let folder = self.path("docker/worlds").join(self.worlds.to_string());
        fs::create_dir_all(folder.join("vitals")).unwrap();
        let lines: String = containers
            .iter()
            .map(|container| container.listing_line() + "\n")
            .collect();
        fs::write(folder.join("listing"), lines).unwrap();
        for container in containers {
            fs::write(
                folder.join("vitals").join(&container.id),
                container.vitals_line() + "\n",
            )
            .unwrap();
        }
        self.worlds
    }

    /// Answers calls whose arguments contain `needle`, a shell pattern, or begin with it after a `^`; rules
    /// given first count first.
    pub fn on(mut self, needle: &str, answer: Answer) -> Self {
        self.rules += 1;
        let folder = self.path("docker/rules").join(format!("{:02}", self.rules));
        fs::create_dir(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let pattern = needle
            .strip_prefix('^')
            .map_or_else(|| format!("*{needle}*\n"), |start| format!("{start}*\n"));
        write("pattern", &pattern);
        write("stdout", &answer.stdout);
        write("stderr", &answer.stderr);
        write("code", &format!("{}\n", answer.code));
        if answer.once {
            write("once", "");
        }
        if answer.waits {
            write("waits", "");
        }
        if let Some(containers) = answer.world {
            let world = self.world(&containers);
            write("world", &format!("{world}\n"));
        }
        self
    }

    /// Takes docker away altogether.
    pub fn without_docker(self) -> Self {
        fs::remove_file(self.path("bin/docker")).unwrap();
        self
    }

    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// The arguments as one line, split at spaces.
    pub fn line(self, line: &str) -> Self {
        self.args(line.split(' ').filter(|word| !word.is_empty()))
    }

    /// Another run, on what the one before left.
    pub fn again(mut self, line: &str) -> Self {
        self.args.clear();
        self.line(line)
    }

    /// Sets a variable, or takes one of the builder's own away when the value is empty.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn stdout(mut self, text: &str) -> Self {
        self.stdout = text.into();
        self
    }

    pub fn stderr(mut self, text: &str) -> Self {
        self.stderr = text.into();
        self
    }

    pub fn status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// The environment of a run: nothing but this.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |name: &str| {
            self.path(name)
                .to_str()
                .expect("temporary folders have plain names")
                .to_owned()
        };
        let mut env: Vec<(String, String)> = vec![
            ("PATH".into(), text("bin")),
            ("HOME".into(), text("home")),
            ("FAKE_DOCKER".into(), text("docker")),
            ("RSCALE_LOCK_DIR".into(), text("locks")),
            ("RSCALE_STATE_DIR".into(), text("state")),
            ("RSCALE_COMPOSE".into(), "docker compose".into()),
            // Nobody is there, so what listens on this machine plays no part.
            (
                "DOCKER_HOST".into(),
                format!("unix://{}", text("docker.sock")),
            ),
        ];
        env.extend(self.env.clone());
        env
    }

    /// The command, ready to be run.
    pub fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rscale"));
        command
            .args(&self.args)
            .env_clear()
            .current_dir(self.project_folder());
        for (name, value) in self.environment() {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
    }

    /// Has what waits answer.
    pub fn go_on(&self) {
        self.write("go", "");
    }

    /// Waits until docker was called with arguments that begin so.
    pub fn wait_for_call(&self, start: &str) {
        let began = std::time::Instant::now();
        while !self.calls().iter().any(|call| call.starts_with(start)) {
            assert!(began.elapsed() < PATIENCE, "no `{start}`: {self:#?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// The calls of docker so far, but for the question who it is.
    pub fn calls(&self) -> Vec<String> {
        let text = String::from_utf8(self.raw_calls()).unwrap();
        let asked = |line: &&str| !line.contains("DockerRootDir");
        text.lines().filter(asked).map(str::to_owned).collect()
    }

    /// The environment of the last `docker exec`, as a shell writes it.
    pub fn environment_of_exec(&self) -> String {
        fs::read_to_string(self.path("docker/environment")).unwrap_or_default()
    }

    /// The calls of docker so far, a line each, as bytes.
    pub fn raw_calls(&self) -> Vec<u8> {
        fs::read(self.path("docker/calls")).unwrap()
    }

    /// Runs it, whatever comes of it.
    pub fn output(&self) -> Ran {
        let output = Command::from_std(self.command()).output().unwrap();
        Ran {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            status: output.status.code().expect("it ends by itself"),
            calls: self.calls(),
        }
    }

    /// Runs it and compares stdout, stderr and status with what was said: nothing, nothing and 0 unless
    /// told otherwise.
    #[track_caller]
    pub fn run(&self) -> Ran {
        let ran = self.output();
        let got = format!(
            "status {}\n--- stdout\n{}--- stderr\n{}",
            ran.status, ran.stdout, ran.stderr
        );
        let wanted = format!(
            "status {}\n--- stdout\n{}--- stderr\n{}",
            self.status, self.stdout, self.stderr
        );
        assert!(
            got == wanted,
            "rscale {}\n=== got\n{got}\n=== wanted\n{wanted}",
            self.args.join(" ")
        );
        ran
    }
}
