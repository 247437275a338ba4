#!/usr/bin/env bash
# Makes sure that images exist; see README.md.
#   images.sh [IMAGE...]    default: the images that the examples name, and busybox:1
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

answer_limit=20 # seconds until a registry has to have said something
pull_limit=900  # seconds for a whole pull once it has
ask_again=720   # minutes after which an image that is not needed everywhere is asked for again
jobs_limit=2    # stand-ins that are built at the same time

# --- which images ------------------------------------------------------------

# compose_images FILE: a line "IMAGE<tab>PROFILES" per service, "IMAGE<tab>!" where it is built.
compose_images() {
    local file=$1 config
    # What Compose prints has one form, with indents of two. Where it refuses (a file that it names is
    # not there yet), the file as it is has to do, in which ${NAME:-default} counts as its default.
    if ! config=$(docker compose -f "$file" --profile '*' config 2>/dev/null </dev/null); then
        config=$(sed 's/\${[A-Za-z0-9_]*:\{0,1\}-\([^}]*\)}/\1/g; s/[[:space:]]#.*//' "$file")
    fi
    awk '
        function flush() {
            if (image != "") print image "\t" (built ? "!" : profiles)
            image = profiles = ""; built = listing = 0
        }
        /^[^ #]/ { flush(); within = ($1 == "services:"); next }
        !within { next }
        /^  [^ #]/ { flush(); next }
        /^    [^ #]/ { listing = ($1 == "profiles:") }
        /^    image: / { image = $2 }
        /^    build:/ { built = 1 }
        /^    profiles: *\[/ { profiles = $0; gsub(/.*\[|[],]/, " ", profiles); $0 = profiles; $1 = $1; profiles = $0 }
        listing && /^      - / { profiles = profiles (profiles == "" ? "" : " ") $2 }
        END { flush() }
    ' <<<"$config" | tr -d "\"'"
}

# dockerfile_images FILE: the same for the FROM lines, without earlier stages of the same file.
dockerfile_images() {
    awk 'toupper($1) == "FROM" {
        image = $2; as = $4
        if (image ~ /^--/) { image = $3; as = $5 }
        if (!(image in stages) && image != "scratch" && image !~ /\$/) print image "\t"
        if (as != "") stages[as] = 1
    }' "$1"
}

examples_images() {
    local examples=$here/../../examples file lists=0
    # Compose takes a tenth of a second per file: all at once.
    while IFS= read -r file; do
        lists=$((lists + 1))
        compose_images "$file" >"$work/list.$lists" &
    done < <(find "$examples" -name 'compose*.y*ml' -o -name 'docker-compose*.y*ml' | sort)
    wait
    # What one service builds, others may run.
    cat /dev/null "$work"/list.* |
        awk -F'\t' '$2 == "!" { built[$1] = 1 } { line[NR] = $0; image[NR] = $1 }
            END { for (i = 1; i <= NR; i++) if (!(image[i] in built)) print line[i] }'
    while IFS= read -r file; do
        dockerfile_images "$file"
    done < <(find "$examples" -name 'Dockerfile*' -o -name '*.Dockerfile' | sort)
    printf 'busybox:1\t\n'
}

# --- pulling -----------------------------------------------------------------

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

# --- stand-ins ---------------------------------------------------------------

base=rscale-stand-in:base

# recipe IMAGE: images/<name>-<tag>/Dockerfile or images/<name>.sh, with / as -; empty if there is none.
recipe() {
    local full=${1//[\/:]/-} name=${1%%@*}
    case "${name##*/}" in *:*) name=${name%:*} ;; esac
    if [ "$1" = "$base" ]; then
        echo "$here/images/base.sh"
    elif [ -e "$here/images/$full/Dockerfile" ]; then
        echo "$here/images/$full/Dockerfile"
    elif [ "$name" != base ] && [ -e "$here/images/${name//\//-}.sh" ]; then
        echo "$here/images/${name//\//-}.sh"
    fi
}

# recipe_hash FILE: over all that makes the image, comments apart.
recipe_hash() {
    case "$1" in
        */Dockerfile) cat "${1%/*}"/* "$here/images/base.sh" ;;
        *) cat "$1" ;;
    esac | grep -v '^[[:space:]]*#' | sha256sum | cut -c 1-16
}

# state IMAGE: ready, stale (a stand-in whose recipe is another one by now) or missing.
state() {
    local labels file
    labels=$(docker image inspect --format \
        '{{index .Config.Labels "org.rscale.stand-in"}} {{index .Config.Labels "org.rscale.stand-in.recipe"}}' "$1" 2>/dev/null) ||
        { echo missing; return; }
    file=$(recipe "$1")
    case "$labels" in
        'true '*)
            if [ -z "$file" ] || [ "$labels" = "true $(recipe_hash "$file")" ]; then echo ready; else echo stale; fi
            ;;
        *) echo ready ;;
    esac
}

# For the recipes (and deb_unpack of lib.sh).
# is_stand_in IMAGE: it exists, and is one of ours, made by the present recipe.
is_stand_in() {
    [ "$(docker image inspect --format '{{index .Config.Labels "org.rscale.stand-in"}}' "$1" 2>/dev/null)" = true ] &&
        [ "$(state "$1")" = ready ]
}

# import FOLDER IMAGE [CHANGE...]: a folder becomes an image that is labelled as a stand-in.
import() {
    local folder=$1 image=$2 change
    shift 2
    local -a changes=(--change 'LABEL org.rscale.stand-in=true' --change "LABEL org.rscale.stand-in.recipe=$recipe_hash")
    for change in "$@"; do changes+=(--change "$change"); done
    tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -c . |
        docker import "${changes[@]}" - "$image" >/dev/null
}

# A recipe is a Dockerfile, or a script that is sourced with $image, $recipe_hash and an empty folder
# $work; it leaves $image in the engine, or returns 3 for a tag that it does not know. Never called in
# a condition, which would switch off set -e in the recipe, and only in a subshell.
stand_in() {
    local image=$1 file recipe_hash work=$work
    set -euo pipefail
    file=$(recipe "$image")
    if [ -z "$file" ]; then return 3; fi
    recipe_hash=$(recipe_hash "$file")
    work=$(mktemp -d -p "$work")
    chmod 755 "$work"
    case "$file" in
        */Dockerfile)
            quietly "$work/log" docker build --tag "$image" --label org.rscale.stand-in=true \
                --label "org.rscale.stand-in.recipe=$recipe_hash" "${file%/*}"
            ;;
        *)
            # shellcheck source=images/busybox.sh
            . "$file"
            ;;
    esac
}

