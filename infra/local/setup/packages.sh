# Sourced, in the project's folder. The servers that the stack and its tests run, from Debian's packages.
. infra/local/setup/report.sh

# program (or the path of a file), package, purpose
packages='redis-server redis-server the queue and the realtime Redis
nginx nginx the balancer before the relays
pgbouncer pgbouncer the pooler in front of the ledger
dockerd docker.io desktops
debootstrap debootstrap the desktop image where Docker Hub is out of reach
gpgv gpgv the signatures of the packages in it
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring the keys of these signatures'

# Packages that only the tests need.
test_packages='chromium chromium the console in a real browser
websockify websockify what the screen is measured against
curl curl the commands of the guides'

policy=/usr/sbin/policy-rc.d

# Fails, and prints the remedy, when something is missing and can't be installed.
install_debian_packages() {
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    report packages "missing: $missing. Remedy: $(remedy)" >&2
    return 1
  fi
  printf '%s\n' "$packages" | while read -r _ package purpose; do
    case " $missing " in *" $package "*) report "$package" "installing (for $purpose)…" ;; esac
  done
  if ! install_quietly; then
    report packages "could not be installed: apt-get's last lines are above. Remedy: $(remedy)" >&2
    return 1
  fi
}

missing_packages() {
  printf '%s\n' "$packages" | while read -r program package _; do
    case $program in
      /*) test -r "$program" ;;
      *) PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$program" >/dev/null ;;
    esac || echo "$package"
  done | paste -sd ' ' -
}

remedy() {
  if command -v apt-get >/dev/null; then
    if [ "$(id -u)" != 0 ]; then printf 'sudo '; fi
    printf 'apt-get update && '
    if [ "$(id -u)" != 0 ]; then printf 'sudo '; fi
    printf 'apt-get install -y %s' "$missing"
  else
    printf 'install what Debian calls %s' "$missing"
  fi
}

# The package lists are fetched only when the present ones do not suffice.
install_quietly() {
  hold_services
  trap 'release_services; exit 130' INT TERM HUP
  status=0
  apt_install 2>/dev/null || { quietly apt update && apt_install; } || status=1
  release_services
  trap - INT TERM HUP
  return $status
}

# shellcheck disable=SC2086 # a list of words
apt_install() { quietly apt install -y --no-install-recommends $missing; }

apt() {
  DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 -qq "$@"
}

# A package's own service would take the usual ports: it is installed, not started. An existing policy of this
# machine stays; services that ran before continue.
hold_services() {
  if [ -e "$policy" ] && ! grep -q warmwind "$policy"; then return 0; fi
  printf '#!/bin/sh\n# warmwind: for the time of an installation\nexit 101\n' >"$policy"
  chmod +x "$policy"
}

release_services() {
  if grep -qs warmwind "$policy"; then rm -f "$policy"; fi
}
