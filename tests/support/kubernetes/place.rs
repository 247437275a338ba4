//! Where the commands of a test run: a folder, a kubeconfig file, a home for kubectl's cache, an environment.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::support::engine::Ran;
use crate::support::turn::{Turn, Weight};

/// The kubectl of the tests: `RSCALE_E2E_KUBECTL`, else what the test bed fetches.
pub fn kubectl() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("RSCALE_E2E_KUBECTL") {
            return path.into();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/kubectl.sh");
        let output = Command::new(script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl.sh failed: {said}");
        String::from_utf8(output.stdout).unwrap().trim().into()
    })
    .clone()
}

/// The kubeconfig file of a real cluster, where one is named.
pub fn real_kubeconfig() -> Option<String> {
    let named = std::env::var("RSCALE_E2E_KUBECONFIG").ok();
    named.filter(|path| !path.is_empty())
}

/// A kubeconfig file for a server without TLS. Its user is empty: kubectl sends no credentials there.
pub fn kubeconfig(server: &str, namespace: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: '{server}'}}}}]
users: [{{name: tester, user: {{}}}}]
contexts: [{{name: test, context: {{cluster: test, user: tester, namespace: {namespace}}}}}]
current-context: test
"
    )
}

/// The current context of another kubeconfig file, in a file of its own.
pub fn copied_kubeconfig(place: &Place, from: &str) -> String {
    let mut command = place.command("kubectl");
    command.args(["--kubeconfig", from, "config", "view"]);
    command.args(["--raw", "--minify", "--flatten"]);
    Ran::of(command).succeeded().stdout
}

/// Where commands run.
#[derive(Debug)]
pub struct Place {
    name: String,
    root: TempDir,
    environment: RefCell<BTreeMap<String, String>>,
    _turn: Arc<Turn>,
}

impl Place {
    pub fn new(kubectl: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rs-e2e-{}-{number}", std::process::id());
        let root = TempDir::new().unwrap();
        for folder in ["locks", "home", "bin", &name] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(kubectl, root.path().join("bin/kubectl")).unwrap();
        Self {
            name,
            root,
            environment: RefCell::default(),
            _turn: Turn::take(Weight::Light),
        }
    }

    /// No other test of any run has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn folder(&self) -> PathBuf {
        self.root.path().join(&self.name)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.root.path().join("kubeconfig")
    }

    pub fn write_kubeconfig(&self, text: &str) {
        fs::write(self.kubeconfig(), text).unwrap();
    }

    pub fn set(&self, variable: &str, value: &str) {
        self.environment
            .borrow_mut()
            .insert(variable.to_owned(), value.to_owned());
    }

    /// A command with kubectl on its PATH and nothing of the user's own configuration but Docker's, which says
    /// where Compose is.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let root = self.root.path();
        let mut folders = vec![root.join("bin")];
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let path = std::env::join_paths(folders).unwrap();
        let docker = std::env::var_os("DOCKER_CONFIG").unwrap_or_else(|| {
            let home = std::env::var_os("HOME").unwrap_or_default();
            PathBuf::from(home).join(".docker").into()
        });
        let program = match program.as_ref().to_str() {
            Some("kubectl") => root.join("bin/kubectl").into(),
            _ => program.as_ref().to_owned(),
        };
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", path)
            .env("HOME", root.join("home"))
            .env("KUBECONFIG", self.kubeconfig())
            .env("DOCKER_CONFIG", docker)
            .env("RSCALE_LOCK_DIR", root.join("locks"))
            .env("RSCALE_ENGINE", "kubernetes")
            .envs(&*self.environment.borrow());
        command
    }
}
