#!/bin/sh
# Before `npm run test:images`: the tools of tests, and Docker Compose where the engine has no such plug-in.
set -eu
cd "$(dirname "$0")/../../.."
. infra/local/setup/npm.sh
. infra/local/setup/packages.sh

install_npm_packages
docker compose version >/dev/null 2>&1 || packages="$packages
docker-compose docker-compose the topology of self-hosting"
install_debian_packages
