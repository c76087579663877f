#!/usr/bin/env bash
# Starts that are refused or fail: what they leave in the run directory binds nobody.
# start_test.sh PROGRAM
set -uo pipefail

program=$PWD/$1
failures=0
cd "$TEST_TMPDIR" || exit 1
seq -f 'line %g of a text that is long enough' 3000 >text.bytes
cat >config.textproto <<CONFIG
steps: 3
model { vocabulary: 257 hidden: 32 num_layers: 2 num_heads: 4 num_kv_heads: 2 }
moe { num_experts: 4 top_k: 2 expert_width: 32 }
data { domain { name: "text" train: "$TEST_TMPDIR/text.bytes" } }
batch { sequences: 8 sequence_length: 32 }
optimizer { schedule { kind: CONSTANT peak: 3e-3 } }
CONFIG

# expect STATUS TEXT NAME OPTION...: how a start ends, and what it says.
expect() {
  local wanted=$1 text=$2 name=$3 status
  shift 3
  "$program" train --config=config.textproto --run_dir=run "$@" >out 2>&1
  status=$?
  [[ $status == "$wanted" ]] && grep -qF -- "$text" out && return
  printf 'FAILED: %s: exit status %s; output:\n%s\n' "$name" "$status" "$(<out)"
  failures=$((failures + 1))
}

# expect_status STATE STEP NAME
expect_status() {
  grep -q "\"state\": \"$1\"" run/STATUS.json && grep -q "\"step\": $2," run/STATUS.json && return
  printf 'FAILED: %s: %s\n' "$3" "$(<run/STATUS.json)"
  failures=$((failures + 1))
}

prefer=(--set moe.locality.bias.mode=CONTROLLER)

expect 4 'checkpoint.resume is "must"' "nothing to go on from" --set checkpoint.resume=must
expect_status failed 0 "nothing to go on from"
expect 0 'run directory: run' "another experiment where a start was refused" \
  --set seed=5 "${prefer[@]}" --set moe.locality.nodes=2
expect_status finished 3 "a run"
[[ $(grep -c '"step":' run/metrics.jsonl) == 3 ]] || { cat run/metrics.jsonl; failures=1; }

expect 2 'seed is 5 there and 6 here' "another experiment where there is a run" --set seed=6
expect_status finished 3 "a start that was refused"
expect 2 'moe.locality.nodes is 2 there and 3 here' "other nodes" \
  --set seed=5 "${prefer[@]}" --set moe.locality.nodes=3

# The number of nodes is the checkpoint's, not that of this one machine.
expect 0 'moe.locality goes on with the 2 nodes of run/ckpt/step-00000003' "nodes are kept" \
  --set seed=5 "${prefer[@]}"
expect 0 'run directory: run' "and may be said" \
  --set seed=5 "${prefer[@]}" --set moe.locality.nodes=2

mv run/ckpt away
expect 4 'checkpoint.resume is "must"' "checkpoints are gone" \
  --set seed=5 "${prefer[@]}" --set moe.locality.nodes=2 --set checkpoint.resume=must
expect_status finished 3 "a start that is refused changes nothing"
# left: what the files of the run say.
left() { sha256sum run/config.textproto run/overrides.txt run/run.json run/STATUS.json; }
before=$(left)
expect 4 'checkpoint.resume is "must"' "checkpoints are gone, other steps" \
  --set seed=5 "${prefer[@]}" --set moe.locality.nodes=2 --set checkpoint.resume=must --set checkpoint.every_steps=2
exec 9>run/LOCK
flock -n 9
expect 2 'another job is writing' "a second job" --set seed=5 "${prefer[@]}" \
  --set moe.locality.nodes=2 --set checkpoint.resume=never --set checkpoint.every_steps=3
exec 9>&-
[[ $(left) == "$before" ]] || { echo "FAILED: a refused start changed the run's files"; failures=1; }

mv run first
expect 0 'moe.locality.bias has no effect: there is one node' "an idle preference" "${prefer[@]}"

((failures == 0)) || exit 1
echo "all as expected"
