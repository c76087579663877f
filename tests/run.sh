#!/usr/bin/env bash
# Installs what is missing, builds everything, runs every test.
#
# Usage: tests/run.sh [--soak] [--config=NAME]... [BAZEL OPTION]... [TARGET]...
#   --soak          also the tests tagged "soak" (minutes to hours).
#   --config=NAME   asan, ubsan, tsan, clang or cuda: see .bazelrc.
#   TARGET          what to build and test; default //... .
#
# The last line is "N passed, M failed", in test cases; a target that does not build counts as one
# failure. Exit status: 0 if nothing failed, 3 if packages are missing that only root can install,
# otherwise 1.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# Reports a failure that came before any test could run, and ends.
give_up() {
  echo "run: $2" >&2
  echo "0 passed, 1 failed"
  exit "$1"
}

options=()
targets=()
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --soak) options+=(--test_tag_filters=) ;;
    -*) options+=("$argument") ;;
    *) targets+=("$argument") ;;
  esac
done
((${#targets[@]})) || targets=(//...)
# A terminal gets Bazel's moving display; a log gets results only.
[[ -t 2 ]] || options+=(--noshow_progress --noshow_loading_progress)

launcher/setup.sh
status=$?
((status == 3)) && give_up 3 "packages are missing (listed above)"
((status == 0)) || give_up 1 "launcher/setup.sh failed"

events=$(mktemp) || give_up 1 "mktemp failed"
trap 'rm -f "$events"' EXIT
bazel test --keep_going --build_event_json_file="$events" "${options[@]}" -- "${targets[@]}"
python3 tests/count_results.py "$events" $?
