#!/usr/bin/env bash
# A Docker engine and the Compose versions that the tests run against; see README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=suite.sh
. "$here/suite.sh"

started=$cache/engine.started # "dockerd PID STARTTIME" or "systemd"
log=$cache/dockerd.log

usage() {
    cat <<'END'
engine.sh up            make sure that a Docker engine and `docker compose` (v2) are there
engine.sh compose KEY   print the path of a standalone docker-compose; KEY: 2.26, newest, v1
engine.sh status        what is there (also: path)
engine.sh down          stop the engine, if `up` started it
END
}

# --- engine -----------------------------------------------------------------

engine_version() { docker version --format '{{.Server.Version}}' 2>/dev/null; }

# The plugin's version if it is Compose v2 or later, else nothing.
plugin_version() { docker compose version --short 2>/dev/null | sed -n 's/^v\{0,1\}\([2-9].*\)$/\1/p'; }

os_name() {
    if [ -r /etc/os-release ]; then (. /etc/os-release && echo "${PRETTY_NAME:-$ID}"); else uname -s; fi
}

hint_engine() {
    case "$(uname -s)" in
        Darwin) echo 'brew install --cask docker && open -a Docker' ;;
        *)
            if have apt-get; then
                echo "sudo $here/engine.sh up"
            elif have dnf; then
                echo 'sudo dnf install -y moby-engine docker-compose && sudo systemctl enable --now docker'
            elif have pacman; then
                echo 'sudo pacman -S docker docker-compose && sudo systemctl enable --now docker'
            elif have zypper; then
                echo 'sudo zypper install docker docker-compose && sudo systemctl enable --now docker'
            elif have apk; then
                echo 'apk add docker docker-cli-compose && rc-service docker start'
            else
                echo 'install Docker Engine 20.10 or newer and the Docker Compose plugin, then try again'
            fi
            ;;
    esac
}

# The start time of a process (field 22 of its stat), to tell it from a later one with the same id.
start_time() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

wait_for_engine() {
    local pid=${1:-} end=$((SECONDS + 60))
    until docker info >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then return 1; fi
        if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then return 1; fi
        sleep 0.2
    done
}

start_engine() {
    if [ -d /run/systemd/system ]; then
        say "starting docker.service"
        systemctl start docker.service 9>&- || true
        if ! wait_for_engine; then
            journalctl -n 20 --no-pager -u docker.service >&2 || true
            die 1 "the engine does not answer"
        fi
        echo systemd >"$started"
    else
        say "starting dockerd in the background, log in $log"
        PATH=$PATH:/usr/sbin:/sbin setsid dockerd >"$log" 2>&1 </dev/null 9>&- &
        local pid=$!
        echo "dockerd $pid $(start_time "$pid")" >"$started"
        if ! wait_for_engine "$pid"; then
            tail -n 20 "$log" >&2
            die 1 "the engine does not answer"
        fi
    fi
}

