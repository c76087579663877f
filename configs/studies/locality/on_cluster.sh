#!/usr/bin/env bash
# Stands in for mpirun in the timing sweeps: runs a trial's ranks on a cluster-in-a-box of its own.
#
# Usage: EQUIPOISE_CLUSTER="--nodes 2 --ranks-per-node 2 --rate 1gbit" on_cluster.sh -np N PROGRAM...
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -ra cluster <<<"${EQUIPOISE_CLUSTER:?says which cluster, as tests/cluster/cluster.sh up takes it}"
options=()
while [[ ${1-} == -* ]]; do
  if [[ $1 == -np ]]; then
    options=(-np "${2-}")
    shift
  fi
  shift # anything else is mpirun's own, and cluster.sh has it already
done
exec "$here/../../../tests/cluster/cluster.sh" with "${cluster[@]}" "${options[@]}" -- "$@"
