#!/usr/bin/env bash
# What a job under mpirun does when ranks are late, abort or fail: it ends soon, with exit status 75
# ("try again"), and its output names the culprit.
set -uo pipefail

mpi_test=$1
program=$2
failures=0

# expect NAME TEXT...: runs the program's test NAME on 4 ranks; every TEXT must be in its output.
expect() {
  local name=$1 output status
  shift
  SECONDS=0
  output=$("$mpi_test" "$program" 4 "--gtest_filter=Failure.$name" 2>&1)
  status=$?
  if [[ $status != 75 ]]; then
    echo "FAILED $name: exit status $status, expected 75"
    failures=$((failures + 1))
  fi
  # The late ranks sleep for 30 seconds; nobody may wait for them.
  if ((SECONDS > 20)); then
    echo "FAILED $name: took $SECONDS s"
    failures=$((failures + 1))
  fi
  for text in "$@"; do
    if ! grep -qF -- "$text" <<<"$output"; then
      echo "FAILED $name: the output has no \"$text\""
      failures=$((failures + 1))
    fi
  done
  echo "--- $name: exit status $status after $SECONDS s; output:"
  echo "$output"
}

# The split's barrier is on "world", so the group's own numbers start at 0.
expect late "step 7: AllReduce #1 on 'expert', rank 0 of 4, has waited" \
  "; ranks that have not entered it: 1, 3"
expect stopped "step 9: AllReduce #1 on 'world'" "; without a sign of life: rank 2 for "
expect abort "rank 1 of 'world' ended the job: DATA_LOSS: checkpoint is torn"
expect fail "the culprit" "rank 1 of 'world' ended the job"

exit $((failures > 0))
