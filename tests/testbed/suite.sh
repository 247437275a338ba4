# shellcheck shell=bash
# Packages of other Debian suites than the machine's, without installing them; sourced after lib.sh, never run.

# The address of the Debian archive that this machine uses.
debian_mirror() {
    if [ -n "${RSCALE_TESTBED_MIRROR:-}" ]; then
        echo "$RSCALE_TESTBED_MIRROR"
        return
    fi
    local id='' codename=''
    if [ -r /etc/os-release ]; then
        id=$(. /etc/os-release && echo "${ID:-}")
        codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
    fi
    if [ "$id" != debian ]; then return; fi
    {
        apt-get indextargets --format "\$(ORIGIN)|\$(CREATED_BY)|\$(COMPONENT)|\$(CODENAME)|\$(SITE)"
        # That says nothing as long as no package lists have been fetched.
        apt-get update --print-uris | sed -n "s,^'\(.*\)/dists/$codename/InRelease'.*,likely||||\1,p"
    } 2>/dev/null | awk -F'|' '
        $1 == "likely" { likely = likely ? likely : $5 }
        $1 == "Debian" && $2 == "Packages" && $3 == "main" && $4 !~ /-/ { sure = sure ? sure : $5 }
        END { print sure ? sure : likely }'
}

# use_suite FOLDER SUITE: sets apt_options so that apt sees only that Debian
# suite, with all of apt's state in FOLDER; the machine's own sources and lists
# stay as they are. Lists past their date are fine: the versions are known ones.
use_suite() {
    local folder=$1 suite=$2 mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=$(debian_mirror)
    if [ -z "$mirror" ]; then
        die 4 "this machine has no Debian package sources" "RSCALE_TESTBED_MIRROR=<address of a Debian archive> make test"
    fi
    mkdir -p "$folder/lists/partial" "$folder/archives/partial"
    : >"$folder/status"
    apt_options=(-o "Dir::State::Lists=$folder/lists" -o "Dir::State::status=$folder/status"
        -o "Dir::Cache=$folder" -o "Dir::Etc::SourceList=$folder/sources.list"
        -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o APT::Default-Release= -o APT::Sandbox::User=root
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false)
    if ! [ -r "$keyring" ]; then
        deb_unpack "$folder/keyring" debian-archive-keyring && keyring=$folder/keyring$keyring
    fi
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$folder/sources.list"
    if private_update "$folder"; then return; fi
    if grep -q NO_PUBKEY "$folder/log"; then
        # An older keyring: this release may offer a newer one.
        if deb_unpack "$folder/keyring" debian-archive-keyring 2>/dev/null; then
            keyring=$folder/keyring/usr/share/keyrings/debian-archive-keyring.gpg
            echo "deb [signed-by=$keyring] $mirror $suite main" >"$folder/sources.list"
            if private_update "$folder"; then return; fi
        fi
        if grep -q NO_PUBKEY "$folder/log"; then
            say "the Debian keyring has no key for $suite: its packages are taken unverified"
            echo "deb [trusted=yes] $mirror $suite main" >"$folder/sources.list"
            if private_update "$folder"; then return; fi
        fi
    fi
    grep -m 1 '^E:' "$folder/log" >&2 || true
    return 1
}

# apt-get update reports some failures as warnings only; Error-Mode makes them count.
private_update() {
    LC_ALL=C apt-get "${apt_options[@]}" -o APT::Update::Error-Mode=any -q update >"$1/log" 2>&1 </dev/null
}

# unpack_from_suite FOLDER PACKAGE...: into FOLDER/tree
unpack_from_suite() {
    local folder=$1 deb
    shift
    mkdir -p "$folder/debs"
    (cd "$folder/debs" && quietly ../log apt-get "${apt_options[@]}" -q download "$@") || return 1
    for deb in "$folder/debs"/*.deb; do dpkg -x "$deb" "$folder/tree" || return 1; done
}
