//! Reading `docker info` where an engine is no manager of a swarm: what it is instead, and who is one.

use serde::Deserialize;

use crate::error::Error;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Membership {
    /// `inactive`, `pending`, `active`, `error` or `locked`.
    local_node_state: String,
    remote_managers: Option<Vec<Manager>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Manager {
    addr: String,
}

/// The error of asking an engine that is no manager, by `docker info --format '{{json .Swarm}}'`.
pub fn not_a_manager(info: &str) -> Error {
    let Membership {
        local_node_state,
        remote_managers,
    } = serde_json::from_str(info).unwrap_or_default();
    let managers: Vec<String> = remote_managers
        .unwrap_or_default()
        .into_iter()
        .map(|manager| match manager.addr.rsplit_once(':') {
            Some((host, _)) => host.to_owned(),
            None => manager.addr,
        })
        .collect();
    let host = managers.first().map_or("HOST", String::as_str);
    let elsewhere = [
        format!("ask a manager: DOCKER_HOST=ssh://{host} rscale ..."),
        "or choose a context that leads to one: docker context ls; docker context use NAME"
            .to_owned(),
    ];
    match local_node_state.as_str() {
        "locked" => {
            Error::unusable("the swarm of this docker engine is locked").hint("docker swarm unlock")
        }
        "inactive" => Error::unusable("this docker engine is in no swarm")
            .hints(elsewhere)
            .hint("or make a swarm of it: docker swarm init"),
        _ => {
            let error = Error::unusable(match managers.as_slice() {
                [] => "this docker engine is no manager of its swarm, and only managers know what runs"
                    .to_owned(),
                _ => format!(
                    "this docker engine is no manager of its swarm, and only managers know what runs; it knows of \
                     one at {}",
                    managers.join(", ")
                ),
            });
            error
                .hints(elsewhere)
                .hint("or make this node a manager, on one that is: docker node promote NODE")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::not_a_manager;
    use crate::error::Exit;

    #[test]
    fn a_worker_knows_its_managers() {
        let error = not_a_manager(
            r#"{"NodeID":"07n8","NodeAddr":"10.0.0.12","LocalNodeState":"active","ControlAvailable":false,"Error":"","RemoteManagers":[{"NodeID":"1wqw","Addr":"10.0.0.11:2377"}]}"#,
        );
        assert_eq!(error.exit(), Exit::Unusable);
        assert!(
            error.message.ends_with("it knows of one at 10.0.0.11"),
            "{error}"
        );
        assert_eq!(
            error.hints[0],
            "ask a manager: DOCKER_HOST=ssh://10.0.0.11 rscale ..."
        );
    }

    #[test]
    fn an_engine_may_be_in_no_swarm_or_locked() {
        for (info, message) in [
            (
                r#"{"NodeID":"","NodeAddr":"","LocalNodeState":"inactive","ControlAvailable":false,"Error":"","RemoteManagers":null}"#,
                "this docker engine is in no swarm",
            ),
            (
                r#"{"LocalNodeState":"locked"}"#,
                "the swarm of this docker engine is locked",
            ),
            (
                "",
                "this docker engine is no manager of its swarm, and only managers know what runs",
            ),
        ] {
            let error = not_a_manager(info);
            assert_eq!(
                (error.exit(), error.message.as_str()),
                (Exit::Unusable, message)
            );
        }
    }
}
