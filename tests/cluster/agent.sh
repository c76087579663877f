#!/usr/bin/env bash
# How mpirun starts its daemon on a node of tests/cluster/cluster.sh, in the place of ssh: gives the
# node its host name and a shared memory of its own, without which MPI would take two nodes for one.
#
# Usage: agent.sh HOST COMMAND...   the words are joined and read by a shell, as ssh does
set -euo pipefail
host=$1
shift
# shellcheck disable=SC2016 # the inner shell expands
exec ip netns exec "$host" unshare --uts --mount --ipc bash -c '
  set -e
  hostname "$0"
  mount -t tmpfs tmpfs /dev/shm
  mkdir /dev/shm/tmp
  export TMPDIR=/dev/shm/tmp
  eval "exec $*"
' "$host" "$@"
