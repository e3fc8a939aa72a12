#!/bin/sh
# Puts into /system what a running service needs besides its own files: Node, tini, the two programs by which
# a worker bounds its forks, and the libraries that they and npm's binaries load. No shell, no package
# manager. Works in any Debian.
set -eu

node=$(command -v node)
programs="$node /usr/bin/tini /usr/bin/setpriv /usr/bin/prlimit /usr/bin/true"
mkdir -p /system/tmp /system/etc
chmod 1777 /system/tmp
printf 'root:x:0:0::/:/none\nnode:x:1000:1000::/tmp:/none\n' >/system/etc/passwd
printf 'root:x:0:\nnode:x:1000:\n' >/system/etc/group
printf 'hosts: files dns\n' >/system/etc/nsswitch.conf

# shellcheck disable=SC2086 # a list of paths
set -- $(ldd $programs | grep -o '/[^ :]*\.so[^ :]*' | sort -u)
libc=$(printf '%s\n' "$@" | grep '/libc\.so')
# Of the same library; sharp and workerd need it.
set -- "$@" "$(dirname "$libc")/libresolv.so.2" "$(dirname "$libc")/librt.so.1"
# shellcheck disable=SC2086
cp --parents --dereference $programs "$@" /system
# workerd trusts the system's certificates; Node has a list of its own.
cp --parents --dereference /etc/ssl/certs/ca-certificates.crt /system
# Symbols for debuggers are a fifth of the file.
strip --strip-unneeded "/system$node"
