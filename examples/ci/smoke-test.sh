#!/usr/bin/env bash
# A smoke test of scaling for a CI job: exit codes and JSON, nothing else. Copy it and put your own
# compose file and services in.
#   smoke-test.sh [COMPOSE-FILE]    default: ../quickstart/compose.yaml
# Needs bash, docker compose and rscale on PATH (or RSCALE=/path/to/rscale).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

rscale=${RSCALE:-rscale}
file=${1:-$here/../quickstart/compose.yaml}

# A project of its own on every run, so that two jobs on one machine do not meet.
export COMPOSE_FILE=$file COMPOSE_PROJECT_NAME=rscale-smoke-$$
export WEB_PORTS=${WEB_PORTS:-18600-18649} # the port range of examples/quickstart
export RSCALE_FORMAT=json RSCALE_QUIET=1

result=$(mktemp)

finish() {
    local status=$?
    trap '' INT TERM
    docker compose down --timeout 2 --volumes --remove-orphans >/dev/null 2>&1 || true
    rm -f "$result"
    if [ "$status" = 0 ]; then echo 'smoke test: passed'; else echo "smoke test: FAILED" >&2; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# field NAME: a field of the last result. A number, text or null that stands at the top of the document
# or, with one service asked for, in that service. jq does more; sed is there on every machine.
field() { sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$result" | head -n 1; }

# run STATUS ARGUMENT...: runs rscale, keeps its JSON, and wants this exit status.
run() {
    local want=$1 status=0
    shift
    "$rscale" "$@" >"$result" || status=$?
    if [ "$status" != "$want" ]; then
        echo "rscale $* ended with $status, and $want was expected" >&2
        cat "$result" >&2
        exit 1
    fi
}

# expect FIELD VALUE
expect() {
    local value
    value=$(field "$1")
    if [ "$value" != "$2" ]; then
        echo "$1 is '$value', and '$2' was expected" >&2
        cat "$result" >&2
        exit 1
    fi
    echo "  $1 = $value"
}

docker compose up -d >/dev/null 2>&1

echo 'scale web to 3 and worker to 2'
run 0 web=3 worker=2
expect outcome scaled

echo 'every replica of web is there and healthy'
run 0 status web
expect running 3
expect healthy 3
expect state ok

echo 'a second admin is refused, and nothing is touched'
run 3 admin=2 web=4
expect outcome refused
run 0 status web
expect running 3

echo 'every request is answered, and a missing page is noticed'
run 0 load-test --http http://web:8080/ --tasks 50 --concurrency 4 --fail-if 'failed>0' --fail-if 'throughput<1'
expect completed 50
run 5 load-test --http http://web:8080/no-such-page --tasks 5 --fail-if 'failed>0'
expect failed 5

echo 'a plan changes nothing'
run 0 web=1 --dry-run
expect outcome planned
run 0 status web
expect running 3

echo 'scale back'
run 0 web=1 worker=1
expect outcome scaled
run 0 web=1 worker=1
expect outcome unchanged
