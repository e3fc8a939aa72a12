#!/bin/sh
# Installs the packages of a workspace by package-lock.json, without files that no running service reads.
# Install scripts of packages do not run.
set -eu
export NPM_CONFIG_AUDIT=false NPM_CONFIG_FUND=false NPM_CONFIG_IGNORE_SCRIPTS=true NPM_CONFIG_UPDATE_NOTIFIER=false
npm install --no-save --omit=dev --workspace "$1"
cd node_modules
# Optional peers of packages, which npm installs because the lock has them for other workspaces.
rm -rf typescript @typescript @types @aws-sdk @aws-crypto @smithy
# For browsers, which load a WebAssembly module as a script.
rm -f tesseract.js-core/*.wasm.js
# Node runs no TypeScript of packages, and reads neither their maps nor their pages. Licences stay.
find . -type f ! -iname '*licen[cs]e*' \
  \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' -o -name '*.md' \) -delete
find . -depth -type d -empty -delete