# build IMAGE: in the background; leaves log, rc and how long it took in its folder of $work.
build() {
    local folder=$work/build.${1//[\/:]/-} began=$SECONDS rc
    mkdir -p "$folder"
    (
        exec 9>&-
        set +e
        (stand_in "$1") 2>"$folder/log"
        rc=$?
        echo "$((SECONDS - began))" >"$folder/seconds"
        echo "$rc" >"$folder/rc.new"
        mv "$folder/rc.new" "$folder/rc"
    ) &
}

built() { cat "$work/build.${1//[\/:]/-}/$2" 2>/dev/null; }

# below IMAGE: what its recipe starts from.
below() {
    local file
    file=$(recipe "$1")
    case "$file" in
        */Dockerfile) dockerfile_images "$file" | cut -f 1 | sort -u ;;
    esac
}

declare -A why=()     # why an image could not be pulled
declare -A status=()  # of stand-ins: wanted, running, or the exit status of the recipe
declare -A replaced=() # the ids of stale stand-ins

want() {
    local image=$1 other
    if [ -n "${status[$image]:-}" ]; then return; fi
    status[$image]=wanted
    order+=("$image")
    for other in $(below "$image"); do
        if [ -n "$(recipe "$other")" ] && [ "$(state "$other")" != ready ]; then want "$other"; fi
    done
}

