#!/usr/bin/env bash
# Builds the quickstart corpus from text that Debian packages ship: about 32 MB of English prose,
# dictionary, manuals, Python code, and German and French manuals, as raw bytes with document
# boundaries, split by document into training and validation. docs/data.md describes the files.
#
# Usage: launcher/corpus.sh OUTPUT_DIR
#
# Packages (18 MB) are downloaded and unpacked under OUTPUT_DIR, never installed, so no root is
# needed where apt has its package lists. Run it as often as you like: when the corpus is there it
# only looks and prints the table.
#
# Exit status: 0 the corpus is there; 1 a download or the build failed; 2 bad usage; 3 this system
# does not know the packages (not Debian, or no package lists and no root).
set -euo pipefail

# "a|b" takes the first that the system knows.
readonly PACKAGES=(
  r-cran-janeaustenr                                            # prose: six novels
  dict-foldoc                                                   # dictionary of computing
  perl-doc                                                      # manuals
  'libpython3.11-stdlib|libpython3.13-stdlib|libpython3.12-stdlib'  # code
  manpages-de manpages-fr                                       # other languages
)

say() { printf 'corpus: %s\n' "$*" >&2; }
fail() {
  local status=$1
  shift
  say "$@"
  say "offline or elsewhere, train on text files of your own instead: docs/data.md"
  exit "$status"
}

# Runs its arguments as root: directly, or by sudo where that asks no password.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@" 2>/dev/null; fi
}

# What the corpus depends on and what it must consist of, as one text. A change of these scripts or
# of a file's size makes it differ from the stamp.
describe() {
  cat "$here/corpus.sh" "$here"/corpus/*.py | sha256sum
  (cd "$output" && stat -c '%n %s' -- *.bytes *.docs PACKAGES.txt SUMMARY.txt 2>/dev/null) || true
}

# Prints the first of the alternatives "$1" that apt can download; nothing if it knows none.
find_package() {
  local name
  for name in ${1//|/ }; do
    if apt-cache show --no-all-versions "$name" >/dev/null 2>&1; then
      printf '%s\n' "$name"
      return
    fi
  done
}

update_lists() {
  say "updating the package lists"
  as_root apt-get -qq update >&2 || say "apt-get update failed (no root or no network)"
}

# Sets `names` to the packages to download, `unknown` to those that apt does not know.
resolve_packages() {
  local package name
  names=() unknown=()
  for package in "${PACKAGES[@]}"; do
    name=$(find_package "$package")
    if [[ -n $name ]]; then names+=("$name"); else unknown+=("$package"); fi
  done
}

# Downloads $@ into the cache folder, in which apt leaves a file that is complete alone.
download() {
  local -a options=(-qq)
  # As root apt would read through its own user, who may not look into this folder, and warn.
  ((EUID != 0)) || options+=(-o APT::Sandbox::User=root)
  (cd "$cache" && apt-get "${options[@]}" download "$@" >&2)
}

# Puts every package's .deb into the cache folder.
fetch_packages() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    fail 3 "this is not a Debian system: apt-get and dpkg-deb are needed"
  resolve_packages
  if ((${#unknown[@]})); then
    update_lists
    resolve_packages
  fi
  ((${#unknown[@]} == 0)) ||
    fail 3 "apt does not know ${unknown[*]}; run 'apt-get update' as root, or add the component" \
      "'main' of Debian 12 to the sources"
  say "downloading ${names[*]}"
  if ! download "${names[@]}"; then
    update_lists  # The lists may name versions that the archive has replaced.
    download "${names[@]}" || fail 1 "the download failed (apt's message is above)"
  fi
}

# Unpacks the packages of `names` into $1 and notes their versions in $2.
unpack_packages() {
  local name deb
  for name in "${names[@]}"; do
    deb=$(ls -t -- "$cache/${name}"_*.deb | head -n 1)
    dpkg-deb -x "$deb" "$1" || {
      rm -f -- "$deb"
      fail 1 "$deb was damaged and has been removed; run this again"
    }
    dpkg-deb -W --showformat='${Package} ${Version}\n' "$deb" >>"$2"
  done
}

build() {
  local building
  mkdir -p -- "$cache"
  rm -rf -- "$output"/.building.* "$output/.stamp"
  trap 'rm -rf -- "$output"/.building.*' EXIT
  building=$(mktemp -d -- "$output/.building.XXXXXX")
  fetch_packages
  mkdir -- "$building/root" "$building/corpus"
  unpack_packages "$building/root" "$building/corpus/PACKAGES.txt"
  python3 -B -- "$here/corpus/build.py" "$building/root" "$building/corpus" ||
    fail 1 "building failed (the message is above)"
  mv -f -- "$building/corpus"/* "$output/"
  describe >"$output/.stamp.new"
  mv -f -- "$output/.stamp.new" "$output/.stamp"
}

is_current() { [[ -f $output/.stamp && $(describe) == "$(<"$output/.stamp")" ]]; }

if (($# != 1)) || [[ -z $1 || $1 == -* ]]; then
  printf 'usage: %s OUTPUT_DIR\n' "$0" >&2
  exit 2
fi
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
mkdir -p -- "$1" || fail 1 "cannot create $1"
output=$(cd -- "$1" && pwd)
cache=$output/.packages
if ! is_current; then
  exec 9>"$output/.lock"
  flock 9  # Another corpus.sh may be building: wait, then look again.
  is_current || build
fi
cat -- "$output/SUMMARY.txt"
