#!/bin/sh
# As in the real image: the default user may come from outside, and root becomes rabbitmq.
set -e
if [ "$1" = rabbitmq-server ]; then
    {
        echo 'loopback_users = none'
        if [ -n "${RABBITMQ_DEFAULT_USER:-}" ]; then echo "default_user = $RABBITMQ_DEFAULT_USER"; fi
        if [ -n "${RABBITMQ_DEFAULT_PASS:-}" ]; then echo "default_pass = $RABBITMQ_DEFAULT_PASS"; fi
        if [ -n "${RABBITMQ_DEFAULT_VHOST:-}" ]; then echo "default_vhost = $RABBITMQ_DEFAULT_VHOST"; fi
    } >/etc/rabbitmq/conf.d/10-defaults.conf
    if [ "$(id -u)" = 0 ]; then
        find /var/lib/rabbitmq /etc/rabbitmq ! -user rabbitmq -exec chown rabbitmq {} +
        exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$@"
    fi
fi
exec "$@"
