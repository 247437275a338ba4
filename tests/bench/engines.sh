#!/usr/bin/env bash
# The benchmarks of Swarm and Kubernetes, sourced by run.sh.
#   listing     5,000 replicas in one listing, read and printed, with clients that print saved output
#   swarm       on a swarm of two nodes that the script makes (needs root)
#   kubernetes  on the cluster that RSCALE_BENCH_KUBECONFIG names
# shellcheck disable=SC2154,SC2016 # rscale, work, here: of run.sh; backticks are Markdown
set -euo pipefail

# Many of the Deployment and the pod in engines/web.json, which a real API server printed: 50 with 100 pods each.
many_pods() {
  need jq
  jq '. as [$deployment, $pod]
    | ($pod.metadata.labels["pod-template-hash"]) as $hash
    | {apiVersion: "v1", kind: "List", items: [range(50) as $d
      | ($deployment | .metadata.name = "web\($d)" | .spec.replicas = 100),
        (range(100) as $p | $pod
          | .metadata.name = "web\($d)-\($hash)-p\($p)" | .metadata.uid = "\($d)-\($p)"
          | .metadata.ownerReferences[0].name = "web\($d)-\($hash)")]}' --indent 4 "$here/engines/web.json"
}

# The same of Swarm: what `service ls`, `stack ps` and `node ls` print.
many_services() {
  for service in $(seq 50); do
    printf '{"ID":"s%s","Image":"busybox:1","Mode":"replicated","Name":"shop_web%s","Ports":"","Replicas":"100/100"}\n' "$service" "$service"
  done
}
many_tasks() {
  awk 'BEGIN { for (s = 1; s <= 50; s++) for (t = 1; t <= 100; t++)
    printf "{\"CurrentState\":\"Running 5 seconds ago\",\"DesiredState\":\"Running\",\"Error\":\"\",\"ID\":\"task%05d%05d0000000000\",\"Image\":\"busybox:1\",\"Name\":\"shop_web%d.%d\",\"Node\":\"node%d\",\"Ports\":\"\"}\n", s, t, s, t, t % 9 + 1 }'
}
many_nodes() {
  for node in $(seq 9); do
    printf '{"Availability":"Active","EngineVersion":"20.10.24","Hostname":"node%s","ID":"n%s","ManagerStatus":"","Self":false,"Status":"Ready","TLSStatus":"Ready"}\n' "$node" "$node"
  done
}

# apart TITLE BAR PREPARE A B: as pair, but what counts is how many milliseconds A takes more than B.
apart() {
  local title=$1 bar=$2 prepare=$3 a=$4 b=$5 round
  : >"$work/pairs"
  for round in $(seq 0 "$rounds"); do
    hyperfine --shell=bash --warmup 0 --runs 1 --prepare "$prepare" --export-csv "$work/csv" "$a" "$b" \
      >/dev/null 2>"$work/err" || { cat "$work/err" >&2; echo "bench: $title failed" >&2; exit 1; }
    # The first round warms up.
    [ "$round" = 0 ] || awk -F, 'NR > 1 { printf "%s ", $(NF - 6) } END { print "" }' "$work/csv" >>"$work/pairs"
  done
  awk '{ print ($1 - $2) * 1000, $1 * 1000, $2 * 1000 }' "$work/pairs" | sort -n | awk -v title="$title" -v bar="$bar" '
    { more[NR] = $1; a[NR] = $2; b[NR] = $3 }
    END {
      middle = int((NR + 1) / 2)
      printf "| %s | %.0f ms | %.0f ms | %+.0f ms (%+.0f to %+.0f) | +%s ms | %s |\n", title, a[middle], b[middle], more[middle], more[1], more[NR], bar, more[middle] <= bar ? "met" : "not met"
    }' 
}

listing() {
  local fake=$work/listing
  mkdir -p "$fake/bin" "$fake/empty"
  many_pods >"$fake/pods"
  many_services >"$fake/services"
  many_tasks >"$fake/tasks"
  many_nodes >"$fake/nodes"
  printf '#!/bin/sh\nexec cat %s/pods\n' "$fake" >"$fake/bin/kubectl"
  # shellcheck disable=SC2016 # the fake's own
  printf '#!/bin/sh\ncase $1 in service) exec cat %s/services ;; stack) exec cat %s/tasks ;; *) exec cat %s/nodes ;; esac\n' "$fake" "$fake" "$fake" >"$fake/bin/docker"
  chmod +x "$fake"/bin/*
  cd "$fake/empty"
  # What is left of a client that prints saved output is the pipe, which a cat reads as well.
  apart '`status` of 5,000 tasks in 50 services (Swarm), beside the saved output through a pipe' 100 true \
    "PATH=$fake/bin:\$PATH $rscale --engine swarm -p shop status" "$fake/bin/docker service | cat; $fake/bin/docker stack | cat; $fake/bin/docker node | cat"
  apart "\`status\` of 5,000 pods in 50 Deployments (Kubernetes), $(du -m "$fake/pods" | cut -f1) MB of JSON, beside the same" 100 true \
    "PATH=$fake/bin:\$PATH $rscale --engine kubernetes status" "$fake/bin/kubectl | cat"
  cd "$work"
}

swarm() {
  if [ "$(id -u)" != 0 ]; then
    echo 'bench: swarm needs root, for the nodes; left out' >&2
    return
  fi
  local socket
  swarm_of_bench=90
  socket=$("$here/../testbed/swarm.sh" up "$swarm_of_bench" 2 | awk 'NR == 1 { print $3 }')
  export DOCKER_HOST=unix://${socket#unix://}
  mkdir -p "$work/swarm/empty"
  {
    printf 'version: "3.9"\nservices:\n'
    for service in $(seq -w 1 10); do
      printf '  svc%s: {image: "busybox:1", command: sleep 100000, init: true, deploy: {replicas: 3, endpoint_mode: dnsrr}}\n' "$service"
    done
  } >"$work/swarm/compose.yaml"
  docker stack deploy --resolve-image never --compose-file "$work/swarm/compose.yaml" rsbench >/dev/null 2>&1
  running rsbench 30
  cd "$work/swarm/empty"
  apart '`status` on Swarm, 10 services, 30 tasks, 2 nodes; beside `service ls`, `stack ps`, `node ls`' 15 true \
    "$rscale --engine swarm -p rsbench status" "docker service ls; docker stack ps rsbench; docker node ls"
  # Tasks that were told to go run for a while yet.
  local count='docker service ps --format "{{.CurrentState}}" rsbench_svc01 | grep -c ^Running'
  local back="docker service scale --detach rsbench_svc01=3; while [ \"\$($count)\" != 3 ]; do sleep 0.1; done; sleep 0.5"
  pair '`svc01=6 --no-wait` on Swarm, until it returns; beside `docker service scale -d`' 1.1 "$back" \
    "$rscale --engine swarm -p rsbench svc01=6 --no-wait" "docker service scale --detach rsbench_svc01=6"
  local up="while [ \"\$($count)\" != 6 ]; do sleep 0.02; done"
  pair 'the same until six tasks run' 1.1 "$back" \
    "$rscale --engine swarm -p rsbench svc01=6 --no-wait; $up" "docker service scale --detach rsbench_svc01=6; $up"
  unset DOCKER_HOST
  cd "$work"
}

# running STACK COUNT: waits until so many tasks run.
running() {
  for _ in $(seq 300); do
    [ "$(docker stack ps --filter desired-state=running --format '{{.CurrentState}}' "$1" | grep -c '^Running')" != "$2" ] || return 0
    sleep 0.2
  done
  echo "bench: the tasks of $1 did not come up" >&2
  exit 1
}

kubernetes() {
  if [ -z "${RSCALE_BENCH_KUBECONFIG:-}" ]; then
    echo 'bench: kubernetes needs a cluster: RSCALE_BENCH_KUBECONFIG names its kubeconfig; left out' >&2
    return
  fi
  export KUBECONFIG=$RSCALE_BENCH_KUBECONFIG
  namespace=rsbench-$$
  kubectl create namespace "$namespace" >/dev/null
  local service
  for service in $(seq -w 1 10); do
    kubectl --namespace "$namespace" create deployment "svc$service" --image busybox:1 --replicas 3 -- sleep 100000 >/dev/null
  done
  kubectl --namespace "$namespace" wait --for condition=Available --timeout 120s deployments --all >/dev/null
  mkdir -p "$work/kubernetes"
  cd "$work/kubernetes"
  local listing="kubectl --namespace $namespace get deployments,statefulsets,pods"
  apart '`status` on Kubernetes, 10 Deployments, 30 pods; beside `kubectl get ... --output json`' 15 true \
    "$rscale --engine kubernetes --namespace $namespace status" "$listing --output json"
  apart 'the same beside the table that kubectl prints' 15 true \
    "$rscale --engine kubernetes --namespace $namespace status" "$listing"
  local back="kubectl --namespace $namespace scale deployment/svc01 --replicas 3; kubectl --namespace $namespace wait --for jsonpath='{.status.replicas}'=3 deployment/svc01; sleep 0.5"
  local up="kubectl --namespace $namespace wait --for jsonpath='{.status.readyReplicas}'=6 --timeout 60s deployment/svc01"
  pair '`svc01=6 --no-wait` on Kubernetes, until it returns; beside `kubectl scale`' 1.1 "$back" \
    "$rscale --engine kubernetes --namespace $namespace svc01=6 --no-wait" "kubectl --namespace $namespace scale deployment/svc01 --replicas 6"
  pair 'the same until six pods are ready' 1.1 "$back" \
    "$rscale --engine kubernetes --namespace $namespace svc01=6 --no-wait; $up" "kubectl --namespace $namespace scale deployment/svc01 --replicas 6; $up"
  kubectl delete namespace "$namespace" --wait=false >/dev/null
  namespace=
  unset KUBECONFIG
  cd "$work"
}
