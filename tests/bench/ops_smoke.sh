#!/usr/bin/env bash
# Runs every single-operation benchmark for an instant: ops_smoke.sh OPS_BENCH
set -euo pipefail

report=$("$1" --benchmark_min_time=0.001)
echo "$report"
for name in AttentionForward AttentionBackward Linear SwiGluForward SwiGluBackward RmsNorm; do
  grep -q "^BM_$name" <<<"$report" || { echo "BM_$name did not run" >&2; exit 1; }
done
if grep -q "ERROR OCCURRED" <<<"$report"; then exit 1; fi
