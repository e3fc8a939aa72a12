#!/bin/sh
# Before `npm start`: installs what it can, and names the rest with its remedy; the stack runs without it.
set -eu
cd "$(dirname "$0")/../../.."
. infra/local/setup/npm.sh
. infra/local/setup/packages.sh

install_npm_packages
install_debian_packages || true
