//! Stacks on a real swarm, made by `tests/testbed/swarm.sh` of engines of its own; the default engine is none of its
//! nodes. The script keeps a swarm for as long as this process holds its standard input, so that it goes
//! after a panic and a kill as well.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::engine::{Engine, PATIENCE, Project};
use super::turn::{Turn, Weight};

/// What every stack file here begins with. No virtual addresses: they need a kernel with IPVS.
const DEPLOY: &str = "x-deploy: &deploy {endpoint_mode: dnsrr, restart_policy: {delay: 300ms}}\n";
const LOOK: Duration = Duration::from_millis(100);

/// A node as the script tells it.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub address: String,
    pub socket: String,
    process: i32,
}

/// A swarm; the first node is its manager.
#[derive(Debug)]
pub struct Swarm {
    pub nodes: Vec<Node>,
    /// The script, which ends the swarm when its standard input ends; `None` where somebody else holds it.
    holder: Option<Child>,
    /// Of the test whose own it is.
    turn: Option<Arc<Turn>>,
}

impl Node {
    fn parse(line: &str) -> Self {
        let [name, address, socket, process] =
            line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        Self {
            name: name.into(),
            address: address.into(),
            socket: socket.into(),
            process: process.parse().unwrap(),
        }
    }
}

impl Swarm {
    /// The swarm of two nodes that the tests of this run share; none of them may change its nodes. `None` when
    /// the end-to-end tests are to be skipped.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Swarm> = OnceLock::new();
        Self::can_be()
            .then(|| SHARED.get_or_init(|| Self::held().unwrap_or_else(|| Self::start(2))))
    }

    /// A swarm of the test's own, whose nodes it may drain and kill.
    pub fn own(nodes: usize) -> Option<Self> {
        Self::can_be().then(|| {
            let turn = Turn::take(Weight::Heavy);
            let mut swarm = Self::start(nodes);
            turn.started();
            swarm.turn = Some(turn);
            swarm
        })
    }

    /// The swarm that somebody holds for all processes of a run: `RSCALE_E2E_SWARM` names the file with its nodes.
    fn held() -> Option<Self> {
        let path = std::env::var_os("RSCALE_E2E_SWARM").filter(|path| !path.is_empty())?;
        let text = std::fs::read_to_string(&path).unwrap();
        Some(Self {
            nodes: text.lines().map(Node::parse).collect(),
            holder: None,
            turn: None,
        })
    }

    fn can_be() -> bool {
        let reason = if std::env::var("RSCALE_E2E").is_ok_and(|value| value == "skip") {
            "RSCALE_E2E=skip"
        } else if !cfg!(target_os = "linux") {
            "nodes of a swarm need network namespaces"
        } else if !rustix::process::geteuid().is_root() {
            "nodes of a swarm need root"
        } else {
            return true;
        };
        // Past the capture of the test harness: what is skipped must be seen.
        let _ = writeln!(io::stderr(), "SKIPPED ({reason})");
        false
    }

    fn start(count: usize) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/swarm.sh");
        let mut holder = Command::new(script)
            .args(["hold", &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        let nodes: Vec<Node> = lines.map(|line| Node::parse(&line.unwrap())).collect();
        assert_eq!(nodes.len(), count, "swarm.sh did not start a swarm");
        Self {
            nodes,
            holder: Some(holder),
            turn: None,
        }
    }

    /// A stack that is deployed, with all its replicas running. The file may use `*app` and `*deploy`; rscale does
    /// not see it, see [`Stack::show_file`].
    pub fn stack(&self, yaml: &str) -> Stack<'_> {
        let stack = self.stack_on_its_way(yaml);
        let runs = || {
            let services = stack.services();
            services.values().all(|(running, wanted)| running == wanted)
        };
        // Engine 20.10 may leave a task of a new network in `preparing` for good when several stacks come at once;
        // another one in its place does.
        let began = Instant::now();
        while !runs() && began.elapsed() < PATIENCE {
            thread::sleep(LOOK);
        }
        if !runs() {
            for (service, (running, wanted)) in stack.services() {
                if running != wanted {
                    let object = stack.object(&service);
                    stack.docker(&["service", "update", "--force", "--detach", &object]);
                }
            }
        }
        stack.wait_until("the stack runs", runs);
        stack
    }

    /// A stack that is deployed.
    pub fn stack_on_its_way(&self, yaml: &str) -> Stack<'_> {
        let project = Engine::project(&format!("{DEPLOY}{yaml}")).expect("not to be skipped");
        for (variable, value) in [
            ("DOCKER_HOST", self.nodes[0].socket.as_str()),
            ("RSCALE_ENGINE", "swarm"),
            ("RSCALE_STABLE", "1s"),
        ] {
            project.set(variable, value);
        }
        let stack = Stack {
            project,
            _swarm: PhantomData,
        };
        let folder = stack.folder().join("compose.yaml");
        stack.docker(&[
            "stack",
            "deploy",
            "--resolve-image=never",
            "--compose-file",
            &folder.to_string_lossy(),
            stack.name(),
        ]);
        std::fs::rename(&folder, folder.with_extension("hidden")).unwrap();
        stack
    }

    /// Ends a node, with everything that runs on it, as a power cut would.
    pub fn kill(&self, node: usize) {
        let process = Pid::from_raw(self.nodes[node].process).unwrap();
        kill_process(process, Signal::KILL).unwrap();
    }

    /// Waits until the manager says so of a node: `Ready`, `Down`.
    #[track_caller]
    pub fn wait_for(&self, node: usize, status: &str) {
        let name = &self.nodes[node].name;
        let format = ["--format", "{{.Status.State}}"];
        let began = Instant::now();
        loop {
            let output = Command::new("docker")
                .args(["--host", &self.nodes[0].socket, "node", "inspect", name])
                .args(format)
                .output()
                .unwrap();
            if String::from_utf8_lossy(&output.stdout).trim() == status {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{name} is not {status}");
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

/// A stack of one test.
#[derive(Debug)]
pub struct Stack<'s> {
    project: Project,
    /// It goes before its swarm.
    _swarm: PhantomData<&'s Swarm>,
}

/// What a stack is given to do: commands, files, an environment.
impl Deref for Stack<'_> {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.project
    }
}

