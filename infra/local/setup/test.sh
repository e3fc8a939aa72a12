#!/bin/sh
# Before `npm test`: the tests run on real parts, so all of them must be installed.
set -eu
cd "$(dirname "$0")/../../.."
. infra/local/setup/npm.sh
. infra/local/setup/packages.sh

install_npm_packages
packages="$packages
$test_packages"
install_debian_packages
