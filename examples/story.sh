# shellcheck shell=bash
# For the stories that are told with real containers: prints commands, runs them, checks what came of them.
# Sourced by a script that has said `set -euo pipefail`, with the path of rscale or nothing as argument.


# What is set in the environment must not change the story.
for name in $(compgen -v | grep -E '^(COMPOSE|RSCALE)_' || true); do unset "$name"; done

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

act() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

tell() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }

# show STATUS COMMAND: prints a command as it would be typed, runs it, and wants this exit status.
show() {
    local status=0
    printf '\n%s$ %s%s\n' "$bold" "$2" "$plain"
    eval "$2" 2>&1 || status=$?
    if [ "$1" != 0 ] && [ "$status" = "$1" ]; then tell "(exit status $status)"; fi
    if [ "$status" != "$1" ]; then fail "\`$2\` ended with $status, and $1 was expected"; fi
}

ids() { docker compose ps --quiet "$1" | sort; }

# expect SERVICE COUNT
expect() {
    local count
    count=$(ids "$1" | wc -l)
    if [ "$count" -ne "$2" ]; then fail "\`$1\` has $count running replicas, and $2 were expected"; fi
}

# same WHAT BEFORE AFTER
same() { if [ "$2" != "$3" ]; then fail "$1 are not the containers that they were"; fi; }

# free_ports COUNT: the first of so many host ports in a row that nothing listens on.
free_ports() {
    local first port
    for first in 18080 18180 18280 18380 18480 18580; do
        for port in $(seq "$first" $((first + $1 - 1))); do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue 2; fi
        done
        echo "$first"
        return
    done
    fail 'no free host ports between 18080 and 18589'
}

take_away() { docker compose --progress quiet down --timeout 2 --volumes --remove-orphans >/dev/null 2>&1 || true; }

# Also after Ctrl-C, which must not cut the clean-up short.
finish() {
    local status=$?
    trap '' INT TERM HUP PIPE
    printf '\nTaking the containers of the demo away.\n' 2>/dev/null || true
    take_away
    exit "$status"
}

# scene FOLDER: what follows happens in an example, in a project of the demo's own.
scene() {
    cd "$1" || exit
    export COMPOSE_PROJECT_NAME=rscale-demo-${1##*/}
    take_away # what a demo that was killed may have left
}

built=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target/release/rscale
rscale=${1:-$built}
if [ $# = 0 ] && ! [ -x "$rscale" ]; then rscale=$(command -v rscale || true); fi
if ! [ -x "$rscale" ]; then fail "there is no rscale at \`${1:-target/release/rscale}\`: run \`make build\` first"; fi
PATH=$(cd "$(dirname "$rscale")" && pwd):$PATH
if ! docker compose version >/dev/null 2>&1; then fail "docker compose does not answer: run \`make engine\` first"; fi
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
