#!/usr/bin/env bash
# A short true story about scaling, told on compose.yaml with real containers.
#   demo.sh [PATH-OF-RSCALE]    default: the release build of this repository, then PATH
# It runs in a project of its own, checks what it says, and takes everything away at the end.

# shellcheck disable=SC2016 # backquotes in texts are quotation marks
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../story.sh
. "$here/../story.sh"

unset WORKER_CRASH
scene "$here"
first=$(free_ports 10)
export WEB_PORTS=$first-$((first + 9))

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
