#!/usr/bin/env bash
# The benchmarks behind docs/benchmarks.md: `make bench`. Each figure is a ratio of two commands that take
# turns within one run (A B A B ...), so that a machine whose speed drifts does not decide it. Prints a
# table; needs a real engine, docker compose and hyperfine. Takes about fifteen minutes.
#   run.sh [NAME...]    status, one-more, twenty, own, http, celery, listing, swarm, kubernetes; all of them without names
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
rscale=${RSCALE_BENCH_BINARY:-$root/target/dist/rscale}
rounds=${RSCALE_BENCH_ROUNDS:-9}
work=$(mktemp -d)
projects=()

clean_up() {
  [ -z "${namespace:-}" ] || kubectl delete namespace "$namespace" --wait=false >/dev/null 2>&1 || true
  if [ -n "${swarm_of_bench:-}" ]; then
    "$here/../testbed/swarm.sh" down "$swarm_of_bench" >/dev/null 2>&1 || true
    unset DOCKER_HOST
  fi
  for project in "${projects[@]}"; do
    docker ps -aq --filter "label=com.docker.compose.project=$project" | xargs -r docker rm -f >/dev/null 2>&1 || true
    docker network ls -q --filter "label=com.docker.compose.project=$project" | xargs -r docker network rm >/dev/null 2>&1 || true
  done
  rm -rf "$work"
}
trap clean_up EXIT

need() {
  command -v "$1" >/dev/null || { echo "bench: $1 is missing: apt-get install $1" >&2; exit 4; }
}

# pair TITLE BAR PREPARE A B: the two commands in turn, PREPARE before each; prints medians and their ratio.
pair() {
  local title=$1 bar=$2 prepare=$3 a=$4 b=$5 round
  : >"$work/pairs"
  for round in $(seq 0 "$rounds"); do
    hyperfine --shell=bash --warmup 0 --runs 1 --prepare "$prepare" --export-csv "$work/csv" "$a" "$b" \
      >/dev/null 2>"$work/err" || { cat "$work/err" >&2; echo "bench: $title failed" >&2; exit 1; }
    # The first round warms up.
    [ "$round" = 0 ] || awk -F, 'NR > 1 { printf "%s ", $(NF - 6) } END { print "" }' "$work/csv" >>"$work/pairs"
  done
  awk -v title="$title" -v bar="$bar" '
    function median(list, n,   i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
      return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }
    { a[NR] = $1; b[NR] = $2; ratio[NR] = $1 / $2 }
    END {
      r = median(ratio, NR)
      verdict = r <= bar ? "met" : "not met"
      printf "| %s | %.0f ms | %.0f ms | %.2f (%.2f to %.2f) | %.2f | %s |\n", title, median(a, NR) * 1000, median(b, NR) * 1000, r, ratio[1], ratio[NR], bar, verdict
    }' "$work/pairs"
}

# thirty NAME RESTART: a project of 30 services and 100 containers.
thirty() {
  local project=$1 restart=$2 i count
  projects+=("$project")
  mkdir -p "$work/$project"
  {
    echo "services:"
    for i in $(seq -w 1 30); do
      count=4
      [ "$i" -le 20 ] || count=2
      printf '  svc%s:\n    image: busybox:1\n    init: true\n    command: sleep 100000\n    restart: "%s"\n    scale: %s\n' "$i" "$restart" "$count"
      [ "$i" -gt 20 ] || printf '    depends_on: [svc21, svc22]\n'
    done
  } >"$work/$project/compose.yaml"
  (cd "$work/$project" && docker compose up -d >"$work/up" 2>&1) || { tail -n 5 "$work/up" >&2; exit 1; }
}

status() {
  thirty rsbench no
  cd "$work/rsbench"
  pair "\`rscale status\`, 30 services, 100 containers" 0.6 true "$rscale status" "docker compose ps -a"
  cd "$work"
  clean_project rsbench
  thirty rsbenchr unless-stopped
  cd "$work/rsbenchr"
  pair "the same with a restart policy everywhere" 0.6 true "$rscale status" "docker compose ps -a"
  cd "$work"
  clean_project rsbenchr
}

clean_project() {
  docker ps -aq --filter "label=com.docker.compose.project=$1" | xargs -r docker rm -f >/dev/null
}

