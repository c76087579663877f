#!/usr/bin/env bash
# launcher/quickstart.sh with its stages replaced by scripts: what it says, the exit status, and what
# a signal does. quickstart_test.sh QUICKSTART
set -uo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
mkdir -p "$work/bin" "$work/launcher"
cp "$1" "$work/launcher/quickstart.sh"

# script NAME BODY
script() {
  printf '#!/bin/bash\n%s\n' "$2" >"$work/$1"
  chmod +x "$work/$1"
}
script launcher/setup.sh 'exit 0'
script launcher/corpus.sh 'exit 0'
script bin/bazel 'exit 0'
mkdir -p "$work/bazel-bin/launcher" "$work/runs/old" "$work/runs/new"
touch -d '1 hour ago' "$work/runs/old"
script bazel-bin/launcher/equipoise 'echo "called: $*"'

# run: with the mpirun of the case; sets `out` and `status`.
run() {
  out=$(PATH=$work/bin:$PATH "$work/launcher/quickstart.sh" "$@" 2>&1)
  status=$?
}

# expect STATUS TEXT NAME: of the last run.
expect() {
  [[ $status == "$1" && $out == *"$2"* ]] && return
  printf 'FAILED: %s\n--- status %s\n%s\n' "$3" "$status" "$out"
  failures=$((failures + 1))
}

script bin/mpirun 'echo "trained: $*"'
run --set steps=5
expect 0 "quickstart.textproto --set steps=5" "options go to train"
expect 0 "a first build takes about five minutes" "the build's time is told"
expect 0 "as --run_dir, goes on" "how to go on is told"

expect 0 "called: report runs/new/" "a report on the newest run"
run --run_dir runs/mine --set steps=5
expect 0 "called: report runs/mine" "a report on the run that was named"
run --run_dir=runs/mine
expect 0 "called: report runs/mine" "the same, in one word"
script bazel-bin/launcher/equipoise 'exit 2'
run
expect 0 "no report of this run" "a report that fails is no failure"
script bazel-bin/launcher/equipoise 'echo "called: $*"'

for code in 1 2 75 137; do
  script bin/mpirun "exit $code"
  run
  expect "$code" "4/4 training" "exit status $code"
  [[ $out != *"To go on"* ]] || expect 0 "" "no advice after status $code"
done

script bin/bazel 'exit 7'
run; expect 7 "2/4 build" "a failed build"
script bin/bazel 'exit 0'

# A signal for the script alone: mpirun gets it, and its status is the script's.
script bin/mpirun 'trap "echo told; exit 43" TERM; : >"'"$work"'/started"; sleep 60 & wait'
out_file=$work/out
PATH=$work/bin:$PATH "$work/launcher/quickstart.sh" >"$out_file" 2>&1 &
quickstart=$!
for ((i = 0; i < 200; ++i)); do [[ -e $work/started ]] && break; sleep 0.05; done
kill -TERM "$quickstart"
wait "$quickstart"
status=$?
out=$(<"$out_file")
expect 43 "told" "SIGTERM reaches mpirun"

((failures == 0)) || exit 1
echo "all as expected"