ensure_engine() {
    if docker info >/dev/null 2>&1; then return; fi
    if [ -n "${DOCKER_HOST:-}" ] && [ "$DOCKER_HOST" != unix:///var/run/docker.sock ]; then
        die 4 "no engine answers at DOCKER_HOST=$DOCKER_HOST" "unset DOCKER_HOST"
    fi
    local context=default
    if have docker; then context=$(docker context show 2>/dev/null || echo default); fi
    if [ "$context" != default ]; then
        die 4 "no engine answers in the Docker context $context" "docker context use default"
    fi
    if [ -S /var/run/docker.sock ] && ! [ -w /var/run/docker.sock ]; then
        die 4 "there is a Docker engine, but you may not use it" "sudo usermod -aG docker \"\$USER\"   # then log in again"
    fi
    if [ "$(uname -s)" != Linux ] || ! have apt-get; then
        die 4 "no Docker engine answers; on $(os_name) it has to be installed by hand" "$(hint_engine)"
    fi
    if ! is_root; then
        die 4 "no Docker engine answers; installing one needs root" "$(hint_engine)"
    fi
    if ! have dockerd; then
        say "installing docker.io"
        apt_install docker.io iptables ca-certificates || die 1 "apt could not install docker.io"
    fi
    if ! have docker; then
        # Newer Debian releases keep the client in a package of its own.
        say "installing docker-cli"
        apt_install docker-cli || die 1 "apt could not install docker-cli"
    fi
    if ! docker info >/dev/null 2>&1; then start_engine; fi
    say "engine $(engine_version) answers"
}

ensure_plugin() {
    if [ -n "$(plugin_version)" ]; then return; fi
    if ! have apt-get || ! have dpkg; then
        die 4 "docker compose (v2) is missing; on $(os_name) it has to be installed by hand" "$(hint_engine)"
    fi
    local package
    if is_root && [ -z "$(apt_version docker-compose)" ]; then
        quietly "$cache/apt.log" apt-get update -q || true
    fi
    for package in docker-compose-v2 docker-compose; do
        case "$(apt_version "$package")" in
            [2-9].*)
                if is_root; then
                    say "installing $package"
                    apt_install "$package" || die 1 "apt could not install $package"
                    break
                elif [ -z "$(debian_mirror)" ]; then
                    die 4 "docker compose (v2) is missing; installing it needs root" "sudo apt-get install -y $package"
                fi
                ;;
        esac
    done
    if [ -z "$(plugin_version)" ]; then
        ensure_compose 2.26
        local plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
        mkdir -p "$plugins"
        cp "$cache/compose-2.26/docker-compose" "$plugins/.docker-compose.$$"
        mv -f "$plugins/.docker-compose.$$" "$plugins/docker-compose"
    fi
    if [ -z "$(plugin_version)" ]; then
        die 1 "docker compose does not work: $(docker compose version 2>&1 | head -n 1)"
    fi
    say "docker compose $(plugin_version) works"
}

up() {
    local engine compose
    if engine=$(engine_version) && compose=$(plugin_version) && [ -n "$compose" ]; then
        say "engine $engine and docker compose $compose are there"
        return
    fi
    lock engine
    ensure_engine
    ensure_plugin
}

down() {
    lock engine
    if ! [ -e "$started" ]; then
        say "nothing to stop: the engine was not started by this script"
        return
    fi
    local how pid since
    read -r how pid since <"$started" || true
    if [ "$how" = systemd ]; then
        say "stopping docker.service"
        systemctl stop docker.socket docker.service
    elif [ -n "${pid:-}" ] && [ "$(start_time "$pid")" = "$since" ]; then
        say "stopping dockerd (process $pid)"
        kill "$pid"
        local end=$((SECONDS + 60))
        while kill -0 "$pid" 2>/dev/null; do
            if [ "$SECONDS" -ge "$end" ]; then die 1 "dockerd (process $pid) does not end; its log is $log"; fi
            sleep 0.2
        done
    else
        say "nothing to stop: the engine that this script started has ended"
    fi
    rm -f "$started"
}

# --- Compose ----------------------------------------------------------------

# Compose v2 from the first of the given suites that has the version.
make_v2() {
    local work=$1 want=$2 suite found
    shift 2
    for suite in "$@"; do
        rm -rf "$work/apt"
        use_suite "$work/apt" "$suite" || continue
        found=$(apt_version docker-compose "${apt_options[@]}")
        # shellcheck disable=SC2254 # a pattern on purpose
        case "$found" in
            $want)
                unpack_from_suite "$work/apt" docker-compose || die 1 "no docker-compose $found from Debian $suite"
                mkdir "$work/out"
                cp "$work/apt/tree/usr/libexec/docker/cli-plugins/docker-compose" "$work/out/"
                return
                ;;
        esac
    done
    die 1 "no docker-compose $want in Debian $*"
}

