#!/usr/bin/env bash
# Runs a benchmark and checks that it measured something: smoke.sh COMMAND [ARGUMENT...]
# REPORT_LINES: what its report must hold, separated by semicolons.
# Times are never judged here: a busy machine must not fail a test.
set -euo pipefail

report=$("$@")
echo "$report"
IFS=';' read -ra lines \
  <<<"${REPORT_LINES:-share of the GEMM ceiling;phases of the best step;useful rate of a rank}"
for line in "${lines[@]}"; do
  grep -qF "$line" <<<"$report" || { echo "the report lacks: $line" >&2; exit 1; }
done
if grep -qiE "[^a-z](nan|inf)([^a-z]|$)" <<<"$report"; then
  echo "the report has a figure that is no number" >&2
  exit 1
fi
