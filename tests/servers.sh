#!/usr/bin/env bash
# Brings what the tests meet besides Python packages: a browser, a container engine and the parts around it.
#
# As root on Debian it installs what is missing, and leaves no service running or enabled. Anybody else is told what is
# missing; the tests that need it are then skipped by name (or fail, under QUARTERDECK_TEST_STRICT=1).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(
  chromium
  podman runc iptables containernetworking-plugins golang-github-containernetworking-plugin-dnsname mmdebstrap
  docker-registry
  packer iproute2 curl systemd gpg openssh-client openssl python3
  prometheus prometheus-alertmanager prometheus-node-exporter
)
policy=/usr/sbin/policy-rc.d
log=.cache/servers.log
scratch=

say() { printf 'quarterdeck: %s\n' "$*"; }

missing() {
  local package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || printf '%s\n' "$package"
  done
}

enabled_units() { find /etc/systemd/system /etc/systemd/user -type l 2>/dev/null | sort; }

# While packages are configured nobody may start a service: invoke-rc.d asks this file.
forbid_starting() {
  [ ! -e "$policy" ] || mv "$policy" "$scratch/policy-rc.d"
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  enabled_units >"$scratch/enabled"
}

restore() {
  rm -f "$policy"
  [ ! -e "$scratch/policy-rc.d" ] || mv "$scratch/policy-rc.d" "$policy"
  # Packages also enable their units for the next boot; the links that are new go again.
  enabled_units | comm -13 "$scratch/enabled" - | while IFS= read -r link; do rm -f -- "$link"; done
  rm -rf "$scratch"
}

install_all() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update && apt-get -qq install --yes --no-install-recommends -- "$@"
}

with_heartbeat() {
  local pid waited=0
  "$@" >"$log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null || true; wait "$pid" || true; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    waited=$((waited + 1))
    [ $((waited % 15)) -ne 0 ] || say "still installing (${waited} s)"
  done
  trap - INT TERM
  wait "$pid"
}

main() {
  local wanted
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "this is no Debian: the tests that need one of these are skipped unless it is there: ${packages[*]}"
    return
  fi
  mapfile -t wanted < <(missing)
  [ ${#wanted[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    say "some tests will be skipped; for them, as root: apt-get install --no-install-recommends ${wanted[*]}"
    return
  fi
  say "installing for the tests, with apt-get (no service is started or enabled): ${wanted[*]}"
  mkdir -p .cache
  scratch=$(mktemp -d)
  trap restore EXIT
  forbid_starting
  if with_heartbeat install_all "${wanted[@]}"; then
    say "installed"
  else
    tail -n 5 "$log" >&2
    say "that did not work (the whole output is in $log); the tests that need these parts are skipped by name"
  fi
}

main
