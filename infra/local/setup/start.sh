#!/bin/sh
# Before `npm start`: what can be had is installed; the rest is named with its remedy, and the stack runs without it.
set -eu
cd "$(dirname "$0")/../../.."
. infra/local/setup/npm.sh
. infra/local/setup/packages.sh

install_npm_packages
install_debian_packages || true
