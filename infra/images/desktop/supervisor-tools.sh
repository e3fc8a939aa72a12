#!/bin/sh
# Installs the Go compiler that builds the supervisor. It is in no image that runs.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt_get() { apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Dpkg::Use-Pty=0 -qq "$@"; }

if command -v go >/dev/null; then exit; fi
if apt_get update && apt_get install -y --no-install-recommends golang-go; then exit; fi
echo 'The Go compiler is missing and no package mirror answers: check the network and build again.' >&2
exit 1