# build_all IMAGE...: as many at a time as $jobs_limit, what they start from first.
build_all() {
    local image other running=0 free
    order=()
    for image in "$@"; do want "$image"; done
    for image in "${order[@]}"; do
        replaced[$image]=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || true)
    done
    while :; do
        for image in "${order[@]}"; do
            if [ "${status[$image]}" = running ] && [ -n "$(built "$image" rc)" ]; then
                status[$image]=$(built "$image" rc)
                running=$((running - 1))
                if [ "${status[$image]}" = 0 ]; then
                    say "built a stand-in for $image ($(built "$image" seconds) s)"
                else
                    built "$image" log >&2
                fi
            fi
        done
        for image in "${order[@]}"; do
            if [ "${status[$image]}" != wanted ] || [ "$running" -ge "$jobs_limit" ]; then continue; fi
            free=yes
            for other in $(below "$image"); do
                case "${status[$other]:-0}" in
                    0) ;;
                    wanted | running) free=no ;;
                    *) status[$image]=below ;;
                esac
            done
            if [ "${status[$image]}" = wanted ] && [ "$free" = yes ]; then
                status[$image]=running
                running=$((running + 1))
                build "$image"
            fi
        done
        if [ "$running" = 0 ]; then
            # Images above a failed one were given up one round after it.
            case " ${status[*]} " in *' wanted '*) continue ;; esac
            break
        fi
        wait -n 2>/dev/null || true
    done
    for image in "${order[@]}"; do
        if [ "${status[$image]}" = 0 ] && [ -n "${replaced[$image]}" ]; then
            docker image rm "${replaced[$image]}" >/dev/null 2>&1 || true
        fi
    done
    docker image prune --force --filter label=org.rscale.stand-in.stage >/dev/null 2>&1 || true
}

# --- all of it ---------------------------------------------------------------

work=

main() {
    local image profiles line registry=yes failed=0
    local -a order=() names=() missing=() unpulled=()
    local -A optional=() # images that only profiles need, with the names of these
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if [ $# = 0 ]; then
        while IFS=$'\t' read -r image profiles; do
            if [ -z "$image" ]; then continue; fi
            if [ -z "$profiles" ]; then
                optional[$image]=''
            elif [ -z "${optional[$image]+known}" ] || [ -n "${optional[$image]}" ]; then
                optional[$image]="${optional[$image]:+${optional[$image]} }$profiles"
            fi
        done < <(examples_images)
        while IFS= read -r image; do names+=("$image"); done < <(printf '%s\n' "${!optional[@]}" | sort)
    else
        names=("$@")
    fi

    for image in "${names[@]}"; do
        if [ "$(state "$image")" != ready ]; then missing+=("$image"); fi
    done
    if [ "${#missing[@]}" = 0 ]; then return; fi
    if ! docker info >/dev/null 2>&1; then
        die 1 "no Docker engine answers" "$here/engine.sh up"
    fi
    lock images

    # What nothing needs by default is not worth asking for at every run.
    if [ -n "$(find "$cache/no-registry" -mmin "-$ask_again" 2>/dev/null)" ]; then
        registry=no
        for image in "${missing[@]}"; do
            if [ -z "${optional[$image]:-}" ]; then registry=yes; fi
        done
    fi
    for image in "${missing[@]}"; do
        # Another copy of this script may have made it by now.
        if [ "$(state "$image")" = ready ]; then continue; fi
        why[$image]='no registry answers'
        if [ "$registry" = yes ]; then
            say "pulling $image"
            pull "$image" && continue
            if [ $? = 1 ]; then
                why[$image]=$(tail -n 1 "$work/pull")
            else
                say "no registry answers"
                registry=no
                touch "$cache/no-registry"
            fi
        fi
        unpulled+=("$image")
    done
    if [ "$registry" = yes ]; then rm -f "$cache/no-registry"; fi
    if [ "${#unpulled[@]}" = 0 ]; then return; fi

    build_all "${unpulled[@]}"
    for image in "${unpulled[@]}"; do
        profiles=$(printf '%s' "${optional[$image]:-}" | tr ' ' '\n' | sort -u | paste -s -d ' ')
        case "${status[$image]}" in
            0) continue ;;
            3) line="${why[$image]}, and there is no stand-in for it" ;;
            below) line="${why[$image]}, and what its stand-in starts from could not be built" ;;
            *) line="${why[$image]}, and its stand-in could not be built" ;;
        esac
        if [ -n "$profiles" ]; then
            case "$profiles" in
                *' '*) line="$line; only the profiles $profiles need it" ;;
                *) line="$line; only the profile $profiles needs it" ;;
            esac
            say "$image is left out: $line"
        else
            say "no $image: $line"
            failed=1
        fi
    done
    return "$failed"
}

main "$@"
