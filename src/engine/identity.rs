//! Which engine it is, in its own words: however it is reached, that is the same.

use serde::Deserialize;

use crate::exec::CommandSpec;

use super::compose::READ_TIMEOUT;

const FORMAT: &str = concat!(
    r#"{"id":{{json .ID}},"name":{{json .Name}},"root":{{json .DockerRootDir}},"#,
    r#""cluster":{{with .Swarm.Cluster}}{{json .ID}}{{else}}""{{end}}}"#
);

/// What a docker engine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Identity {
    id: String,
    name: String,
    root: String,
    cluster: String,
}

/// Asks a docker engine. Podman makes up another id each time (libpod, `compat/info.go`), so it has to be asked twice.
pub fn question() -> CommandSpec {
    CommandSpec::new("docker", ["info", "--format", FORMAT], READ_TIMEOUT)
}

impl Identity {
    pub fn parse(stdout: &str) -> Option<Self> {
        serde_json::from_str(stdout.trim()).ok()
    }

    /// What it is known by, from two answers.
    pub fn word(&self, again: &Self) -> Option<String> {
        let id = if self.id == again.id {
            self.id.clone()
        } else {
            format!("{}:{}", self.name, self.root)
        };
        (!id.trim_matches(':').is_empty()).then_some(id)
    }

    /// What its swarm is known by, where it manages one.
    pub fn swarm(&self) -> Option<String> {
        (!self.cluster.is_empty()).then(|| self.cluster.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    fn said(id: &str, cluster: &str) -> Identity {
        let text = format!(
            r#"{{"id":"{id}","name":"box","root":"/var/lib/docker","cluster":"{cluster}"}}"#
        );
        Identity::parse(&text).unwrap()
    }

    #[test]
    fn an_engine_is_known_by_its_id_and_one_that_has_none_by_where_it_keeps_its_data() {
        let docker = said("ABCD:EFGH", "");
        assert_eq!(docker.word(&docker).as_deref(), Some("ABCD:EFGH"));
        let podman = said("1", "").word(&said("2", ""));
        assert_eq!(podman.as_deref(), Some("box:/var/lib/docker"));
        assert_eq!(said("", "").word(&said("", "")), None);
        assert_eq!(docker.swarm(), None);
        assert_eq!(said("A", "c1").swarm().as_deref(), Some("c1"));
        assert_eq!(Identity::parse("no"), None);
    }
}
