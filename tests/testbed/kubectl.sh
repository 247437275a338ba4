#!/usr/bin/env bash
# The kubectl of the tests on Kubernetes; see README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=suite.sh
. "$here/suite.sh"

to=$cache/kubectl

if [ $# -gt 0 ]; then
    echo 'kubectl.sh    print the path of a kubectl, fetched at the first call' >&2
    exit 2
fi

# Runs as any kubectl does that rscale works with: 1.20 and newer.
works() { "$1" version --client 2>/dev/null | grep -Eq 'v1\.(2[0-9]|[3-9][0-9])\.'; }

# The package's name has changed after trixie.
fetch() {
    local work=$1 suite package
    for suite in sid trixie bookworm; do
        rm -rf "$work/apt"
        use_suite "$work/apt" "$suite" || continue
        for package in kubectl kubernetes-client; do
            if [ -z "$(apt_version "$package" "${apt_options[@]}")" ]; then continue; fi
            rm -rf "$work/apt/debs" "$work/apt/tree"
            unpack_from_suite "$work/apt" "$package" || continue
            if works "$work/apt/tree/usr/bin/kubectl"; then return; fi
        done
    done
    die 1 "no kubectl in Debian sid, trixie or bookworm"
}

if [ -n "${RSCALE_E2E_KUBECTL+set}" ]; then
    echo "$RSCALE_E2E_KUBECTL"
    exit
fi
if ! [ -x "$to/kubectl" ]; then
    lock kubectl
fi
if ! [ -x "$to/kubectl" ]; then # else another copy of this script was faster
    if [ "$(uname -s)" != Linux ] || ! have apt-get || ! have dpkg; then
        die 4 "kubectl is taken out of a Debian package, which needs apt-get and dpkg; name one that is here" \
            "RSCALE_E2E_KUBECTL=\$(command -v kubectl) make test"
    fi
    work=$(mktemp -d -p "$cache")
    trap 'rm -rf "$work"' EXIT
    say "fetching kubectl"
    fetch "$work"
    mkdir -p "$to"
    mv "$work/apt/tree/usr/bin/kubectl" "$to/.kubectl.$$"
    mv -f "$to/.kubectl.$$" "$to/kubectl"
    say "kubectl $("$to/kubectl" version --client 2>/dev/null | sed -n 's/^Client Version: //p') is in $to"
fi
echo "$to/kubectl"
