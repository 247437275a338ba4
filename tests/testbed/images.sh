#!/usr/bin/env bash
# Makes sure that images exist; see README.md.
#   images.sh [IMAGE...]    default: the images of examples/*/compose.yaml, and busybox:1
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

answer_limit=20 # seconds until a registry has to have said something
pull_limit=900  # seconds for a whole pull once it has

examples_images() {
    local file
    for file in "$here"/../../examples/*/compose.yaml; do
        if [ -e "$file" ]; then
            # ${NAME:-default} counts as its default.
            sed -n 's/^[[:space:]]*image:[[:space:]]*\([^[:space:]#]*\).*$/\1/p' "$file" |
                sed 's/["'\'']//g; s/\${[A-Za-z0-9_]*:\{0,1\}-\([^}]*\)}/\1/g'
        fi
    done
    echo busybox:1
}

exists() { docker image inspect "$1" >/dev/null 2>&1; }

# pull IMAGE: 0 pulled, 1 a registry answered but did not give it, 2 no registry answers
pull() {
    local log=$work/pull pid began=$SECONDS
    docker pull "$1" >"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        if ! [ -s "$log" ] && [ $((SECONDS - began)) -ge "$answer_limit" ]; then
            kill "$pid" 2>/dev/null || true
            wait "$pid" 2>/dev/null || true
            return 2
        fi
        if [ $((SECONDS - began)) -ge "$pull_limit" ]; then
            kill "$pid" 2>/dev/null || true
            echo "not complete after $pull_limit seconds" >>"$log"
        fi
        sleep 0.1
    done
    if wait "$pid"; then return 0; fi
    if grep -q -i -E 'dial tcp|lookup |no such host|timeout|deadline exceeded|connection (refused|reset)|unreachable|proxyconnect|x509|tls: ' "$log"; then
        return 2
    fi
    return 1
}

# recipe IMAGE: images/<name without registry>.sh, with / as -
recipe() {
    local name=${1%%@*}
    case "${name##*/}" in *:*) name=${name%:*} ;; esac
    printf '%s/images/%s.sh\n' "$here" "${name//\//-}"
}

# --- for the recipes (and deb_unpack of lib.sh) -------------------------------

# is_stand_in IMAGE: it exists, and is one of ours.
is_stand_in() {
    [ "$(docker image inspect --format '{{index .Config.Labels "org.rscale.stand-in"}}' "$1" 2>/dev/null)" = true ]
}

# import FOLDER IMAGE [CHANGE...]: a folder becomes an image that is labelled as a stand-in.
import() {
    local folder=$1 image=$2 change
    shift 2
    local -a changes=(--change 'LABEL org.rscale.stand-in=true')
    for change in "$@"; do changes+=(--change "$change"); done
    tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -c . |
        docker import "${changes[@]}" - "$image" >/dev/null
}

# -----------------------------------------------------------------------------

# A recipe is sourced with $image and an empty folder $work; it leaves $image
# in the engine, or returns 3 for a tag that it does not know.
stand_in() {
    local image=$1 file
    file=$(recipe "$image")
    if ! [ -e "$file" ]; then return 3; fi
    (
        set -euo pipefail
        work=$(mktemp -d -p "$work")
        chmod 755 "$work"
        # shellcheck source=images/busybox.sh
        . "$file"
    )
}

work=
registry=yes
failed=0

# Never fails itself (and is never called in a condition, which would switch
# off set -e in the recipe); counts in $failed.
ensure() {
    local image=$1 rc=0 why='no registry answers'
    if exists "$image"; then return; fi
    if [ "$registry" = yes ]; then
        say "pulling $image"
        pull "$image" || rc=$?
        case "$rc" in
            0) return ;;
            1) why=$(tail -n 1 "$work/pull") ;;
            2)
                say "no registry answers"
                registry=no
                ;;
        esac
    fi
    set +e
    stand_in "$image"
    rc=$?
    set -e
    case "$rc" in
        0) say "built a stand-in for $image" ;;
        3) say "no $image: $why, and there is no stand-in for it" ;;
        *) say "no $image: $why, and its stand-in could not be built" ;;
    esac
    if [ "$rc" != 0 ]; then failed=1; fi
}

main() {
    local image missing=''
    if [ $# = 0 ]; then
        # shellcheck disable=SC2046 # one word per image
        set -- $(examples_images | sort -u)
    fi
    for image in "$@"; do
        if ! exists "$image"; then missing="$missing $image"; fi
    done
    if [ -z "$missing" ]; then return; fi
    if ! docker info >/dev/null 2>&1; then
        die 1 "no Docker engine answers" "$here/engine.sh up"
    fi
    lock images
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for image in $missing; do
        ensure "$image"
    done
    return "$failed"
}

main "$@"
