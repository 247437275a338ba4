#!/usr/bin/env bash
# Swarms of Docker engines on one machine, which never touch the default engine; see README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

images=(busybox:1) # copied from the default engine to every node

usage() {
    cat <<'END'
swarm.sh up SWARM NODES     start swarm number SWARM (0 to 99) with so many nodes (1 to 9), print a line for each:
                            name, address, socket, process; the first is the manager
swarm.sh down SWARM         end it and remove what it left
swarm.sh hold NODES         `up` with the first number that nobody holds, `down` once standard input ends
END
}

# name_things SWARM: an own network for each swarm. Its bridge has a namespace of its own as well: the default
# engine's FORWARD policy would drop what passes over it.
name_things() {
    swarm=$1
    net=10.213.$swarm
    link=rscale-sw$swarm
    base=$cache/swarm/$swarm
}

bridge_up() {
    ip netns add "$link"
    ip -n "$link" link add br0 type bridge
    ip -n "$link" link set br0 up
    ip link add "$link" type veth peer name host netns "$link"
    ip -n "$link" link set host master br0 up
    ip addr add "$net.1/24" dev "$link"
    ip link set "$link" up
}

# In namespaces for everything but users: what ends the first process ends the whole node. nsenter, not
# `ip netns exec`, which remounts /sys and hides the cgroups. A resolv.conf on loopback spares each start a long
# look-up of registries.
node_up() {
    local n=$1 dir=$base/$1 name=$link-$1 address=$net.1$1
    mkdir -p "$dir"/{data,exec,cgroup}
    ip netns add "$name"
    ip -n "$link" link add "p$n" type veth peer name eth0 netns "$name"
    ip -n "$link" link set "p$n" master br0 up
    ip -n "$name" addr add "$address/24" dev eth0
    ip -n "$name" link set eth0 up
    ip -n "$name" link set lo up
    ip -n "$name" route add default via "$net.1"
    echo 'nameserver 127.0.0.1' >"$dir/resolv.conf"
    # shellcheck disable=SC2016 # expanded in there
    PATH=$PATH:/usr/sbin:/sbin setsid nsenter --net="/run/netns/$name" \
        unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc --propagation private bash -c '
            set -e
            dir=$1 name=$2 net=$3 n=$4 cgroup=$5
            mount -t tmpfs tmpfs /run
            mount --rbind /sys/fs/cgroup "$dir/cgroup"
            mount -t sysfs sysfs /sys
            mount --rbind "$dir/cgroup" /sys/fs/cgroup
            resolv=$(readlink -m /etc/resolv.conf)
            mkdir -p "$(dirname "$resolv")"
            if ! [ -e "$resolv" ]; then : >"$resolv"; fi
            mount --bind "$dir/resolv.conf" "$resolv"
            hostname "$name"
            exec dockerd --config-file "$dir/none.json" --data-root "$dir/data" --exec-root "$dir/exec" \
                --host "unix://$dir/docker.sock" --pidfile "$dir/dockerd.pid" --cgroup-parent "$cgroup" \
                --default-address-pool "base=172.3$n.0.0/16,size=24" --bip "172.2$n.0.1/24"
        ' node "$dir" "node$n" "$net" "$n" "/$link" >"$dir/dockerd.log" 2>&1 </dev/null 9>&- &
    echo $! >"$dir/pid"
    echo '{}' >"$dir/none.json"
    local end=$((SECONDS + 60))
    until docker_at "$n" info >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then
            tail -n 5 "$dir/dockerd.log" >&2
            die 1 "node $n of swarm $swarm does not answer"
        fi
        sleep 0.1
    done
    docker_at "$n" load --quiet <"$base/images.tar" >/dev/null 9>&-
}

docker_at() {
    local n=$1
    shift
    docker --host "unix://$base/$n/docker.sock" "$@"
}

# Slim installations of Debian have no iproute2.
ensure_ip() {
    if have ip || [ -x /sbin/ip ] || ! have apt-get || ! is_root; then return; fi
    say "installing iproute2"
    apt_install iproute2 || die 1 "apt could not install iproute2"
}

