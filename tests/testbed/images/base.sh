# shellcheck shell=bash
# rscale-stand-in:base, the Debian bookworm below the stand-ins that are Dockerfiles; sourced by
# images.sh. Package lists stay in it; `stand-in-install` uses and removes them.
# shellcheck disable=SC2154 # $image, $work, $here and $recipe_hash come from there

# The machine's own Debian archives, as lines of a sources.list.
debian_sources() {
    local site security='' from
    from=$(apt-get indextargets --format "\$(ORIGIN)|\$(LABEL)|\$(COMPONENT)|\$(CODENAME)|\$(SITE)" 2>/dev/null || true)
    site=${RSCALE_TESTBED_MIRROR:-$(awk -F'|' '$1 == "Debian" && $3 == "main" && $4 !~ /-/ { print $5; exit }' <<<"$from")}
    security=$(awk -F'|' '$2 == "Debian-Security" && $3 == "main" { print $5; exit }' <<<"$from")
    if [ -z "$site" ]; then
        # That says nothing as long as no package lists have been fetched.
        from=$(apt-get update --print-uris 2>/dev/null | sed -n "s,^'\(.*\)/dists/\([^/]*\)/InRelease'.*,\2|\1,p")
        from=$(grep -E '/debian(-security)?$' <<<"$from" || true)
        site=$(awk -F'|' '$1 !~ /-/ { print $2; exit }' <<<"$from")
        security=$(awk -F'|' '$1 ~ /-security$/ { print $2; exit }' <<<"$from")
    fi
    if [ -z "$site" ]; then return 1; fi
    echo "deb $site bookworm main"
    if [ -n "$security" ]; then
        echo "deb $site bookworm-updates main"
        echo "deb $security bookworm-security main"
    fi
}

# What apt, pip and npm need here to reach their archives, in a folder that goes into the image. An
# address on the machine itself would not be the same one inside a container.
machine_settings() {
    local to=$1 key value
    mkdir -p "$to/etc/apt/apt.conf.d" "$to/usr/local/share/ca-certificates" "$to/usr/local/etc"
    if have apt-config; then
        apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|https?::.*Proxy) ' |
            grep -v -E 'localhost|127\.0\.0\.|::1' >"$to/etc/apt/apt.conf.d/90machine" || true
    fi
    if [ -r "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ]; then
        cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$to/usr/local/share/ca-certificates/machine.crt"
    fi
    for key in index-url extra-index-url trusted-host; do
        value=$( (pip3 config list || pip config list) 2>/dev/null |
            sed -n "s/^\(global\|install\|:env:\)\.$key='\(.*\)'$/\2/p" | tail -n 1)
        case "$value" in
            '' | *localhost* | *127.0.0.* | *file:*) ;;
            *) printf '[global]\n%s = %s\n' "$key" "$value" ;;
        esac
    done | awk '!(/^\[/ && seen++)' >"$to/etc/pip.conf"
    if [ ! -s "$to/etc/pip.conf" ]; then rm "$to/etc/pip.conf"; fi
    if have npm; then
        value=$(npm config get registry 2>/dev/null || true)
        case "$value" in
            '' | undefined | *localhost* | *127.0.0.*) ;;
            *) echo "registry=$value" >"$to/usr/local/etc/npmrc" ;;
        esac
    fi
}

if ! have apt-get; then
    say "stand-ins are built from Debian packages: that needs Debian or Ubuntu, or a registry that answers"
    return 1
fi
if ! have mmdebstrap || ! [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
    if ! is_root; then
        say "mmdebstrap is missing: sudo apt-get install -y mmdebstrap debian-archive-keyring"
        return 1
    fi
    apt_install mmdebstrap debian-archive-keyring
fi
sources=()
while IFS= read -r line; do sources+=("$line"); done < <(debian_sources)
if [ "${#sources[@]}" = 0 ]; then
    say "this machine has no Debian package sources: RSCALE_TESTBED_MIRROR=<address of a Debian archive> $here/images.sh"
    return 1
fi

root=$work/root
machine_settings "$root"
mkdir -p "$root/usr/local/sbin"
cat >"$root/usr/local/sbin/stand-in-install" <<'END'
#!/bin/sh
# Installs packages, with the lists of the base when they still do.
export DEBIAN_FRONTEND=noninteractive
set -e
install() { apt-get install -y -q --no-install-recommends "$@"; }
install "$@" || { apt-get update -q && install "$@"; }
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
END
chmod 755 "$root/usr/local/sbin/stand-in-install"
tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$work/settings.tar" etc usr

# In memory where there is room.
scratch=$work
if [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 1500000 ] 2>/dev/null && [ -w /dev/shm ]; then
    scratch=/dev/shm
fi

bundle=/etc/ssl/certs/ca-certificates.crt
make_base() {
    # shellcheck disable=SC2016 # $1 is of the hook
    TMPDIR=$scratch mmdebstrap --variant=minbase --include=ca-certificates \
        --skip=cleanup/apt/lists \
        --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::GzipIndexes "true"' \
        --aptopt='Apt::AutoRemove::SuggestsImportant "false"' \
        --aptopt='Dir::Cache::pkgcache ""' \
        --aptopt='Dir::Cache::srcpkgcache ""' \
        --aptopt='DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb || true"; }' \
        --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-include=/usr/share/locale/locale.alias' \
        --customize-hook="tar-in $work/settings.tar /" \
        --customize-hook='chroot "$1" update-ca-certificates' \
        bookworm - "${sources[@]}" |
        docker import --change 'LABEL org.rscale.stand-in=true' \
            --change "LABEL org.rscale.stand-in.recipe=$recipe_hash" \
            --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
            --change "ENV SSL_CERT_FILE=$bundle REQUESTS_CA_BUNDLE=$bundle PIP_CERT=$bundle NODE_EXTRA_CA_CERTS=$bundle" \
            --change 'CMD ["bash"]' - >"$work/id"
}
# The name only when all went well: docker import takes half a tree as well.
if ! quietly "$work/log" make_base; then
    say "no Debian tree from ${sources[0]}; another archive: RSCALE_TESTBED_MIRROR=<its address> $here/images.sh"
    return 1
fi
docker tag "$(tail -n 1 "$work/id")" "$image"
