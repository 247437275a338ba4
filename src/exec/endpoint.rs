//! Where an engine is reached, in words that do not depend on how it was spelled.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where an engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix:///run/docker.sock`, `tcp://10.0.0.1:2376`, `ssh://deploy@host`, `kubernetes:SERVER/NAMESPACE`.
    pub address: String,
    /// What changes when another engine listens there: of a socket, which file it is. `None` where nothing tells it.
    pub stamp: Option<String>,
}

impl Endpoint {
    /// Of a docker engine: as DOCKER_HOST has it, or as a context of this docker configuration has it.
    pub fn docker(host: Option<String>, context: Option<&str>, config: Option<&Path>) -> Self {
        let of_context = |name: &str| config.and_then(|config| host_of(config, name));
        let address = match (host, context) {
            (Some(host), _) => host,
            (None, None | Some("default")) => "unix:///var/run/docker.sock".into(),
            (None, Some(context)) => {
                of_context(context).unwrap_or_else(|| format!("context:{context}"))
            }
        };
        Self::at(&address)
    }

    fn at(address: &str) -> Self {
        if let Some(path) = address.strip_prefix("unix://") {
            // `/var/run` is a link nearly everywhere, and what is not there has no other name.
            let path = PathBuf::from(path);
            let path = path.canonicalize().unwrap_or(path);
            return Self {
                stamp: stamp(&path),
                address: format!("unix://{}", path.display()),
            };
        }
        let address = match address.split_once("://") {
            Some((scheme, rest)) => {
                let scheme = scheme.to_ascii_lowercase();
                format!("{scheme}://{}", rest.trim_end_matches('/'))
            }
            None => address.to_owned(),
        };
        Self {
            address,
            stamp: None,
        }
    }

    /// Whether other machines may reach the engine: it is known not to be so only of what listens on this one alone.
    pub fn is_shared(&self) -> bool {
        let local = ["unix://", "npipe://", "fd://"];
        !local.iter().any(|scheme| self.address.starts_with(scheme))
    }
}

/// Device, number and birth of a socket: a daemon that is started again makes another one.
fn stamp(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let data = path.metadata().ok()?;
        let (device, number) = (data.dev(), data.ino());
        Some(format!(
            "{device}:{number}:{}.{}",
            data.mtime(),
            data.mtime_nsec()
        ))
    }
    #[cfg(not(unix))]
    path.metadata().ok().map(|_| String::new())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    host: String,
}

/// The host of a context: `contexts/meta/DIGEST/meta.json` (docker/cli, cli/context/store). The digest is of the name,
/// which stands in the file as well.
fn host_of(config: &Path, context: &str) -> Option<String> {
    let folders = std::fs::read_dir(config.join("contexts/meta")).ok()?;
    let metas = folders.filter_map(|folder| {
        let text = std::fs::read_to_string(folder.ok()?.path().join("meta.json")).ok()?;
        serde_json::from_str::<Meta>(&text).ok()
    });
    let mut named = metas.filter(|meta| meta.name == context);
    let host = named.next()?.endpoints.docker?.host;
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    fn address(host: &str) -> String {
        Endpoint::docker(Some(host.into()), None, None).address
    }

    #[cfg(unix)]
    #[test]
    fn one_socket_is_one_endpoint_however_it_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let (socket, link) = (folder.join("docker.sock"), folder.join("link.sock"));
        std::fs::write(&socket, "").unwrap();
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        let meta = folder.join("contexts/meta/0a");
        std::fs::create_dir_all(&meta).unwrap();
        let host = format!("unix://{}", link.display());
        let text = format!(
            r#"{{"Name":"work","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        );
        std::fs::write(meta.join("meta.json"), text).unwrap();
        let by_context = Endpoint::docker(None, Some("work"), Some(&folder));
        assert_eq!(by_context.address, format!("unix://{}", socket.display()));
        let slashes = format!("unix://{}//docker.sock", folder.display());
        for spelled in [&host, &slashes] {
            let endpoint = Endpoint::docker(Some(spelled.clone()), None, None);
            assert_eq!(endpoint, by_context, "{spelled}");
        }
        assert!(by_context.stamp.is_some() && !by_context.is_shared());
        std::fs::remove_file(&socket).unwrap();
        std::fs::write(&link, "").unwrap();
        assert_ne!(Endpoint::docker(Some(host), None, None), by_context);
    }

    #[test]
    fn an_address_has_one_spelling() {
        assert_eq!(address("TCP://10.0.0.1:2376/"), "tcp://10.0.0.1:2376");
        assert_eq!(address("ssh://deploy@host"), "ssh://deploy@host");
        let unknown = Endpoint::docker(None, Some("gone"), None);
        assert_eq!(unknown.address, "context:gone");
        for (host, shared) in [
            ("tcp://10.0.0.1:2376", true),
            // It may be the near end of a tunnel.
            ("tcp://127.0.0.1:2375", true),
            ("ssh://host", true),
            ("unix:///nowhere.sock", false),
            ("npipe:////./pipe/docker_engine", false),
        ] {
            let endpoint = Endpoint::docker(Some(host.into()), None, None);
            assert_eq!(endpoint.is_shared(), shared, "{host}");
        }
    }

    #[test]
    fn fuzzing_the_contexts_of_docker() {
        let meta = r#"{"Name":"work","Metadata":{"Description":""},"Endpoints":{"docker":{"Host":"ssh://deploy@host","SkipTLSVerify":false}}}"#;
        crate::fuzzing::survives(&[meta, "tcp://10.0.0.1:2376/"], |text| {
            drop(serde_json::from_str::<super::Meta>(text));
            let endpoint = Endpoint::docker(Some(text.to_owned()), None, None);
            assert_eq!(address(&endpoint.address), endpoint.address, "{text:?}");
        });
    }
}