up() {
    local count=$1 n waits=() token
    ensure_ip
    for n in docker dockerd ip nsenter unshare; do
        if ! have "$n" && ! [ -x "/usr/sbin/$n" ] && ! [ -x "/sbin/$n" ]; then
            die 4 "$n is not installed" "sudo apt-get install -y docker.io iproute2 util-linux"
        fi
    done
    if ! is_root; then die 4 "own network namespaces need root" "sudo $here/swarm.sh up $swarm $count"; fi
    clear
    mkdir -p "$base"
    docker save --output "$base/images.tar" "${images[@]}"
    bridge_up
    for n in $(seq "$count"); do
        node_up "$n" &
        waits+=($!)
    done
    for n in "${waits[@]}"; do wait "$n"; done
    # A node that does not answer is down after three heartbeats.
    docker_at 1 swarm init --advertise-addr "$net.11" --data-path-addr "$net.11" --dispatcher-heartbeat 1s >/dev/null
    token=$(docker_at 1 swarm join-token --quiet worker)
    for n in $(seq 2 "$count"); do
        docker_at "$n" swarm join --token "$token" --advertise-addr "$net.1$n" --data-path-addr "$net.1$n" \
            "$net.11:2377" >/dev/null
    done
    for n in $(seq "$count"); do
        printf 'node%s\t%s.1%s\tunix://%s/%s/docker.sock\t%s\n' "$n" "$net" "$n" "$base" "$n" "$(cat "$base/$n/pid")"
    done
}

# Everything that a swarm of this number left, also after it was killed.
clear() {
    local dir pid n name
    for dir in "$base"/[1-9]; do
        pid=$(cat "$dir/pid" 2>/dev/null) || continue
        # The number of a process is given again; this one has the node's folder in its command line.
        if tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$dir"; then
            kill -KILL "$pid" 2>/dev/null || true
            while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
        fi
    done
    for n in "" -1 -2 -3 -4 -5 -6 -7 -8 -9; do
        name=$link$n
        if [ -e "/run/netns/$name" ]; then
            # What is left of a node whose first process was killed.
            for pid in $(ip netns pids "$name"); do kill -KILL "$pid" 2>/dev/null || true; done
            ip netns del "$name" 2>/dev/null || true
        fi
    done
    ip link del "$link" 2>/dev/null || true
    local end=$((SECONDS + 10))
    until rm -rf "$base" 2>/dev/null; do
        if [ "$SECONDS" -ge "$end" ]; then die 1 "$base cannot be removed"; fi
        sleep 0.1
    done
    find /sys/fs/cgroup -depth -type d -path "*/$link*" -exec rmdir {} + 2>/dev/null || true
}

hold() {
    local count=$1 number
    if ! have flock; then die 4 "flock is not installed" "sudo apt-get install -y util-linux"; fi
    mkdir -p "$cache/swarm"
    for number in $(seq 0 99); do
        exec 9>"$cache/swarm/$number.lock"
        if flock -n 9; then break; fi
    done
    name_things "$number"
    # Ctrl-C ends what holds the swarm, and with that standard input.
    trap '' INT TERM HUP
    trap clear EXIT
    up "$count"
    exec >&-
    cat >/dev/null
}

number() {
    case "$1" in
        '' | *[!0-9]*) return 1 ;;
        *) [ "$1" -ge "$2" ] && [ "$1" -le "$3" ] ;;
    esac
}

case "${1:-} $#" in
    'up 3')
        if ! number "$2" 0 99 || ! number "$3" 1 9; then usage >&2; exit 2; fi
        name_things "$2"
        up "$3"
        ;;
    'down 2')
        if ! number "$2" 0 99; then usage >&2; exit 2; fi
        name_things "$2"
        clear
        ;;
    'hold 2')
        if ! number "$2" 1 9; then usage >&2; exit 2; fi
        hold "$2"
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac
