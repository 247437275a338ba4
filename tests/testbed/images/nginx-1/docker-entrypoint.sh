#!/bin/sh
# As in the real image: templates become configuration with the environment filled in, and the scripts
# of /docker-entrypoint.d run, before nginx starts.
set -e
if [ "$1" = nginx ]; then
    names=$(awk 'BEGIN { for (name in ENVIRON) printf "${%s} ", name }')
    from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
    find "$from" -name '*.template' 2>/dev/null | while IFS= read -r file; do
        to=${file#"$from/"}
        to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}/${to%.template}
        mkdir -p "$(dirname "$to")"
        envsubst "$names" <"$file" >"$to"
    done
    for file in /docker-entrypoint.d/*.sh; do
        if [ -x "$file" ]; then "$file"; fi
    done
fi
exec "$@"
