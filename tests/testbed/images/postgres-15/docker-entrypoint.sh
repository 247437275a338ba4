#!/bin/sh
# As in the real image: root becomes postgres, and an empty data folder is made into a cluster with the
# user, the password, the database and the scripts that are given.
set -e
case "${1:-}" in -*) set -- postgres "$@" ;; esac
if [ "${1:-}" != postgres ]; then exec "$@"; fi

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if ! [ -s "$PGDATA/PG_VERSION" ]; then
    # NAME_FILE names a file that has the value.
    for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_INITDB_ARGS; do
        eval "file=\${${name}_FILE:-}"
        # shellcheck disable=SC2154 # set by eval
        if [ -n "$file" ]; then export "$name=$(cat "$file")"; fi
    done
    export POSTGRES_USER="${POSTGRES_USER:-postgres}"
    export POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo 'Error: Database is uninitialized and superuser password is not specified; set POSTGRES_PASSWORD' >&2
        exit 1
    fi
    password=$(mktemp)
    printf '%s\n' "${POSTGRES_PASSWORD:-}" >"$password"
    # Inside, no password is asked for; from outside, it is.
    # shellcheck disable=SC2086 # options
    initdb --username="$POSTGRES_USER" ${POSTGRES_PASSWORD:+--pwfile="$password"} -D "$PGDATA" ${POSTGRES_INITDB_ARGS:-}
    rm -f "$password"
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

    sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password -U "$POSTGRES_USER" "$@"; }
    export PGPASSWORD="${POSTGRES_PASSWORD:-}"
    # Nobody outside sees this server.
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -p ${PGPORT:-5432}" start
    if [ "$POSTGRES_DB" != postgres ]; then
        printf 'CREATE DATABASE :"db";\n' | sql --dbname postgres -v db="$POSTGRES_DB"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh)
                echo "running $file"
                # shellcheck disable=SC1090 # the user's
                if [ -x "$file" ]; then "$file"; else . "$file"; fi
                ;;
            *.sql) echo "running $file"; sql --dbname "$POSTGRES_DB" -f "$file" ;;
            *.sql.gz) echo "running $file"; gunzip -c "$file" | sql --dbname "$POSTGRES_DB" ;;
            *'*') ;;
            *) echo "ignoring $file" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    echo 'PostgreSQL init process complete; ready for start up.'
fi
exec "$@"
