//! What the machine that rscale runs on says, besides commands: listening ports, the Compose binary,
//! the engine's address, kubectl's context, configurations that are mounted into containers.

use std::collections::BTreeSet;
use std::env;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::endpoint::Endpoint;
use super::kubeconfig::{self, KubeContext};

/// The ports that something listens on at the engine's machine, by protocol (`tcp`, `udp`).
///
/// Known only where that is this machine, and read from `/proc/net`; elsewhere empty, which only leaves a
/// check out.
pub fn engine_ports() -> BTreeSet<(String, u16)> {
    let mut ports = BTreeSet::new();
    let endpoint = endpoint();
    if endpoint.is_shared() || endpoint.stamp.is_none() {
        return ports;
    }
    for (file, protocol) in [
        ("tcp", "tcp"),
        ("tcp6", "tcp"),
        ("udp", "udp"),
        ("udp6", "udp"),
    ] {
        let text = std::fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        ports.extend(ports_in(&text).map(|port| (protocol.to_owned(), port)));
    }
    ports
}

/// The local ports of listening sockets in a table of `/proc/net` (proc(5)): state 0A is LISTEN, 07 is
/// what an unconnected UDP socket shows.
fn ports_in(table: &str) -> impl Iterator<Item = u16> {
    table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let local = columns.next()?;
        let state = columns.nth(1)?;
        if !matches!(state, "0A" | "07") {
            return None;
        }
        u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
    })
}

/// Where the docker engine is.
pub fn endpoint() -> Endpoint {
    let context = non_empty("DOCKER_CONTEXT").or_else(current_context);
    let config = docker_config();
    Endpoint::docker(
        non_empty("DOCKER_HOST"),
        context.as_deref(),
        config.as_deref(),
    )
}

/// Where kubectl is: the cluster and the namespace of a context, else of its current one.
pub fn cluster(context: Option<&str>) -> KubeContext {
    let files: Vec<PathBuf> = match env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(named) => env::split_paths(&named).collect(),
        None => env::home_dir()
            .map(|home| home.join(".kube").join("config"))
            .into_iter()
            .collect(),
    };
    let texts = files.iter().filter_map(|file| beginning(file));
    let mut at = kubeconfig::context(&texts.collect::<Vec<_>>(), context);
    if at.server.is_none() && context.is_none() {
        // Inside of a pod kubectl is where the pod is.
        let account = Path::new("/var/run/secrets/kubernetes.io/serviceaccount/namespace");
        at.namespace = beginning(account).map(|text| text.trim().to_owned());
    }
    at
}

fn current_context() -> Option<String> {
    let text = std::fs::read_to_string(docker_config()?.join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(config.get("currentContext")?.as_str()?.to_owned())
}

/// Finds the Compose plugin's binary: called directly it starts in half the time, because
/// `docker compose` first runs every plugin for its metadata. The folders are those of the docker CLI
/// (cli-plugins/manager), most specific first.
pub fn compose_plugin() -> Option<PathBuf> {
    let name = format!("docker-compose{}", env::consts::EXE_SUFFIX);
    let system = [
        "/usr/local/lib/docker/cli-plugins",
        "/usr/local/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
        "/Applications/Docker.app/Contents/Resources/cli-plugins",
        r"C:\Program Files\Docker\cli-plugins",
    ];
    docker_config()
        .map(|config| config.join("cli-plugins"))
        .into_iter()
        .chain(system.iter().map(PathBuf::from))
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
}

/// The compose files that Compose would find by itself: in the folder, else in the nearest one above that has
/// one, with the override beside it (compose-go, `cli.DefaultFileNames`, `cli.DefaultOverrideFileNames`).
pub fn compose_files(folder: &Path) -> Vec<PathBuf> {
    let names = [
        "compose.yaml",
        "compose.yml",
        "docker-compose.yml",
        "docker-compose.yaml",
    ];
    let overrides = [
        "compose.override.yml",
        "compose.override.yaml",
        "docker-compose.override.yml",
        "docker-compose.override.yaml",
    ];
    let first = |folder: &Path, names: [&str; 4]| {
        let files = names.map(|name| folder.join(name));
        files.into_iter().find(|file| file.is_file())
    };
    let Ok(folder) = std::path::absolute(folder) else {
        return Vec::new();
    };
    let found = folder
        .ancestors()
        .find_map(|folder| Some((first(folder, names)?, first(folder, overrides))));
    found
        .map(|(file, other)| [file].into_iter().chain(other).collect())
        .unwrap_or_default()
}

/// When a file was last changed, and how long it is; `None` where there is none.
pub type Stamp = Option<(SystemTime, u64)>;

/// What tells whether files were changed meanwhile.
pub fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let data = file.metadata().ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    files.iter().map(stamp).collect()
}

