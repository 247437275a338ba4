#!/usr/bin/env bash
# Every test, one part after the other, also where one failed; what failed is said at the end.
#   run.sh
# cargo-nextest runs them where it is installed, else cargo. The set-up is that of testbed/; see CONTRIBUTING.md for the variables.
set -uo pipefail
unset CDPATH
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.." || exit 1
testbed=$here/testbed

work=$(mktemp -d)
holder=

finish() {
    # What is held ends, before this does.
    if [ -n "$holder" ]; then
        exec 8>&-
        wait "$holder"
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed=()

have() { command -v "$1" >/dev/null 2>&1; }

# part NAME COMMAND...: runs it, and notes which tests failed.
part() {
    local name=$1 before=${#failed[@]} test
    shift
    printf '+ %s\n' "$*" >&2
    "$@" 2>&1 8>&- | tee "$work/log"
    if [ "${PIPESTATUS[0]}" = 0 ]; then return; fi
    while IFS= read -r test; do failed+=("$test"); done < <(
        # As cargo's harness says it, and as nextest sums it up.
        sed -nE 's/^test (.*) \.\.\. FAILED.*/\1/p; s/^ +(FAIL|TIMEOUT|SIG[A-Z]+|ABORT|LEAK-FAIL)[^[]* \[[^]]*\] .* ([^ ]+)$/\2/p' "$work/log" | sort -u
    )
    if [ "${#failed[@]}" = "$before" ]; then failed+=("$name (no test of it, see above)"); fi
}

# tests NAME e2e|other [OPTION...]: those that need an engine, or all others; options of cargo's harness that nextest has, too.
tests() {
    local name=$1 which=$2
    shift 2
    if have cargo-nextest; then
        local filter='test(/^e2e::/)'
        if [ "$which" = other ]; then
            filter="not $filter"
            # Which nextest leaves to cargo.
            part 'examples in comments' cargo test --doc
        fi
        part "$name" cargo nextest run --no-fail-fast --filterset "$filter" "$@"
    elif [ "$which" = other ]; then
        part "$name" cargo test --no-fail-fast -- --skip e2e:: "$@"
    else
        part "$name" cargo test --no-fail-fast --test rscale e2e:: -- "$@"
    fi
}

# A swarm for the tests of a run that are processes of their own; it goes when this script ends, however it ends.
hold_swarm() {
    if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then return; fi
    mkfifo "$work/hold"
    : >"$work/swarm"
    "$testbed/swarm.sh" hold 2 <"$work/hold" >"$work/swarm" 8>&- &
    holder=$!
    exec 8>"$work/hold"
    until [ "$(wc -l <"$work/swarm")" = 2 ]; do
        if ! kill -0 "$holder" 2>/dev/null; then return 1; fi
        sleep 0.1
    done
    export RSCALE_E2E_SWARM=$work/swarm
}

set_up() {
    "$testbed/engine.sh" up && "$testbed/images.sh" && "$testbed/browser.sh" || return 1
    # In the environment of the tests, so that not each of them asks.
    newest=${RSCALE_E2E_COMPOSE_NEWEST-$("$testbed/engine.sh" compose newest)} || return 1
    v1=${RSCALE_E2E_COMPOSE_V1-$("$testbed/engine.sh" compose v1)} || return 1
    kubectl=$("$testbed/kubectl.sh") || return 1
    export RSCALE_E2E_COMPOSE_NEWEST="$newest" RSCALE_E2E_COMPOSE_V1="$v1" RSCALE_E2E_KUBECTL="$kubectl"
    if [ -z "$newest" ]; then echo 'SKIPPED: tests with the newest Compose (RSCALE_E2E_COMPOSE_NEWEST is empty)' >&2; fi
    if [ -z "$v1" ]; then echo 'SKIPPED: tests with Compose v1 (RSCALE_E2E_COMPOSE_V1 is empty)' >&2; fi
    if [ -z "$kubectl" ]; then echo 'SKIPPED: tests on Kubernetes (RSCALE_E2E_KUBECTL is empty)' >&2; fi
}

began=$SECONDS
if [ "${RSCALE_E2E:-}" = skip ]; then
    tests 'tests without an engine' other
else
    ready=yes
    set_up || { ready=no; failed+=('the set-up of the engine (see above)'); }
    tests 'tests without an engine' other
    if [ "$ready" = yes ]; then
        mkdir -p "${CARGO_TARGET_DIR:=target}"
        times=$(cd "$CARGO_TARGET_DIR" && pwd)/e2e-times.tsv
        rm -f "$times"
        export RSCALE_E2E_TIMES=$times
        if have cargo-nextest; then hold_swarm || failed+=('the swarm of the tests (see above)'); fi
        # Each waits for its turn (support/turn.rs): of those that run at once, most wait.
        tests 'tests on an engine' e2e --test-threads $(($(getconf _NPROCESSORS_ONLN) * 16))
    fi
fi

if [ "${#failed[@]}" != 0 ]; then
    printf '\nfailed, after %d s:\n' $((SECONDS - began)) >&2
    printf '    %s\n' "${failed[@]}" >&2
    exit 1
fi
if [ "${RSCALE_E2E:-}" = skip ]; then
    printf '%s\n' '' \
        '*************************************************************************' \
        '*  SKIPPED: every end-to-end test, because RSCALE_E2E=skip is set.      *' \
        '*  Nothing was tried on a real engine. To run all tests: make test      *' \
        '*************************************************************************'
fi
printf '\nall tests passed, after %d s\n' $((SECONDS - began)) >&2
