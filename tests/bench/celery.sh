# The benchmark `celery` of run.sh, which reads this file: tasks that `rscale load-test` sends a second beside
# Celery's own producer, over Redis and over RabbitMQ (with confirms), its memory with 100,000 tasks, and
# whole runs of 2,000 tasks that do nothing beside apply_async and ResultSet.join.
# shellcheck shell=bash disable=SC2154,SC2164 # `work`, `rscale` and so on are run.sh's, and so is `set -e`.

celery_sent=100000
celery_produced=3000
celery_whole=2000

celery() {
  local broker
  projects+=(rscelery)
  cp -r "$here/celery" "$work/rscelery"
  cp "$here/../../examples/rabbitmq-workers/requirements.txt" "$here/../../examples/rabbitmq-workers/Dockerfile" "$work/rscelery/"
  cd "$work/rscelery"
  # Celery needs it for Redis as a broker.
  echo packaging >>requirements.txt
  sed -i 's/^COPY .*\.py.*/COPY *.py .\//' Dockerfile
  for broker in redis rabbitmq; do
    case $broker in
      redis) export BROKER_URL=redis://redis:6379/0 bar=30 ;;
      rabbitmq) export BROKER_URL=amqp://guest:guest@rabbitmq:5672// bar=5 ;;
    esac
    docker compose --project-name rscelery up --detach --build --wait >"$work/up" 2>&1 || { tail -n 5 "$work/up" >&2; exit 1; }
    # Its one process is at this one for ever.
    celery_produce send 1 >/dev/null
    celery_pairs "$broker" "$bar"
    clean_project rscelery
  done
  cd "$work"
  unset BROKER_URL bar
}

celery_produce() {
  docker compose --project-name rscelery exec -T quick python produce.py "$@"
}

# celery_sending: tasks a second, and the most memory in MB.
celery_sending() {
  # Nobody does them, so it gives up; what is measured is how long it took to send them.
  /usr/bin/time -f '%M' -o "$work/mem" "$rscale" --project-name rscelery load-test --task tasks.stand_still@still \
    --tasks "$celery_sent" --timeout 2s --force --purge --format json >"$work/sent" 2>"$work/err" || true
  jq -r '"\(.sent / .sending_seconds)"' "$work/sent" || { cat "$work/err" >&2; exit 1; }
}

# celery_whole_run [OPTION]: seconds from the first task sent to the last result.
celery_whole_run() {
  "$rscale" --project-name rscelery load-test --task tasks.nothing@quick --tasks "$celery_whole" --format json \
    --fail-if 'failed>0' "$@" >"$work/whole" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
  jq -r .total_seconds "$work/whole"
}

# celery_pairs BROKER BAR
celery_pairs() {
  local broker=$1 bar=$2 round
  : >"$work/sends"
  : >"$work/wholes"
  : >"$work/peaks"
  for round in $(seq 0 "$rounds"); do
    echo "$(celery_sending) $(celery_produce send "$celery_produced")" >"$work/send"
    # What it put into the queue would be in the way of the next round.
    celery_clear "$broker"
    echo "$(celery_whole_run --no-events) $(celery_produce join "$celery_whole") $(celery_whole_run)" >"$work/one"
    # The first round warms up.
    [ "$round" = 0 ] || { cat "$work/send" >>"$work/sends"; cat "$work/one" >>"$work/wholes"; tail -n 1 "$work/mem" >>"$work/peaks"; }
  done
  celery_row "tasks a second into $broker: \`rscale load-test\` beside Celery's producer" "$bar" '%.0f/s' "$work/sends"
  awk -v what="memory with $celery_sent tasks, over $broker" '$1 > most { most = $1 } END { printf "| %s | %.0f MB | | | at most 150 MB | %s |\n", what, most / 1024, (most < 150 * 1024 ? "met" : "not met") }' "$work/peaks"
  celery_row "seconds for $celery_whole tasks that do nothing, over $broker: \`rscale load-test --no-events\` beside apply_async and ResultSet.join" 1.3 '%.2f s' "$work/wholes" time
  awk '{ print $3, $2 }' "$work/wholes" >"$work/with_events"
  celery_row "the same with the workers' events on, as is the default" '' '%.2f s' "$work/with_events" time
}

celery_clear() {
  case $1 in
    redis) docker compose --project-name rscelery exec -T redis redis-cli del still >/dev/null ;;
    rabbitmq) docker compose --project-name rscelery exec -T rabbitmq rabbitmqctl -q purge_queue still >/dev/null ;;
  esac
}

# celery_row WHAT BAR FORMAT FILE [time]: medians of both columns, and of how much better the first is in each round.
celery_row() {
  awk -v what="$1" -v bar="$2" -v format="$3" -v of="${5:-rate}" '
    function median(list, n,   i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
      return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }
    { a[NR] = $1; b[NR] = $2; ratio[NR] = of == "time" ? $2 / $1 : $1 / $2 }
    END {
      r = median(ratio, NR)
      printf "| %s | " format " | " format " | %.2f (%.2f to %.2f) | %s | %s |\n", what, median(a, NR), median(b, NR), r, ratio[1], ratio[NR], (bar == "" ? "" : "at least " bar), (bar == "" ? "" : (r >= bar + 0 ? "met" : "not met"))
    }' "$4"
}
