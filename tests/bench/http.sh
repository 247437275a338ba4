# The benchmark `http` of run.sh, which reads this file: requests a second of `rscale load-test --http` beside
# oha's and wrk's, against the same nginx with one worker and a small file; and the CPU time they take for it.
# shellcheck shell=bash disable=SC2154,SC2164 # `work`, `rscale` and so on are run.sh's, and so is `set -e`.

http_requests=${RSCALE_BENCH_REQUESTS:-200000}
http_connections=50
oha=${RSCALE_BENCH_OHA:-oha}

# timed NAME COMMAND...: its CPU seconds, user and system together, in $work/NAME.cpu; its output in $work/NAME.
timed() {
  local name=$1
  shift
  /usr/bin/time -f '%U %S' -o "$work/$name.cpu" "$@" >"$work/$name" 2>"$work/err" || { cat "$work/err" >&2; echo "bench: http: $name failed" >&2; exit 1; }
  awk 'END { print $1 + $2 }' "$work/$name.cpu"
}

# Requests a second and CPU seconds, one line for each round.
http_rscale() {
  local cpu
  cpu=$(timed rscale "$rscale" load-test --http "http://127.0.0.1:$1/" --tasks "$http_requests" --concurrency "$http_connections" --fail-if 'failed>0' --format json)
  echo "$(sed -n 's/^  "throughput_per_second": \([0-9.]*\).*/\1/p' "$work/rscale") $cpu"
}

http_oha() {
  local cpu
  cpu=$(timed oha "$oha" --no-tui -n "$http_requests" -c "$http_connections" "http://127.0.0.1:$1/")
  echo "$(awk '/Requests\/sec/ { print $2 }' "$work/oha") $cpu"
}

# wrk knows no number of requests: its CPU time is that of as many.
http_wrk() {
  local cpu
  cpu=$(timed wrk wrk -t1 "-c$http_connections" -d4s "http://127.0.0.1:$1/")
  awk -v cpu="$cpu" -v wanted="$http_requests" '/requests in/ { done = $1 } /Requests\/sec/ { print $2, cpu * wanted / done }' "$work/wrk"
}

http() {
  if ! command -v "$oha" >/dev/null; then
    echo "| \`rscale load-test --http\` | skipped: oha is not installed (cargo install oha, or RSCALE_BENCH_OHA=path) |"
    return
  fi
  local port=${RSCALE_BENCH_PORT:-18080} round tool tools="rscale oha"
  command -v wrk >/dev/null && tools+=" wrk"
  projects+=(rshttp)
  mkdir -p "$work/rshttp"
  cd "$work/rshttp"
  # The access log would be most of nginx's work.
  cat >nginx.conf <<NGINX
worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000;
  server { listen 80; location / { root /usr/share/nginx/html; } }
}
NGINX
  cat >compose.yaml <<COMPOSE
name: rshttp
services:
  web:
    image: nginx:1
    network_mode: host
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
COMPOSE
  sed -i "s/listen 80/listen 127.0.0.1:$port/" nginx.conf
  docker compose up -d >"$work/up" 2>&1 || { tail -n 5 "$work/up" >&2; exit 1; }
  for round in $(seq 50); do
    ! curl -fso /dev/null "http://127.0.0.1:$port/" || break
    sleep 0.1
  done
  for tool in $tools; do : >"$work/$tool.rounds"; done
  for round in $(seq 0 "$rounds"); do
    for tool in $tools; do
      # The first round warms up.
      "http_$tool" "$port" >"$work/line"
      [ "$round" = 0 ] || cat "$work/line" >>"$work/$tool.rounds"
    done
  done
  cd "$work"
  clean_project rshttp
  for tool in ${tools#rscale }; do http_row "$tool"; done
}

# http_row TOOL: medians of both, and of the ratios of each round. The bars are for oha.
http_row() {
  paste -d' ' "$work/rscale.rounds" "$work/$1.rounds" | awk -v tool="$1" '
    function median(list, n,   i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
      return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }
    { a[NR] = $1; ca[NR] = $2; b[NR] = $3; cb[NR] = $4; rate[NR] = $1 / $3; cpu[NR] = $2 / $4 }
    END {
      r = median(rate, NR); c = median(cpu, NR)
      bars = tool == "oha"
      printf "| requests a second: `rscale load-test --http` beside %s | %.0f | %.0f | %.2f (%.2f to %.2f) | %s | %s |\n", tool, median(a, NR), median(b, NR), r, rate[1], rate[NR], bars ? "at least 0.9" : "", bars ? (r >= 0.9 ? "met" : "not met") : ""
      printf "| CPU seconds for as many requests, beside %s | %.2f | %.2f | %.2f (%.2f to %.2f) | %s | %s |\n", tool, median(ca, NR), median(cb, NR), c, cpu[1], cpu[NR], bars ? "at most 1.0" : "", bars ? (c <= 1 ? "met" : "not met") : ""
    }'
}
