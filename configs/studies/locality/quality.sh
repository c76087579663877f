#!/usr/bin/env bash
# The quality part of the locality study: loss, balance and bytes across, three seeds, where locality
# changes the routing. About 45 minutes on two idle cores.
#
# Usage: configs/studies/locality/quality.sh EQUIPOISE OUT
# Run again, it does only what is missing. Tables: configs/studies/locality/figures.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
(($# == 2)) || { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
equipoise=$1 out=$2
export OMP_NUM_THREADS=1
for k in 1 8; do
  "$equipoise" sweep run "$here/quality_k$k.textproto" --out "$out/quality_k$k" --jobs 2
done
export EQUIPOISE_CLUSTER="--nodes 2 --ranks-per-node 1 --rate none"
for k in 1 8; do
  "$equipoise" sweep run "$here/domains_k$k.textproto" --out "$out/domains_k$k" --jobs 1
done
