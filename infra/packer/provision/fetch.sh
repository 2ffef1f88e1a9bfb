# shellcheck shell=bash
# What the provisioning scripts share: fetching a file whose checksum is known. Sourced, never run.

say() { printf 'provision: %s\n' "$*"; }

# Downloads $1 to file $2; fails, and leaves nothing, unless its SHA-256 is $3.
fetch() {
  curl --fail --silent --show-error --location --proto '=https,http' --retry 3 --retry-connrefused --output "$2" -- "$1"
  if ! printf '%s  %s\n' "$3" "$2" | sha256sum --check --status; then
    say "$1 has the checksum $(sha256sum <"$2" | cut -c1-64), not $3: it is not installed" >&2
    rm -f -- "$2"
    return 1
  fi
  say "fetched $1"
}
