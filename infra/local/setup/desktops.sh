#!/bin/sh
# Before `npm run test:desktops`: the tools of tests, and a VNC viewer that needs no screen of its own.
set -eu
cd "$(dirname "$0")/../../.."
. infra/local/setup/npm.sh
. infra/local/setup/packages.sh

install_npm_packages
packages="$packages
$test_packages
vncsnapshot vncsnapshot a stock viewer of desktops"
install_debian_packages
