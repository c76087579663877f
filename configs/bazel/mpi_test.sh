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
  --allow-run-as-root
  --bind-to none
  --tag-output
  --mca btl "self,vader"
  --mca mpi_yield_when_idle 1
)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# One core a rank; and its session directory's path must stay short enough for a socket's name.
export OMP_NUM_THREADS=1 TMPDIR=/tmp

# OpenMPI unloads its plugins before the process ends, so what they leak can no longer be told from
# what we do: leaks are looked for in the thread world's tests of the same code.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"

# Every rank inherits the test runner's report path; rank 0 alone may write it.
rank_main='[[ $OMPI_COMM_WORLD_RANK == 0 ]] || unset XML_OUTPUT_FILE; exec "$@"'
exec mpirun "${options[@]}" -np "$ranks" bash -c "$rank_main" rank "$program" "$@"
