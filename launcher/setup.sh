#!/usr/bin/env bash
# Installs what Equipoise builds and runs with: Debian packages, nothing else. Run it as often as
# you like; when everything is there it only looks (about 20 ms).
#
# Usage: launcher/setup.sh [--check]
#   --check   install nothing; only say what is missing.
#
# Exit status: 0 everything is installed; 1 the installation failed; 2 bad usage; 3 something is
# missing and cannot be installed from here (no root, or not a Debian system): the packages and the
# command are printed and nothing was changed.
set -euo pipefail

readonly PACKAGES=(
  # Compilers and the build.
  g++ binutils clang clang-format clang-tidy libclang-rt-14-dev
  bazel-bootstrap bazel-skylib bazel-platforms bazel-rules-java bazel-rules-proto
  # Libraries.
  libopenmpi-dev openmpi-bin libprotobuf-dev protobuf-compiler libabsl-dev libdnnl-dev libhwy-dev
  nlohmann-json3-dev libsimdjson-dev libxxhash-dev zlib1g-dev
  # Tests and benchmarks.
  libgtest-dev libgmock-dev libbenchmark-dev
  # Scripts; nodes made of network namespaces.
  git python3-minimal iproute2 procps
)

say() { printf 'setup: %s\n' "$*" >&2; }

# Sets `missing` to the packages of PACKAGES that are not installed.
find_missing() {
  local installed package
  installed=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' "${PACKAGES[@]}" 2>/dev/null || true)"
  missing=()
  for package in "${PACKAGES[@]}"; do
    [[ $installed == *" installed:$package "* ]] || missing+=("$package")
  done
}

# Prints what a person has to install, and ends. $1: why this script cannot do it.
explain_and_leave() {
  say "$1"
  say "Equipoise needs these Debian 12 packages:"
  printf '  %s\n' "${missing[*]}" >&2
  say "install them with:"
  printf '  apt-get update && apt-get install --no-install-recommends %s\n' "${missing[*]}" >&2
  exit 3
}

# Runs its arguments as root: directly, or by sudo where that asks no password.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

install_missing() {
  local -a options=(-qq -y --no-install-recommends -o Dpkg::Use-Pty=0)
  say "installing ${#missing[@]} packages: ${missing[*]}"
  as_root apt-get -qq update || say "apt-get update failed; trying with the package lists at hand"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install "${missing[@]}" >&2 || {
    say "apt-get install failed (its message is above); fix that and run this again"
    exit 1
  }
  find_missing
  if ((${#missing[@]})); then
    say "apt-get succeeded, yet these are still not installed: ${missing[*]}"
    exit 1
  fi
  say "done"
}

main() {
  local check_only=0
  case ${1-} in
    "") ;;
    --check) check_only=1 ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) say "unknown argument '$1' (known: --check)"; exit 2 ;;
  esac

  missing=("${PACKAGES[@]}")
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    explain_and_leave "this is not a Debian system: dpkg-query or apt-get is not here"
  fi
  find_missing
  ((${#missing[@]})) || return 0

  if ((check_only)); then
    explain_and_leave "some packages are missing (nothing was installed: --check)"
  elif ((EUID != 0)) && ! { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; then
    explain_and_leave "some packages are missing, and installing them needs root"
  fi
  install_missing
}

main "$@"
