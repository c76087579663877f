#!/usr/bin/env bash
# Runs a test program under mpirun: mpi_test.sh PROGRAM RANKS [ARGUMENT...]
# Exit status: mpirun's, which is that of the first rank that failed.
set -euo pipefail

program=$1
ranks=$2
shift 2

# More ranks than cores is the normal case here: without yielding, waiting ranks keep the core from
# the one they wait for (33 times slower on two cores). Shared memory needs no network.
options=(
  --oversubscribe
  --bind-to none
  --tag-output
  --mca btl "self,vader"
  --mca mpi_yield_when_idle 1
)
source configs/bazel/mpi_environment.sh

# OpenMPI unloads its plugins before the process ends, so what they leak can no longer be told from
# what we do: leaks are looked for in the thread world's tests of the same code.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"

# Every rank inherits the test runner's report path; rank 0 alone may write it.
rank_main='[[ $OMPI_COMM_WORLD_RANK == 0 ]] || unset XML_OUTPUT_FILE; exec "$@"'
mpirun "${options[@]}" -np "$ranks" bash -c "$rank_main" rank "$program" "$@"
