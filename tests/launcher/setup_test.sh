#!/usr/bin/env bash
# launcher/setup.sh against a pretended machine: its dpkg-query, apt-get and sudo are scripts here,
# and `apt_calls` records what apt-get was asked to do.
set -uo pipefail

setup=$(readlink -f "$1")
# Not TEST_TMPDIR: another user, as which one case runs, must be able to reach it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# A machine on which all packages but $1 are installed, in a fresh folder.
make_machine() {
  rm -rf "${work:?}"/*
  mkdir -p "$work/bin"
  : >"$work/apt_calls"
  printf '%s' "$1" >"$work/missing"
  cat >"$work/bin/dpkg-query" <<END
#!/bin/bash
for package; do
  [[ \$package == -* ]] || [[ " \$(<"$work/missing") " == *" \$package "* ]] ||
    printf 'installed:%s ' "\$package"
done
END
  cat >"$work/bin/apt-get" <<END
#!/bin/bash
echo "\$*" >>"$work/apt_calls"
[[ -e "$work/apt_fails" ]] && exit 100
[[ "\$*" != *install* ]] || : >"$work/missing"
END
  # Asks for a password, as far as the script can tell.
  printf '#!/bin/bash\nexit 1\n' >"$work/bin/sudo"
  chmod -R a+rx "$work/bin"
}

# Runs setup.sh on it; sets `status` and `output`.
run_setup() {
  output=$(PATH="$work/bin:/usr/bin:/bin" "$@" 2>&1)
  status=$?
}

# expect NAME CONDITION...: counts a failure unless the test command CONDITION holds.
expect() {
  local name=$1
  shift
  if "$@"; then return; fi
  echo "FAILED: $name"
  printf '  status %s, output:\n%s\n' "$status" "$output"
  failures=$((failures + 1))
}

contains() { [[ $output == *"$1"* ]]; }
apt_untouched() { [[ ! -s $work/apt_calls ]]; }

make_machine ""
run_setup bash "$setup"
expect "nothing missing succeeds" test "$status" == 0
expect "nothing missing is silent" test -z "$output"
expect "nothing missing leaves apt alone" apt_untouched

make_machine "libdnnl-dev g++"
run_setup bash "$setup" --check
expect "--check says what is missing" contains "g++ libdnnl-dev"
expect "--check exits 3" test "$status" == 3
expect "--check leaves apt alone" apt_untouched

run_setup bash "$setup" --frobnicate
expect "unknown argument exits 2" test "$status" == 2
expect "unknown argument is named" contains "--frobnicate"

rm "$work/bin/apt-get" "$work/bin/dpkg-query"
ln -s "$(command -v bash)" "$(command -v sed)" "$work/bin/"
output=$(PATH="$work/bin" bash "$setup" 2>&1)
status=$?
expect "not Debian exits 3" test "$status" == 3
expect "not Debian says so" contains "not a Debian system"
expect "not Debian names every package" contains "libopenmpi-dev"

make_machine "libdnnl-dev"
if ((EUID == 0)); then
  run_setup bash "$setup"
  expect "root installs" test "$status" == 0
  expect "root installs what is missing" grep -q "install libdnnl-dev" "$work/apt_calls"

  make_machine "libdnnl-dev"
  touch "$work/apt_fails"
  run_setup bash "$setup"
  expect "a failed installation exits 1" test "$status" == 1

  make_machine "libdnnl-dev"
  chmod a+rx "$work"
  # The other user need not be able to read the checkout: the script travels as text.
  run_setup setpriv --reuid=65534 --clear-groups bash -c "$(<"$setup")" setup
else
  run_setup bash "$setup"
fi
expect "no root exits 3" test "$status" == 3
expect "no root names the package" contains "apt-get install --no-install-recommends libdnnl-dev"
expect "no root leaves apt alone" apt_untouched

((failures == 0)) && echo "setup.sh: all cases pass"
exit "$((failures > 0))"
