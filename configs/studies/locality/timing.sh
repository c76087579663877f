#!/usr/bin/env bash
# The timing part of the locality study: every row on four clusters of four ranks, one trial at a time.
# Leave the machine alone while it runs.
#
# Usage: configs/studies/locality/timing.sh EQUIPOISE OUT [CLUSTER...]
#   CLUSTER: NODESxRANKS-RATE; by default 2x2-1gbit 2x2-200mbit 4x1-1gbit 4x1-200mbit
# Run again, it does only what is missing. Tables: configs/studies/locality/figures.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
(($# >= 2)) || { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
equipoise=$1 out=$2
shift 2
clusters=("$@")
(($#)) || clusters=(2x2-1gbit 2x2-200mbit 4x1-1gbit 4x1-200mbit)
export OMP_NUM_THREADS=1
for cluster in "${clusters[@]}"; do
  [[ $cluster =~ ^([0-9]+)x([0-9]+)-([0-9]+[kmg]bit)$ ]] || {
    echo "timing.sh: cluster is '$cluster', must be like 2x2-200mbit" >&2
    exit 2
  }
  export EQUIPOISE_CLUSTER="--nodes ${BASH_REMATCH[1]} --ranks-per-node ${BASH_REMATCH[2]} \
--rate ${BASH_REMATCH[3]}"
  for k in 1 8; do
    "$equipoise" sweep run "$here/timing_k$k.textproto" --out "$out/$cluster/k$k" --jobs 1
  done
  groups=$here/timing_k8_groups_${BASH_REMATCH[1]}.textproto
  if [[ -f $groups ]]; then
    "$equipoise" sweep run "$groups" --out "$out/$cluster/k8_groups" --jobs 1
  fi
done