/// Finds a program on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(&name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    file.is_file()
}

/// The text of a file, whatever its encoding; empty where there is none.
pub fn text(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Bytes of a configuration that are read.
const CONFIGURATION_LIMIT: u64 = 1024 * 1024;

/// The text of a configuration: of a file, or of the files right in a folder. `None` when there is
/// nothing to read.
pub fn configuration(path: &Path) -> Option<String> {
    let files: Vec<PathBuf> = if path.is_dir() {
        let entries = std::fs::read_dir(path).ok()?;
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    } else {
        vec![path.to_owned()]
    };
    let texts: Vec<String> = files.iter().filter_map(|file| beginning(file)).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn beginning(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    // A socket or a pipe that is mounted there would be waited for.
    let file = file.is_file().then(|| std::fs::File::open(file).ok())??;
    file.take(CONFIGURATION_LIMIT)
        .read_to_end(&mut bytes)
        .ok()?;
    // It may be in another encoding, and be cut in the middle of a letter; what rules look for is ASCII.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn docker_config() -> Option<PathBuf> {
    if let Some(folder) = non_empty("DOCKER_CONFIG") {
        return Some(folder.into());
    }
    env::home_dir().map(|home| home.join(".docker"))
}

fn non_empty(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{CONFIGURATION_LIMIT, compose_files, configuration, ports_in};

    #[test]
    fn finds_the_compose_files_that_compose_would() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("app/src");
        std::fs::create_dir_all(&inner).unwrap();
        for name in ["app/docker-compose.yml", "app/compose.override.yaml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |at: &std::path::Path| -> Vec<String> {
            let files = compose_files(at).into_iter();
            let name =
                |file: std::path::PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
            files.map(name).collect()
        };
        let expected = ["docker-compose.yml", "compose.override.yaml"];
        assert_eq!(names(&inner), expected);
        std::fs::write(inner.join("compose.yaml"), "").unwrap();
        assert_eq!(names(&inner), ["compose.yaml"]);
    }

    #[test]
    fn a_configuration_is_read_whatever_its_encoding_and_length() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nginx.conf");
        let routes = b"upstream app { server web:80; } # ".to_vec();
        let long = "\u{e4}".repeat(usize::try_from(CONFIGURATION_LIMIT).unwrap());
        for (comment, lossy) in [
            (&b"f\xfcr"[..], "f\u{fffd}r"),
            (long.as_bytes(), "\u{e4}\u{fffd}"),
        ] {
            // Cut in the middle of a letter: the beginning has an even length, and one more byte here.
            let text = [&routes[..], b" ", comment].concat();
            std::fs::write(&file, text).unwrap();
            let read = configuration(&file).unwrap();
            assert!(read.starts_with("upstream app { server web:80; }"));
            assert!(read.ends_with(lossy), "{:?}", &read[read.len() - 8..]);
        }
    }

    #[test]
    fn reads_listening_ports_from_proc() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   \
            0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n   \
            1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0\n   \
            2: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 0:0 00:0 0\n";
        assert_eq!(ports_in(table).collect::<Vec<_>>(), [8080, 53]);
    }

    #[test]
    fn fuzzing_the_tables_of_proc() {
        let table = "  sl  local_address rem_address   st\n   0: 00000000:1F90 00000000:0000 0A 0:0 00:0 0\n";
        crate::fuzzing::survives(&[table], |text| {
            assert!(ports_in(text).count() <= text.lines().count());
        });
    }
}