one_more() {
  thirty rsbench no
  cd "$work/rsbench"
  local prepare='docker ps -aq --filter label=com.docker.compose.project=rsbench --filter label=com.docker.compose.service=svc01 --filter label=com.docker.compose.container-number=5 | xargs -r docker rm -f'
  pair "\`rscale svc01=+1 --no-wait\` in that project" 1.0 "$prepare" "$rscale svc01=+1 --no-wait" "docker compose up -d --scale svc01=5"
  cd "$work"
  clean_project rsbench
}

twenty() {
  projects+=(rstwenty)
  mkdir -p "$work/rstwenty"
  cd "$work/rstwenty"
  printf 'services:\n  web:\n    image: busybox:1\n    init: true\n    command: sleep 100000\n' >compose.yaml
  docker compose up -d >/dev/null 2>&1
  local prepare='docker compose up -d --scale web=1 >/dev/null 2>&1'
  pair "1 to 20 replicas, started: \`rscale web=20 --no-wait\`" 0.7 "$prepare" "$rscale web=20 --no-wait" "docker compose up -d --scale web=20"
  pair "1 to 20 replicas, each verified: \`rscale web=20\`" 0.7 "$prepare" "$rscale web=20" "docker compose up -d --scale web=20"
  cd "$work"
}

# A docker that answers at once: what is left is rscale's own time.
own() {
  mkdir -p "$work/own/bin"
  cat >"$work/own/bin/docker" <<'FAKE'
#!/bin/sh
case "$*" in
  compose*" config") cat "$FAKE/config.yaml" ;;
  "ps --all"*) cat "$FAKE/ps" ;;
  *DockerRootDir*) echo '{"id":"own","name":"own","root":"/","cluster":""}' ;;
  *) echo "1000000000 2026-01-01T00:00:00Z" ;;
esac
FAKE
  chmod +x "$work/own/bin/docker"
  {
    printf 'name: own\nservices:\n'
    for i in $(seq -w 1 30); do printf '  svc%s: {image: "busybox:1", command: [sleep, "9"], scale: 3}\n' "$i"; done
  } >"$work/own/config.yaml"
  for i in $(seq -w 1 30); do
    for n in 1 2 3; do
      printf '{"id":"%064d","name":"own-svc%s-%s","state":"running","status":"Up 3 minutes","ports":"","command":"sleep 9","service":"svc%s","number":"%s","oneoff":"False","config_hash":"a","image_id":"b"}\n' "$((10#$i * 10 + n))" "$i" "$n" "$i" "$n"
    done
  done >"$work/own/ps"
  cat >"$work/own/run" <<RUN
#!/bin/sh
export FAKE=$work/own PATH=$work/own/bin:\$PATH RSCALE_COMPOSE='docker compose' RSCALE_LOCK_DIR=$work/own RSCALE_STATE_DIR=$work/own/state
exec $rscale "\$@"
RUN
  chmod +x "$work/own/run"
  local command milliseconds
  for command in "-p own status" "-p own svc01=3" "--help"; do
    # shellcheck disable=SC2086
    hyperfine -N --warmup 5 --runs 60 --export-csv "$work/csv" "$work/own/run $command" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
    milliseconds=$(awk -F, 'NR == 2 { printf "%.1f", $(NF - 4) * 1000 }' "$work/csv")
    echo "| \`rscale $command\` with a docker that answers at once | $milliseconds ms, $(peak "$command") MB |"
  done
}

# peak ARGS: the memory that rscale takes at most, in MB.
peak() {
  # shellcheck disable=SC2086
  /usr/bin/time -f '%M' -o "$work/mem" "$work/own/run" $1 >/dev/null 2>&1 || true
  awk 'END { printf "%.1f", $1 / 1024 }' "$work/mem"
}

# shellcheck source=tests/bench/http.sh
. "$here/http.sh"
# shellcheck source=tests/bench/celery.sh
. "$here/celery.sh"
# shellcheck source=tests/bench/engines.sh
. "$here/engines.sh"

need hyperfine
need jq
[ -x /usr/bin/time ] || { echo "bench: /usr/bin/time is missing: apt-get install time" >&2; exit 4; }
[ -x "$rscale" ] || { echo "bench: $rscale is missing: cargo build --profile dist" >&2; exit 4; }
[ "$#" -gt 0 ] || set -- status one-more twenty own http celery listing swarm kubernetes
echo "rscale $("$rscale" --version | cut -d' ' -f2), $(docker compose version --short), engine $(docker info --format '{{.ServerVersion}}'), $(nproc) cores, $rounds rounds"
echo
echo "| what | rscale | the other | ratio: median (lowest to highest) | bar | |"
echo "|---|---|---|---|---|---|"
for name in "$@"; do
  "${name//-/_}"
done
