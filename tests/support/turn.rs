//! Whose turn it is. The machine has so many slots; a test takes as many as it is heavy before it starts anything, and
//! waits until these are free. So heavy stacks do not start beside each other, whatever the number of threads.
//!
//! Slots are locked files in the folder for temporary files: what holds them may be a thread of this process, another process
//! of the same run (`cargo nextest`) or another run. The kernel gives them back when a process ends, however it ends.

use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks for free slots.
const LOOK: Duration = Duration::from_millis(50);

/// How much of the machine a test takes, in slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Replicas that hardly do anything.
    Light = 1,
    /// A server or two: Redis, nginx, Node, a browser.
    Medium = 2,
    /// A RabbitMQ, a database with an application on it, a swarm of its own.
    Heavy = 3,
}

impl Weight {
    /// The weight of a stack, by what its compose file runs.
    pub fn of(yaml: &str) -> Self {
        let runs = |words: &[&str]| words.iter().any(|word| yaml.contains(word));
        if runs(&["rabbitmq:3", "postgres:15", "celery"]) {
            Self::Heavy
        } else if runs(&["redis:7", "nginx:1", "caddy:2", "python:3", "node:2"]) {
            Self::Medium
        } else {
            Self::Light
        }
    }
}

/// The turn of a test; the next ones come when it is dropped.
#[derive(Debug)]
pub struct Turn {
    slots: Mutex<Vec<File>>,
    began: Instant,
}

/// What any test weighs once its stack is up: nothing is as much work as starting it.
const ONCE_STARTED: usize = 1;

thread_local! {
    static MINE: RefCell<Weak<Turn>> = RefCell::default();
}

impl Turn {
    /// Waits for this test's turn. A test that has it already, for another project of its, goes on with that.
    pub fn take(weight: Weight) -> Arc<Self> {
        MINE.with_borrow_mut(|mine| {
            mine.upgrade().unwrap_or_else(|| {
                let turn = Arc::new(Self::wait(weight));
                *mine = Arc::downgrade(&turn);
                turn
            })
        })
    }

    /// The test has started what it is heavy for.
    pub fn started(&self) {
        self.slots.lock().unwrap().truncate(ONCE_STARTED);
    }

    fn wait(weight: Weight) -> Self {
        let count = slots();
        // One of six is for light ones only: some of these are always under way beside stacks that mostly wait.
        let usable = match weight {
            Weight::Light => count,
            Weight::Medium | Weight::Heavy => (count - count.div_ceil(6)).max(1),
        };
        let wanted = (weight as usize).min(usable);
        // One stack waits at a time, and keeps what it has got, so that many light ones do not keep a heavy one
        // waiting for ever. Two that do so could wait for each other.
        let _first = Exclusive::wait(match weight {
            Weight::Light => "queue-light",
            Weight::Medium | Weight::Heavy => "queue",
        });
        let mut slots = Vec::new();
        let mut free: Vec<File> = (0..usable)
            .rev()
            .map(|slot| open(&format!("slot-{slot}")))
            .collect();
        loop {
            let mut left = Vec::new();
            for slot in free {
                if slots.len() < wanted && try_lock(&slot) {
                    slots.push(slot);
                } else {
                    left.push(slot);
                }
            }
            if slots.len() == wanted {
                return Self {
                    slots: Mutex::new(slots),
                    began: Instant::now(),
                };
            }
            free = left;
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Turn {
    /// Writes down how long the turn took, for a table of the slowest: `RSCALE_E2E_TIMES` names the file.
    fn drop(&mut self) {
        let Some(path) = std::env::var_os("RSCALE_E2E_TIMES") else {
            return;
        };
        let line = format!(
            "{:.1}\t{}\n",
            self.began.elapsed().as_secs_f64(),
            name_of_the_test()
        );
        let file = File::options().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// The harness calls threads by their tests; in a process for one test alone, its arguments name it.
fn name_of_the_test() -> String {
    let thread = thread::current();
    match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => std::env::args()
            .find(|word| word.contains("::"))
            .unwrap_or_default(),
    }
}

/// How many slots this machine has: `RSCALE_E2E_SLOTS`, else three for each processor.
fn slots() -> usize {
    let told = std::env::var("RSCALE_E2E_SLOTS").ok();
    let told = told.map(|count| count.parse().expect("RSCALE_E2E_SLOTS is a number"));
    let slots = told.unwrap_or_else(|| {
        let processors = thread::available_parallelism().map_or(2, usize::from);
        (processors * 3).max(4)
    });
    slots.max(1)
}

/// Keeps others out until it is dropped, in this and in all other processes.
#[derive(Debug)]
pub struct Exclusive {
    _file: File,
}

impl Exclusive {
    /// Waits until nobody else has what is called so: an image that is being built, say.
    pub fn wait(name: &str) -> Self {
        let file = open(name);
        file.lock().unwrap();
        Self { _file: file }
    }

    /// `None` where somebody else has it.
    pub fn try_now(name: &str) -> Option<Self> {
        let file = open(name);
        try_lock(&file).then_some(Self { _file: file })
    }
}

fn try_lock(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => panic!("a file cannot be locked: {error}"),
    }
}

/// A file to lock, of this user.
fn open(name: &str) -> File {
    let user = rustix::process::getuid().as_raw();
    let folder: PathBuf = std::env::temp_dir().join(format!("rscale-tests-{user}"));
    fs::create_dir_all(&folder).unwrap();
    let mut options = File::options();
    let file = options.create(true).append(true).open(folder.join(name));
    file.unwrap_or_else(|error| panic!("{}: {error}", folder.join(name).display()))
}