# Compose v1 is a Python program, and its libraries were packaged for 3.11; where
# /usr/bin/python3 is missing or another version, 3.11 is unpacked too.
make_v1() {
    local work=$1 packages python=/usr/bin/python3 names='docker-compose|python3-.*'
    use_suite "$work/apt" bookworm || die 1 "no package lists of Debian bookworm"
    if ! "$python" -c 'import sys, ssl, json, ctypes; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
        names="$names|(lib)?python3\\.11(-.*)?|libexpat1|libffi8|libssl3|libyaml-0-2|zlib1g"
        python=
    fi
    packages=$(apt-get "${apt_options[@]}" -qq --no-install-recommends --simulate install docker-compose |
        awk '$1 == "Inst" { print $2 }' | grep -E "^($names)\$")
    # shellcheck disable=SC2086 # a list of words
    unpack_from_suite "$work/apt" $packages || die 1 "no docker-compose and its libraries from Debian bookworm"
    mkdir "$work/out"
    mv "$work/apt/tree/usr" "$work/out/usr"
    if [ -d "$work/apt/tree/lib" ]; then cp -a "$work/apt/tree/lib/." "$work/out/usr/lib/"; fi
    rm -rf "$work/out/usr/share/doc" "$work/out/usr/share/man"
    cat >"$work/out/docker-compose" <<'END'
#!/bin/sh
# Docker Compose v1 out of unpacked Debian packages; the folder can be moved.
here=$(dirname "$(readlink -f "$0")")/usr
PYTHONPATH=$here/lib/python3/dist-packages:$here/lib/python3.11
PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH PYTHONDONTWRITEBYTECODE
END
    if [ -n "$python" ]; then
        echo "exec $python -W ignore \"\$here/bin/docker-compose\" \"\$@\"" >>"$work/out/docker-compose"
    else
        cat >>"$work/out/docker-compose" <<'END'
for lib in "$here"/lib/*-linux-gnu*; do LD_LIBRARY_PATH=$lib; done
PYTHONHOME=$here
export LD_LIBRARY_PATH PYTHONHOME
exec "$here/bin/python3.11" -W ignore "$here/bin/docker-compose" "$@"
END
    fi
    chmod +x "$work/out/docker-compose"
    # Compiled once here instead of at every start.
    if [ -n "$python" ]; then
        "$python" -m compileall -q "$work/out/usr/lib" >/dev/null 2>&1 || true
    else
        PYTHONHOME=$work/out/usr "$work/out/usr/bin/python3.11" -m compileall -q "$work/out/usr/lib" >/dev/null 2>&1 || true
    fi
}

ensure_compose() {
    local key=$1 to=$cache/compose-$1
    case "$key" in
        2.26 | newest | v1) ;;
        *) die 2 "unknown Compose version $key; known: 2.26, newest, v1" ;;
    esac
    if [ -x "$to/docker-compose" ]; then return; fi
    if [ "$(uname -s)" != Linux ] || ! have apt-get || ! have dpkg; then
        die 4 "Compose $key is taken out of Debian packages, which needs apt-get and dpkg; on $(os_name) put one there by hand" \
            "mkdir -p '$to' && cp docker-compose '$to/'"
    fi
    local work
    work=$(mktemp -d -p "$cache")
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    say "fetching Compose $key"
    case "$key" in
        2.26) make_v2 "$work" '2.26.*' trixie ;;
        newest) make_v2 "$work" '2.*' sid forky trixie ;;
        v1) make_v1 "$work" ;;
    esac
    local version
    version=$("$work/out/docker-compose" version --short 2>"$work/log") || {
        tail -n 15 "$work/log" >&2
        die 1 "the fetched Compose $key does not run"
    }
    rm -rf "$to"
    mv "$work/out" "$to"
    echo "$version" >"$to/version"
    rm -rf "$work"
    trap - EXIT
    say "Compose $version is in $to"
}

compose() {
    if ! [ -x "$cache/compose-$1/docker-compose" ]; then
        lock engine
        ensure_compose "$1"
    fi
    echo "$cache/compose-$1/docker-compose"
}

# --- state ------------------------------------------------------------------

status() {
    local engine compose key how=''
    if [ -e "$started" ]; then how=" (started by engine.sh)"; fi
    engine=$(engine_version) || engine=none
    compose=$(plugin_version) || compose=
    printf 'engine\t%s%s\n' "$engine" "$how"
    printf 'docker compose\t%s\n' "${compose:-none}"
    printf 'cache\t%s\n' "$cache"
    for key in 2.26 newest v1; do
        if [ -x "$cache/compose-$key/docker-compose" ]; then
            printf 'compose %s\t%s\t%s\n' "$key" "$(cat "$cache/compose-$key/version" 2>/dev/null || echo '?')" \
                "$cache/compose-$key/docker-compose"
        else
            printf 'compose %s\tnone\n' "$key"
        fi
    done
}

case "$#:${1:-}" in
    1:up) up ;;
    1:down) down ;;
    2:compose) compose "$2" ;;
    1:status | 1:path) status ;;
    1:help | 1:-h | 1:--help) usage ;;
    *)
        usage >&2
        exit 2
        ;;
esac
