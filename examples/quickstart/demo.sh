#!/usr/bin/env bash
# A short true story about scaling, told on compose.yaml with real containers.
#   demo.sh [PATH-OF-RSCALE]    default: the release build of this repository, then PATH
# It runs in a project of its own, checks what it says, and takes everything away at the end.

# shellcheck disable=SC2016 # backquotes in texts are quotation marks
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# What is set in the environment must not change the story.
for name in $(compgen -v | grep -E '^(COMPOSE|RSCALE)_' || true); do unset "$name"; done
unset WORKER_CRASH
export COMPOSE_PROJECT_NAME=rscale-demo

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
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

# Ten host ports in a row that nothing listens on.
free_ports() {
    local first port
    for first in 18080 18180 18280 18380 18480 18580; do
        for port in $(seq "$first" $((first + 9))); do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue 2; fi
        done
        echo "$first-$((first + 9))"
        return
    done
    fail 'no free host ports between 18080 and 18589'
}

rscale=${1:-../../target/release/rscale}
if [ $# = 0 ] && ! [ -x "$rscale" ]; then rscale=$(command -v rscale || true); fi
if ! [ -x "$rscale" ]; then fail "there is no rscale at \`${1:-../../target/release/rscale}\`: run \`make build\` first"; fi
PATH=$(cd "$(dirname "$rscale")" && pwd):$PATH
if ! docker compose version >/dev/null 2>&1; then fail 'docker compose does not answer: run `make engine` first'; fi

WEB_PORTS=$(free_ports)
export WEB_PORTS
take_away # what a demo that was killed may have left
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

act '1. docker compose: scaling one service resets its neighbour'
show 0 'docker compose --progress quiet up -d --scale worker=3'
show 0 'docker compose ps --quiet worker | wc -l'
expect worker 3
show 0 'docker compose up -d --scale web=3 2>&1 | grep Removed'
show 0 'docker compose ps --quiet worker | wc -l'
expect web 3
expect worker 1
tell 'Only `web` was asked for. Two of the three workers are gone.'

act '2. rscale: what was not named keeps its containers'
show 0 'rscale web=1 worker=3'
expect web 1
expect worker 3
show 0 "docker compose ps --format '{{.ID}}  {{.Name}}' worker | sort -k 2"
workers=$(ids worker)
show 0 'rscale web=3'
expect web 3
show 0 "docker compose ps --format '{{.ID}}  {{.Name}}' worker | sort -k 2"
same 'the workers' "$workers" "$(ids worker)"
tell 'The same three workers, and three of `web` beside them.'

act '3. What cannot work is refused before anything is touched'
webs=$(ids web)
show 3 'rscale web=5 admin=2'
same 'the replicas of web' "$webs" "$(ids web)"
expect admin 1
tell 'Nothing was started, not even for `web`, which could have had five.'

act '4. A replica that does not come up is rolled back'
show 1 'WORKER_CRASH=1 rscale worker=5'
same 'the workers' "$workers" "$(ids worker)"
tell 'The new workers crashed. The three old ones never stopped, and nothing else is left.'

act '5. What runs now'
show 0 'rscale status'
