#!/bin/sh
# As in the real image: options alone are for redis-server, root becomes redis, and there is no
# protected mode, which Debian's build has, unless something is said about it.
set -e
case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    case "$* " in
        *protected-mode* | *' --version '* | *' -v '* | *' --help '* | *' -h '*) ;;
        *)
            if ! [ -f "${2:-}" ] || ! grep -q '^[[:space:]]*protected-mode' "$2"; then
                set -- "$@" --protected-mode no
            fi
            ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        find . ! -user redis -exec chown redis {} +
        exec setpriv --reuid=redis --regid=redis --init-groups "$@"
    fi
fi
exec "$@"
