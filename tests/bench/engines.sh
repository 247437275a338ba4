#!/usr/bin/env bash
# The benchmarks of Swarm and Kubernetes, sourced by run.sh.
#   listing     5,000 replicas in one listing, read and printed, with clients that print saved output
#   swarm       on a swarm of two nodes that the script makes (needs root)
#   kubernetes  on the cluster that RSCALE_BENCH_KUBECONFIG names
# shellcheck shell=bash
# shellcheck disable=SC2154 # rscale, work, here: of run.sh

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

# absolute TITLE BAR COMMAND: the median of a command that takes next to no time but rscale's own.
absolute() {
  local title=$1 bar=$2 command=$3
  hyperfine --shell=bash --warmup 2 --runs "$((rounds * 2))" --export-csv "$work/csv" "$command" >/dev/null 2>"$work/err" ||
    { cat "$work/err" >&2; echo "bench: $title failed" >&2; exit 1; }
  awk -F, -v title="$title" -v bar="$bar" 'NR == 2 {
    ms = $(NF - 4) * 1000
    printf "| %s | %.0f ms (%.0f to %.0f) | | | %s ms | %s |\n", title, ms, $(NF - 1) * 1000, $NF * 1000, bar, ms <= bar ? "met" : "not met" }' "$work/csv"
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
  absolute '`status` of 5,000 tasks in 50 services (Swarm)' 100 "PATH=$fake/bin:\$PATH $rscale --engine swarm -p shop status"
  absolute "\`status\` of 5,000 pods in 50 Deployments (Kubernetes), $(du -m "$fake/pods" | cut -f1) MB of JSON" 100 "PATH=$fake/bin:\$PATH $rscale --engine kubernetes status"
  absolute "of which the pipe: \`kubectl get | cat\`" 100 "$fake/bin/kubectl | cat"
  cd "$work"
}
