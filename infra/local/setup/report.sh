# Sourced. One line a part, in the form of the stack's own.
say() { printf '%-15s %s\n' "$1" "$2"; }

# Runs a command whose output only matters when it fails: then its last lines are shown.
quietly() {
  log=$(mktemp)
  if "$@" >"$log" 2>&1 </dev/null; then
    rm -f "$log"
    return 0
  fi
  tail -n 15 "$log" >&2
  rm -f "$log"
  return 1
}
