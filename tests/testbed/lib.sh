# shellcheck shell=bash
# Shared by the scripts of this folder; sourced, never run.

# shellcheck disable=SC2034 # used by the scripts
cache=${RSCALE_TESTBED_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/rscale-testbed}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# die STATUS MESSAGE [HINT]: the hint is something that can be typed.
die() {
    say "$2"
    if [ $# -gt 2 ]; then printf '  %s\n' "$3" >&2; fi
    exit "$1"
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" = 0 ]; }

# quietly LOGFILE COMMAND...: the output goes to the log, its end is shown on failure.
quietly() {
    local log=$1 rc=0
    shift
    "$@" >"$log" 2>&1 </dev/null || rc=$?
    if [ "$rc" != 0 ]; then tail -n 15 "$log" >&2; fi
    return "$rc"
}

# lock NAME: one copy at a time, until this process ends. What is started in
# the background has to close descriptor 9, or it keeps the lock.
lock() {
    mkdir -p "$cache"
    if have flock; then
        exec 9>"$cache/$1.lock"
        if ! flock -n 9; then
            say "waiting for another copy of this script"
            flock 9
        fi
    fi
}

# apt_install PACKAGE...: `apt-get update` only when the known lists do not do.
apt_install() {
    local log=$cache/apt.log
    local -x DEBIAN_FRONTEND=noninteractive
    local -a install=(apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300)
    if ! "${install[@]}" "$@" >"$log" 2>&1 </dev/null 9>&-; then
        quietly "$log" apt-get update -q || return 1
        quietly "$log" "${install[@]}" "$@" 9>&- || return 1
    fi
}

# apt_version PACKAGE [APT-OPTION...]: the version that apt would install, empty if none.
apt_version() {
    local package=$1
    shift
    LC_ALL=C apt-cache "$@" policy "$package" 2>/dev/null |
        sed -n 's/^ *Candidate: //p' | sed 's/^(none)$//; s/^[0-9]*://'
}

# deb_unpack FOLDER PACKAGE...: the files of packages, nothing is installed.
deb_unpack() {
    local to=$1 debs
    shift
    if ! have apt-get || ! have dpkg; then
        say "unpacking Debian packages needs apt-get and dpkg"
        return 1
    fi
    debs=$(mktemp -d -p "$cache")
    if ! (cd "$debs" && apt-get download -q -o APT::Sandbox::User=root "$@") >"$debs/log" 2>&1; then
        if is_root; then quietly "$debs/log" apt-get update -q || true; fi
        (cd "$debs" && quietly log apt-get download -q -o APT::Sandbox::User=root "$@") ||
            { rm -rf "$debs"; return 1; }
    fi
    mkdir -p "$to"
    local deb rc=0
    for deb in "$debs"/*.deb; do dpkg -x "$deb" "$to" || rc=1; done
    rm -rf "$debs"
    return "$rc"
}
