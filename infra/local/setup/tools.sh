#!/bin/sh
# Before a bench, an experiment or an image: the servers that it runs must be installed. Arguments name tools
# that only this script needs, each of which is a package of its own name:
# `sh infra/local/setup/tools.sh websockify`.
set -eu
cd "$(dirname "$0")/../../.."
. infra/local/setup/npm.sh
. infra/local/setup/packages.sh

install_npm_packages
for tool in "$@"; do
  packages="$packages
$tool $tool this script"
done
install_debian_packages
