//! The failures of Docker, Compose and kubectl that rscale knows, as a table.

use crate::error::Exit;

/// One failure: how it is recognised, what it means, what to type.
pub struct Known {
    /// All of these are in what was said, in small letters.
    pub signs: &'static [&'static str],
    pub exit: Exit,
    pub message: &'static str,
    pub hints: &'static [&'static str],
}

const fn known(
    signs: &'static [&'static str],
    exit: Exit,
    message: &'static str,
    hints: &'static [&'static str],
) -> Known {
    Known {
        signs,
        exit,
        message,
        hints,
    }
}

/// The first match counts, so what is more special stands first. The texts are those of docker 20.10 to
/// 28, Compose 1.29 to 2.40, Docker Desktop, and kubectl 1.20 to 1.36.
pub const KNOWN: &[Known] = &[
    known(
        &["the connection to the server localhost:8080 was refused"],
        Exit::Unusable,
        "kubectl knows no cluster",
        &[
            "name a kubeconfig: export KUBECONFIG=~/.kube/config",
            "see what it knows: kubectl config get-contexts",
        ],
    ),
    known(
        &["unable to connect to the server", "x509"],
        Exit::Unusable,
        "the Kubernetes API server's certificate is not trusted",
        &["see how it is reached: kubectl config view --minify"],
    ),
    known(
        &["getting credentials"],
        Exit::Unusable,
        "the program that the kubeconfig names for the login failed",
        &["see which: kubectl config view --minify"],
    ),
    known(
        &["the connection to the server", "was refused"],
        Exit::Unusable,
        "the Kubernetes API server cannot be reached",
        &[
            "kubectl cluster-info",
            "another cluster: kubectl config get-contexts; rscale --context NAME ...",
        ],
    ),
    known(
        &["unable to connect to the server"],
        Exit::Unusable,
        "the Kubernetes API server cannot be reached",
        &[
            "kubectl cluster-info",
            "another cluster: kubectl config get-contexts; rscale --context NAME ...",
        ],
    ),
    known(
        &["context was not found for specified context"],
        Exit::Unusable,
        "kubectl has no such context",
        &["kubectl config get-contexts", "rscale --context NAME ..."],
    ),
    known(
        &["error loading config file"],
        Exit::Unusable,
        "the kubeconfig cannot be read",
        &["correct it; see it merged: kubectl config view"],
    ),
    known(
        &["you must be logged in to the server"],
        Exit::Unusable,
        "the cluster does not know you",
        &["see as whom you come: kubectl config view --minify; kubectl auth whoami"],
    ),
    known(
        &["auth info", "does not exist"],
        Exit::Unusable,
        "the kubeconfig does not have that user",
        &["kubectl config get-users"],
    ),
    known(
        &["error: eof"],
        Exit::Unusable,
        "the kubeconfig has no credentials for the cluster",
        &["see as whom you come: kubectl config view --minify"],
    ),
    known(
        &["error from server (forbidden)"],
        Exit::Failed,
        "you may not do that in the cluster",
        &["see what you may do: kubectl auth can-i --list"],
    ),
    known(
        &["error from server (notfound): namespaces"],
        Exit::Unusable,
        "the namespace does not exist",
        &["kubectl get namespaces", "rscale --namespace NAME ..."],
    ),
    known(
        &["couldn't get current server api group list"],
        Exit::Unusable,
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
        Exit::Unusable,
        "Docker Desktop is not running, or the docker context points elsewhere",
        &[
            "start Docker Desktop",
            "docker context use desktop-linux",
            "remove a wrong DOCKER_HOST: [Environment]::SetEnvironmentVariable('DOCKER_HOST', $null, 'User')",
        ],
    ),
    known(
        &["permission denied", "docker", "sock"],
        Exit::Unusable,
        "you may not use the Docker socket",
        &[
            "sudo usermod -aG docker $USER && newgrp docker",
            "or run it as root: sudo -E rscale ...",
        ],
    ),
    known(
        &["cannot connect to the docker daemon"],
        Exit::Unusable,
        "the Docker daemon is not running, or not where it is looked for",
        &[
            "sudo systemctl start docker",
            "see where it is looked for: docker context ls; echo $DOCKER_HOST",
        ],
    ),
    known(
        &["error during connect"],
        Exit::Unusable,
        "the Docker daemon cannot be reached",
        &["see where it is looked for: docker context ls; echo $DOCKER_HOST"],
    ),
    known(
        &["couldn't connect to docker daemon"],
        Exit::Unusable,
        "the Docker daemon is not running, or not where it is looked for",
        &["sudo systemctl start docker"],
    ),
    known(
        &["docker daemon", "is not running"],
        Exit::Unusable,
        "the Docker daemon is not running",
        &["sudo systemctl start docker"],
    ),
    known(
        &["error while fetching server api version"],
        Exit::Unusable,
        "the Docker daemon is not running, or not where it is looked for",
        &["sudo systemctl start docker"],
    ),
    known(
        &["unable to resolve docker endpoint"],
        Exit::Unusable,
        "the docker context does not exist",
        &["docker context ls", "docker context use default"],
    ),
    known(
        &["not a swarm manager"],
        Exit::Unusable,
        "only a manager of a swarm can be asked",
        &["see what this engine is: docker info --format '{{json .Swarm}}'"],
    ),
    known(
        &["swarm does not have a leader"],
        Exit::Unusable,
        "the swarm has no leader: too few of its managers answer",
        &["see which: docker info --format '{{json .Swarm.RemoteManagers}}'"],
    ),
    known(
        &["executable file not found"],
        Exit::Failed,
        "the command of a replica does not exist in its image",
        &[
            "correct `command` or `entrypoint` in the compose file; see them resolved: docker compose config",
        ],
    ),
    known(
        &["exec:", "no such file or directory"],
        Exit::Failed,
        "the command of a replica does not exist in its image",
        &[
            "correct `command` or `entrypoint` in the compose file; see them resolved: docker compose config",
        ],
    ),
    known(
        &["exec:", "permission denied"],
        Exit::Failed,
        "the command of a replica may not be executed",
        &["make it executable in the image: chmod +x"],
    ),
    known(
        &["oci runtime create failed"],
        Exit::Failed,
        "the engine could not start a replica",
        &["leave it there and look at it: rscale --keep ...; docker inspect NAME"],
    ),
    known(
        &["no configuration file provided"],
        Exit::Unusable,
        "there is no compose file here",
        &[
            "name it: rscale -f path/to/compose.yaml ...",
            "or go to the folder that has it",
        ],
    ),
    known(
        &["can't find a suitable configuration file"],
        Exit::Unusable,
        "there is no compose file here",
        &[
            "name it: rscale -f path/to/compose.yaml ...",
            "or go to the folder that has it",
        ],
    ),
    known(
        &["no such file or directory", "yaml"],
        Exit::Unusable,
        "the compose file does not exist",
        &[
            "name one that does: rscale -f path/to/compose.yaml ...",
            "or correct the `extends` or `include` that names it, perhaps through a variable",
        ],
    ),
    known(
        &["no such file or directory", ".yml"],
        Exit::Unusable,
        "the compose file does not exist",
        &[
            "name one that does: rscale -f path/to/compose.yaml ...",
            "or correct the `extends` or `include` that names it, perhaps through a variable",
        ],
    ),
    known(
        &["env file", "not found"],
        Exit::Unusable,
        "an env_file of the project is missing",
        &["create it, or mark it `required: false` in the compose file"],
    ),
    known(
        &["required variable", "is missing a value"],
        Exit::Unusable,
        "a variable that the compose file requires is not set",
        &["set it in the environment or in .env; see which: docker compose config"],
    ),
    known(
        &["is not a docker command"],
        Exit::Unusable,
        "Docker has no Compose plugin",
        &[
            "install it: https://docs.docker.com/compose/install/",
            "or name a Compose: rscale --compose-command docker-compose ...",
        ],
    ),
    known(
        &["unknown shorthand flag", "docker"],
        Exit::Unusable,
        "Docker has no Compose plugin",
        &[
            "install it: https://docs.docker.com/compose/install/",
            "or name a Compose: rscale --compose-command docker-compose ...",
        ],
    ),
    known(
        &["all ports are allocated"],
        Exit::Failed,
        "every port of the published range is taken",
        &[
            "make the range larger in the compose file, such as ports: [\"8000-8019:80\"]",
            "docker ps --format '{{.Names}} {{.Ports}}'",
        ],
    ),
    known(
        &["port is already allocated"],
        Exit::Failed,
        "a host port is already taken by another container",
        &[
            "see by which: docker ps --format '{{.Names}} {{.Ports}}'",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["address already in use"],
        Exit::Failed,
        "a host port or address is already in use on this machine",
        &[
            "see by what: sudo ss -ltnp",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["ports are not available"],
        Exit::Failed,
        "a host port is already in use on this machine",
        &[
            "see by what: sudo ss -ltnp",
            "publish a range (\"8000-8009:80\") or only the container's port (\"80\")",
        ],
    ),
    known(
        &["no space left on device"],
        Exit::Failed,
        "no space is left on the engine's disk",
        &[
            "see what takes it: docker system df",
            "make room: docker system prune",
        ],
    ),
    known(
        &["pull access denied"],
        Exit::Failed,
        "the image does not exist, or the registry wants a login",
        &[
            "docker login",
            "if it is built here: rscale --build ...",
            "docker image ls",
        ],
    ),
    known(
        &["no such image"],
        Exit::Failed,
        "the image does not exist on this engine",
        &[
            "if it is built here: rscale --build ...",
            "if it comes from a registry: rscale --pull always ...",
        ],
    ),
    known(
        &["manifest unknown"],
        Exit::Failed,
        "the registry does not have that image or tag",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["manifest for", "not found"],
        Exit::Failed,
        "the registry does not have that image or tag",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["failed to resolve reference"],
        Exit::Failed,
        "the image cannot be found",
        &["correct `image:` in the compose file", "docker image ls"],
    ),
    known(
        &["request canceled while waiting for connection"],
        Exit::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["dial tcp"],
        Exit::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["get \"https://", "/v2/"],
        Exit::Failed,
        "the image is not here and its registry cannot be reached",
        &["docker image ls", "if it is built here: rscale --build ..."],
    ),
    known(
        &["cannot start a paused container"],
        Exit::Failed,
        "a replica is paused",
        &["docker compose unpause"],
    ),
    known(
        &["is already in use by container"],
        Exit::Failed,
        "a container of that name exists already",
        &[
            "see it: docker ps --all",
            "if it is a leftover: docker rm NAME",
        ],
    ),
    known(
        &["could not be found", "network"],
        Exit::Failed,
        "a network of the project does not exist",
        &[
            "docker network ls",
            "if it is an external one: docker network create NAME",
        ],
    ),
    known(
        &["declared as external, but could not be found"],
        Exit::Failed,
        "an external network or volume does not exist",
        &["docker network ls; docker volume ls"],
    ),
    known(
        &["dependency failed to start"],
        Exit::Failed,
        "a dependency did not become healthy",
        &[
            "see why: docker compose logs --tail 20",
            "scale without it: rscale --no-deps ...",
        ],
    ),
];
