#!/bin/sh
# Installs the listed packages into the image and adds the desktop's user. Needs no network when all are there.
set -eu
export DEBIAN_FRONTEND=noninteractive
packages=$(cat "$@")
apt_get() { apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Dpkg::Use-Pty=0 -qq "$@"; }

# shellcheck disable=SC2086 # a list of words
if apt_get update; then
  apt_get upgrade -y
  apt_get install -y --no-install-recommends $packages
elif ! dpkg -s $packages >/dev/null 2>&1; then
  echo 'No package mirror answers and packages are missing: check the network and build again.' >&2
  exit 1
fi

useradd --uid 1000 --user-group --create-home --home-dir /home/user --shell /bin/bash user
install -d -m 1733 /run/rfb
# Names for any uid: the start script writes them, in memory, as the root file system can't be written.
sed -i -E 's/^(passwd|group):\s+files/&  extrausers/' /etc/nsswitch.conf
for name in passwd group; do ln -sf "/tmp/.$name" "/var/lib/extrausers/$name"; done
