//! The failures of Docker, Compose and kubectl that rscale knows, as a table.

use crate::error::Kind;

/// One failure: how it is recognised, what it means, what to type.
pub struct Known {
    /// All of these are in what was said, in small letters.
    pub signs: &'static [&'static str],
    pub kind: Kind,
    pub message: &'static str,
    pub hints: &'static [&'static str],
}

const fn known(
    signs: &'static [&'static str],
    kind: Kind,
    message: &'static str,
    hints: &'static [&'static str],
) -> Known {
    Known {
        signs,
        kind,
        message,
        hints,
    }
}

/// The first match counts, so what is more special stands first. The texts are those of docker 20.10 to
/// 28, Compose 1.29 to 2.40, Docker Desktop, and kubectl 1.20 to 1.36.
pub const KNOWN: &[Known] = &[
    known(
        &["the connection to the server localhost:8080 was refused"],
        Kind::Unusable,
        "kubectl knows no cluster",
        &[
            "name a kubeconfig: export KUBECONFIG=~/.kube/config",
            "see what it knows: kubectl config get-contexts",
        ],
    ),
    known(
        &["unable to connect to the server", "x509"],
        Kind::Unusable,
        "the Kubernetes API server's certificate is not trusted",
        &["see how it is reached: kubectl config view --minify"],
    ),
    known(
        &["getting credentials"],
        Kind::Unusable,
        "the program that the kubeconfig names for the login failed",
        &["see which: kubectl config view --minify"],
    ),
    known(
        &["the connection to the server", "was refused"],
        Kind::EngineAway,
        "the Kubernetes API server cannot be reached",
        &[
            "kubectl cluster-info",
            "another cluster: kubectl config get-contexts; rscale --context NAME ...",
        ],
    ),
    known(
        &["unable to connect to the server"],
        Kind::EngineAway,
        "the Kubernetes API server cannot be reached",
        &[
            "kubectl cluster-info",
            "another cluster: kubectl config get-contexts; rscale --context NAME ...",
        ],
    ),
    known(
        &["context was not found for specified context"],
        Kind::Unusable,
        "kubectl has no such context",
        &["kubectl config get-contexts", "rscale --context NAME ..."],
    ),
    known(
        &["error loading config file"],
        Kind::Unusable,
        "the kubeconfig cannot be read",
        &["correct it; see it merged: kubectl config view"],
    ),
    known(
        &["you must be logged in to the server"],
        Kind::Unusable,
        "the cluster does not know you",
        &["see as whom you come: kubectl config view --minify; kubectl auth whoami"],
    ),
    known(
        &["auth info", "does not exist"],
        Kind::Unusable,
        "the kubeconfig does not have that user",
        &["kubectl config get-users"],
    ),
    known(
        &["error: eof"],
        Kind::Unusable,
        "the kubeconfig has no credentials for the cluster",
        &["see as whom you come: kubectl config view --minify"],
    ),
    known(
        &["error from server (forbidden)"],
        Kind::Failed,
        "you may not do that in the cluster",
        &["see what you may do: kubectl auth can-i --list"],
    ),
    known(
        &["error from server (notfound): namespaces"],
        Kind::Unusable,
        "the namespace does not exist",
        &["kubectl get namespaces", "rscale --namespace NAME ..."],
    ),
    known(
        &["couldn't get current server api group list"],
        Kind::EngineAway,
        "the Kubernetes API server does not answer",
        &[
            "kubectl cluster-info",
            "another cluster: kubectl config get-contexts; rscale --context NAME ...",
        ],
    ),
    known(
        &[
            "open //./pipe/",
            "the system cannot find the file specified",
        ],
        Kind::EngineAway,
        "Docker Desktop is not running, or the docker context points elsewhere",
        &[
            "start Docker Desktop",
            "docker context use desktop-linux",
            "remove a wrong DOCKER_HOST: [Environment]::SetEnvironmentVariable('DOCKER_HOST', $null, 'User')",
        ],
    ),
    known(
        &["permission denied", "docker", "sock"],
        Kind::Unusable,
        "you may not use the Docker socket",
        &[
            "sudo usermod -aG docker $USER && newgrp docker",
            "or run it as root: sudo -E rscale ...",
        ],
    ),
    known(
        &["cannot connect to the docker daemon"],
        Kind::EngineAway,
        "the Docker daemon is not running, or not where it is looked for",
        &[
            "sudo systemctl start docker",
            "see where it is looked for: docker context ls; echo $DOCKER_HOST",
        ],
    ),
    known(
        &["error during connect"],
        Kind::EngineAway,
        "the Docker daemon cannot be reached",
        &["see where it is looked for: docker context ls; echo $DOCKER_HOST"],
    ),
    known(
        &["couldn't connect to docker daemon"],
        Kind::EngineAway,
        "the Docker daemon is not running, or not where it is looked for",
        &["sudo systemctl start docker"],
    ),
    known(
        &["docker daemon", "is not running"],
        Kind::EngineAway,
        "the Docker daemon is not running",
        &["sudo systemctl start docker"],
    ),
    known(
        &["error while fetching server api version"],
        Kind::EngineAway,
        "the Docker daemon is not running, or not where it is looked for",
        &["sudo systemctl start docker"],
    ),
    known(
        &["unable to resolve docker endpoint"],
        Kind::Unusable,
        "the docker context does not exist",
        &["docker context ls", "docker context use default"],
    ),
    known(
        &["not a swarm manager"],
        Kind::Unusable,
        "only a manager of a swarm can be asked",
        &["see what this engine is: docker info --format '{{json .Swarm}}'"],
    ),
    known(
        &["swarm does not have a leader"],
        Kind::EngineAway,
        "the swarm has no leader: too few of its managers answer",
        &["see which: docker info --format '{{json .Swarm.RemoteManagers}}'"],
    ),
    known(
        &["executable file not found"],
        Kind::Replica,
        "the command of a replica does not exist in its image",
        &[
            "correct `command` or `entrypoint` in the compose file; see them resolved: docker compose config",
        ],
    ),
    known(
        &["exec:", "no such file or directory"],
        Kind::Replica,
        "the command of a replica does not exist in its image",
        &[
            "correct `command` or `entrypoint` in the compose file; see them resolved: docker compose config",
        ],
    ),
    known(
        &["exec:", "permission denied"],
        Kind::Replica,
        "the command of a replica may not be executed",
        &["make it executable in the image: chmod +x"],
    ),
    known(
        &["oci runtime create failed"],
        Kind::Replica,
        "the engine could not start a replica",
        &["leave it there and look at it: rscale --keep ...; docker inspect NAME"],
    ),
    known(
        &["no configuration file provided"],
        Kind::NoProject,
        "there is no compose file here",
        &[
            "name it: rscale -f path/to/compose.yaml ...",
            "or go to the folder that has it",
        ],
    ),
    known(
        &["can't find a suitable configuration file"],
        Kind::NoProject,
        "there is no compose file here",
        &[
            "name it: rscale -f path/to/compose.yaml ...",
            "or go to the folder that has it",
        ],
    ),
    known(
        &["no such file or directory", "yaml"],
        Kind::NoProject,
        "the compose file does not exist",
        &[
            "name one that does: rscale -f path/to/compose.yaml ...",
            "or correct the `extends` or `include` that names it, perhaps through a variable",
        ],
    ),
    known(
        &["no such file or directory", ".yml"],
        Kind::NoProject,
        "the compose file does not exist",
        &[
            "name one that does: rscale -f path/to/compose.yaml ...",
            "or correct the `extends` or `include` that names it, perhaps through a variable",
        ],
    ),
    known(
        &["env file", "not found"],
        Kind::NoProject,
        "an env_file of the project is missing",
        &["create it, or mark it `required: false` in the compose file"],
    ),
    known(
        &["required variable", "is missing a value"],
        Kind::NoProject,
        "a variable that the compose file requires is not set",
        &["set it in the environment or in .env; see which: docker compose config"],
    ),
    known(
        &["is not a docker command"],
        Kind::NotInstalled,
        "Docker has no Compose plugin",
        &[
            "install it: https://docs.docker.com/compose/install/",
            "or name a Compose: rscale --compose-command docker-compose ...",
        ],
    ),
    // What docker itself says of an option, and not a plugin of it, which names itself: 'docker compose --help'.
    known(
        &["unknown shorthand flag", "'docker --help'"],
        Kind::NotInstalled,
        "Docker has no Compose plugin",
        &[
            "install it: https://docs.docker.com/compose/install/",
            "or name a Compose: rscale --compose-command docker-compose ...",
        ],
    ),
    known(
        &["unknown flag: --", "'docker --help'"],
        Kind::NotInstalled,
        "Docker has no Compose plugin",
        &[
            "install it: https://docs.docker.com/compose/install/",
            "or name a Compose: rscale --compose-command docker-compose ...",
        ],
    ),
    known(
        &["unknown command: docker compose"],
        Kind::NotInstalled,
        "Docker has no Compose plugin",
        &[
            "install it: https://docs.docker.com/compose/install/",
            "or name a Compose: rscale --compose-command docker-compose ...",
        ],
    ),
    known(
        &["all ports are allocated"],
        Kind::Failed,
        "every port of the published range is taken",
        &[
            "make the range larger in the compose file, such as ports: [\"8000-8019:80\"]",
            "docker ps --format '{{.Names}} {{.Ports}}'",
        ],
    ),
    known(
        &["port is already allocated"],
        Kind::Failed,
        "a host port is already taken by another container",
        &[
            "see by which: docker ps --format '{{.Names}} {{.Ports}}'",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["address already in use"],
        Kind::Failed,
        "a host port or address is already in use on this machine",
        &[
            "see by what: sudo ss -ltnp",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["ports are not available"],
        Kind::Failed,
        "a host port is already in use on this machine",
        &[
            "see by what: sudo ss -ltnp",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["no space left on device"],
        Kind::Failed,
        "no space is left on the engine's disk",
        &[
            "see what takes it: docker system df",
            "make room: docker system prune",
        ],
    ),
    known(
        &["pull access denied"],
        Kind::Failed,
        "the image does not exist, or the registry wants a login",
        &[
            "docker login",
            "if it is built here: rscale --build ...",
            "docker image ls",
        ],
    ),
    known(
        &["no such image"],
        Kind::Failed,
        "the image does not exist on this engine",
        &[
            "if it is built here: rscale --build ...",
            "if it comes from a registry: rscale --pull always ...",
        ],
    ),
    known(
        &["manifest unknown"],
        Kind::Failed,
        "the registry does not have that image or tag",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["manifest for", "not found"],
        Kind::Failed,
        "the registry does not have that image or tag",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["failed to resolve reference"],
        Kind::Failed,
        "the image cannot be found",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["request canceled while waiting for connection"],
        Kind::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["dial tcp"],
        Kind::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["get \"https://", "/v2/"],
        Kind::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["cannot start a paused container"],
        Kind::Replica,
        "a replica is paused",
        &["docker compose unpause"],
    ),
    known(
        &["is already in use by container"],
        Kind::Failed,
        "a container of that name exists already",
        &[
            "see it: docker ps --all",
            "if it is a leftover: docker rm NAME",
        ],
    ),
    known(
        &["could not be found", "network"],
        Kind::Failed,
        "a network of the project does not exist",
        &[
            "docker network ls",
            "if it is an external one: docker network create NAME",
        ],
    ),
    known(
        &["declared as external, but could not be found"],
        Kind::Failed,
        "an external network or volume does not exist",
        &["docker network ls; docker volume ls"],
    ),
    known(
        &["dependency failed to start"],
        Kind::Replica,
        "a dependency did not become healthy",
        &[
            "see why: docker compose logs --tail 20",
            "scale without it: rscale --no-deps ...",
        ],
    ),
];
