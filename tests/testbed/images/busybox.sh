# shellcheck shell=bash
# A stand-in for busybox out of the package busybox-static; sourced by images.sh.
# shellcheck disable=SC2154 # $image and $work come from there
case "${image##*:}" in
    1 | latest | busybox) ;;
    *) return 3 ;;
esac
for other in busybox:1 busybox:latest; do
    if [ "$other" != "$image" ] && is_stand_in "$other"; then
        docker tag "$other" "$image"
        return 0
    fi
done

deb_unpack "$work/deb" busybox-static
root=$work/root
mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,usr/sbin,var/tmp,var/run,var/www}
chmod 1777 "$root/tmp" "$root/var/tmp"
chmod 700 "$root/root"
# Debian has it in bin or, since trixie, in usr/bin.
for file in "$work"/deb/bin/busybox "$work"/deb/usr/bin/busybox; do
    if [ -f "$file" ]; then cp "$file" "$root/bin/busybox"; fi
done
for applet in $("$root/bin/busybox" --list); do
    if [ "$applet" != busybox ]; then ln "$root/bin/busybox" "$root/bin/$applet"; fi
done
ln "$root/bin/busybox" "$root/usr/bin/env"

cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
END
cat >"$root/etc/group" <<'END'
root:x:0:
daemon:x:1:
www-data:x:33:
nobody:x:65534:
END
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >"$root/etc/hosts"

import "$root" "$image" 'CMD ["sh"]' \
    'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