/// A task that is to run and runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    pub slot: String,
    pub id: String,
    pub node: String,
}

impl Stack<'_> {
    /// Lets rscale see the compose file.
    pub fn show_file(&self) {
        let file = self.folder().join("compose.yaml");
        std::fs::rename(file.with_extension("hidden"), file).unwrap();
    }

    /// How many replicas of each service run, and how many the swarm is to keep.
    pub fn services(&self) -> BTreeMap<String, (u32, u32)> {
        let format = "{{.Name}} {{.Replicas}}";
        let listing = self.docker(&["stack", "services", "--format", format, self.name()]);
        let prefix = format!("{}_", self.name());
        let services = listing.lines().map(|line| {
            let mut words = line.split(' ');
            let name = words.next().unwrap().strip_prefix(&prefix).unwrap();
            let (running, wanted) = words.next().unwrap().split_once('/').unwrap();
            let counts = (running.parse().unwrap(), wanted.parse().unwrap());
            (name.to_owned(), counts)
        });
        services.collect()
    }

    /// Fails unless these services have these counts, all running.
    #[track_caller]
    pub fn assert_counts(&self, expected: &[(&str, u32)]) {
        let services = self.services();
        for (service, count) in expected {
            assert_eq!(
                services[*service],
                (*count, *count),
                "{service}: {services:?}"
            );
        }
    }

    /// The counts that the swarm is to keep.
    pub fn wishes(&self) -> BTreeMap<String, u32> {
        let services = self.services().into_iter();
        services.map(|(name, (_, wanted))| (name, wanted)).collect()
    }

    /// The tasks of a service that are to run and run, in the order of their slots.
    pub fn tasks(&self, service: &str) -> Vec<Task> {
        let name = format!("{}_{service}", self.name());
        let listing = self.docker(&[
            "service",
            "ps",
            "--no-trunc",
            "--filter",
            "desired-state=running",
            "--format",
            "{{.Name}} {{.ID}} {{.Node}} {{.CurrentState}}",
            &name,
        ]);
        let mut tasks: Vec<Task> = listing
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|words| words[3] == "Running")
            .map(|words| Task {
                slot: words[0].rsplit_once('.').unwrap().1.into(),
                id: words[1].into(),
                node: words[2].into(),
            })
            .collect();
        tasks.sort();
        tasks
    }

    /// The nodes that run a service, each once.
    pub fn nodes_of(&self, service: &str) -> Vec<String> {
        let mut nodes: Vec<String> = self
            .tasks(service)
            .into_iter()
            .map(|one| one.node)
            .collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// The name of a service in the swarm.
    pub fn object(&self, service: &str) -> String {
        format!("{}_{service}", self.name())
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let tasks = || self.docker(&["stack", "ps", "--no-trunc", self.name()]);
            assert!(
                began.elapsed() < PATIENCE,
                "{what}: not within {PATIENCE:?}\n{}",
                tasks()
            );
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        let mut command = self.command("docker");
        let _ = command.args(["stack", "rm", self.name()]).output();
    }
}
