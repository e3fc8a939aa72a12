#!/bin/sh
# Before a script that needs the npm packages of package-lock.json and nothing else of this machine.
set -eu
cd "$(dirname "$0")/../../.."
. infra/local/setup/npm.sh

install_npm_packages
