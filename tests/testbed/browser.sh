#!/usr/bin/env bash
# A browser for the tests of the pages that rscale writes; see README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

if [ $# -gt 0 ]; then
    echo 'browser.sh    make sure that Chromium is there' >&2
    exit 2
fi
if [ -n "${RSCALE_E2E_BROWSER+set}" ]; then exit; fi
for name in chromium chromium-browser google-chrome chrome; do
    if have "$name"; then exit; fi
done
lock browser
if have chromium; then exit; fi # another copy of this script was faster
if ! have apt-get || [ -z "$(apt_version chromium)" ]; then
    if is_root && have apt-get; then quietly "$cache/apt.log" apt-get update -q || true; fi
fi
if ! have apt-get || [ -z "$(apt_version chromium)" ]; then
    die 4 "no browser for the tests of pages; install Chromium or Chrome by hand, or go without" \
        "RSCALE_E2E_BROWSER= make test"
fi
if ! is_root; then
    die 4 "no browser for the tests of pages; installing one needs root" "sudo apt-get install -y chromium"
fi
say "installing chromium"
apt_install chromium || die 1 "apt could not install chromium"
