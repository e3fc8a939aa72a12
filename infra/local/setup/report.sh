# Sourced. One line a part, in the form of the stack's own.
report() { printf '%-15s %s\n' "$1" "$2"; }

# Runs a command, and shows the last lines of its output only when it fails.
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
