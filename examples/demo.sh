#!/usr/bin/env bash
# Two true stories about scaling, told with real software: Celery workers on RabbitMQ, and Django behind nginx.
#   demo.sh [PATH-OF-RSCALE]    default: the release build of this repository, then PATH
# They run in projects of their own, check what they say, and take everything away at the end.

# shellcheck disable=SC2016 # backquotes in texts are quotation marks
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=story.sh
. "$here/story.sh"

# The outcome of a command goes here while the story goes on.
log=$(mktemp)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi; rm -f "$log"; finish' EXIT

up='docker compose --progress quiet up --detach --build --wait'

scene "$here/rabbitmq-workers"
act '1. Celery on RabbitMQ: a worker for each of two queues'
show 0 "$up"
show 0 'rscale status'
show 0 'docker compose run --rm dispatch --task-a 40'

act '2. Three workers where the work is'
brokers=$(ids rabbitmq)$(ids redis)$(ids worker-b)
show 0 'rscale worker-a=3'
expect worker-a 3
same 'RabbitMQ, Redis and worker-b' "$brokers" "$(ids rabbitmq)$(ids redis)$(ids worker-b)"
show 0 'docker compose run --rm dispatch --task-a 40'
tell 'The same forty tasks, shared by three workers.'

act '3. Scaled away in the middle of a task'
printf '\n%s$ %s%s\n' "$bold" 'docker compose run --rm dispatch --nap 3 --seconds 20 &' "$plain"
docker compose run --rm dispatch --nap 3 --seconds 20 >"$log" 2>&1 &
pid=$!
# Until each of the three is at one.
begun() { docker compose exec -T redis redis-cli --raw keys 'runs:*' | wc -l; }
before=$(begun)
while [ "$(begun)" -lt $((before + 3)) ]; do
    if ! kill -0 "$pid" 2>/dev/null; then fail "the tasks did not begin: $(cat "$log")"; fi
    sleep 0.2
done
show 0 'rscale worker-a=1'
expect worker-a 1
wait "$pid" || fail "tasks were lost: $(cat "$log")"
pid=
printf '\n'
grep -v -i -E '^ *(container|network|volume) ' "$log" || true
tell 'Three tasks of 20 s, two of their workers told to go: all done, none twice. With the 10 s that Docker gives, two were lost.'

act '4. Every worker; what keeps data is left alone'
show 0 'rscale scale-all 2'
expect worker-a 2
expect worker-b 2
expect rabbitmq 1
take_away

scene "$here/django-celery-nginx"
HTTP_PORT=$(free_ports 1)
export HTTP_PORT
act '5. Django behind nginx'
show 0 "$up"
show 0 'rscale web-django=3 celery_worker=4'
expect web-django 3
expect celery_worker 4
asking='docker compose exec -T nginx sh -c "for i in \$(seq 60); do curl -s http://localhost/; done"'
show 0 "$asking | cut -d : -f 1 | sort | uniq -c"
answering=$(eval "$asking" | cut -d : -f 1 | sort -u | wc -l)
if [ "$answering" != 3 ]; then fail "$answering replicas answer, and 3 were expected"; fi
tell 'nginx was told of the new replicas, so all three answer.'

act '6. What would break is refused before anything is touched'
show 3 'rscale celery_beat=2 backend-db=2'
expect celery_beat 1
show 3 'rscale web-django=9'
expect web-django 3

act '7. Fewer replicas under load, and no request is lost'
docker compose exec -T nginx sh -c 'rm -f /tmp/stop; while ! [ -e /tmp/stop ]; do curl -s -o /dev/null -w "%{http_code} %{time_total}\n" http://localhost/; done' >"$log" &
pid=$!
show 0 'rscale web-django=1'
expect web-django 1
docker compose exec -T nginx touch /tmp/stop
wait "$pid"
pid=
summary=$(awk '$1 != 200 { failed++ } $2 > slowest { slowest = $2 } END { printf "%d requests meanwhile, %d failed, the slowest took %.2f s", NR, failed, slowest }' "$log")
tell "$summary"
case $summary in *', 0 failed,'*) ;; *) fail 'requests were lost' ;; esac
show 0 'rscale status'
