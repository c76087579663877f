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

# Files of the run that are lost: the very same start goes on and says so once, another is refused.
files() { find run -type f -exec sha256sum {} + | sort; }
rm -rf run
expect 0 'run directory: run' "a run with checkpoints" --set checkpoint.every_steps=1
mv run whole
# lose NAME WHAT COMMAND...: a whole run without WHAT.
lose() {
  local name=$1 what=$2
  shift 2
  rm -rf run
  cp -r whole run
  (cd run && "$@")
  expect 0 "$what" "$name" --set checkpoint.every_steps=1
  [[ $(grep -c 'has lost some of the run' out) == 1 ]] || { echo "FAILED: $name: not told once"; failures=1; }
  grep -qF -- "$what" run/events.jsonl || { echo "FAILED: $name: not in events.jsonl"; failures=1; }
  # All is whole again, but for what cannot be made anew.
  expect 0 'run directory: run' "$name, once more" --set checkpoint.every_steps=1
  if [[ $what != *missing\ a* ]] && grep -q 'has lost' out; then
    echo "FAILED: $name: told again"
    failures=1
  fi
}
lose "no configuration" 'config.textproto is missing: by its hash' rm config.textproto
lose "an empty configuration" 'config.textproto is empty: by its hash' truncate -s 0 config.textproto
lose "half a configuration" 'config.textproto is damaged' sed -i '/^optimizer {/,$d' config.textproto
lose "no run.json" 'run.json is missing: nothing is known' rm run.json
lose "an empty run.json" 'run.json is empty: nothing is known' truncate -s 0 run.json
lose "half a run.json" 'run.json is damaged' truncate -s 40 run.json
[[ -s run/run.json.1 ]] || { echo "FAILED: half a run.json is kept"; failures=1; }
lose "no metrics" 'metrics.jsonl: 3 records are missing at the beginning' rm metrics.jsonl
lose "empty metrics" 'metrics.jsonl: 3 records are missing at the beginning' truncate -s 0 metrics.jsonl
lose "damaged metrics" 'metrics.jsonl: 1 record is missing after step 1' sed -i '2s/^./x/' metrics.jsonl
lose "half a router.bin" 'router.bin: 2 records are missing after step 1' truncate -s 200 router.bin
for left in "rm run/config.textproto" "truncate -s 0 run/config.textproto" \
  "sed -i /^optimizer/,\$d run/config.textproto" "rm run/config.textproto run/run.json"; do
  rm -rf run
  cp -r whole run
  $left
  before=$(files)
  expect 2 'its configuration is not known' "$left, and another one" --set seed=9
  [[ $(files) == "$before" ]] || { echo "FAILED: $left: a refused start changes nothing"; failures=1; }
  expect 2 'its configuration is not known' "$left, and another one" --set checkpoint.resume=never
done
rm -rf asked
"$program" train --config=config.textproto --run_dir=asked --set seed=9 \
  --set checkpoint.resume=run/ckpt/step-00000002 >out 2>&1 || { echo "FAILED: asked for"; failures=1; }
grep -q 'has lost' out && { echo "FAILED: a run that begins elsewhere has lost nothing"; failures=1; }

# What is told before the log of events is open is in it, too.
rm -rf run
cp -r whole run
expect 0 'is newer' "starting over" --set checkpoint.every_steps=1 --set checkpoint.resume=never
grep -q '"event":"warning".*is newer' run/events.jsonl || { cat run/events.jsonl; failures=1; }

# Steps without a checkpoint to go on from are kept, and told once.
# expect_kept NUMBER NAME COMMAND...: what a run had, after COMMAND, is kept as *.NUMBER.
expect_kept() {
  local number=$1 name=$2 metrics log
  metrics=$(sha256sum <run/metrics.jsonl)
  log=$(sha256sum <run/router.bin)
  shift 2
  "$@"
  expect 0 "run/metrics.jsonl.$number, run/router.bin.$number, run/router.idx.$number" "$name" \
    --set checkpoint.every_steps=1
  [[ $(sha256sum <run/metrics.jsonl.$number) == "$metrics" && $(sha256sum <run/router.bin.$number) == "$log" ]] ||
    { echo "FAILED: $name: what is kept is not what was there"; failures=1; }
  [[ $(grep -c 'no checkpoint to go on from' out) == 1 ]] || { echo "FAILED: $name: not told once"; failures=1; }
  [[ $(grep -c '"event":"warning".*no checkpoint to go on from' run/events.jsonl) == "$number" ]] ||
    { echo "FAILED: $name: not in events.jsonl"; failures=1; }
  [[ $(wc -l <run/metrics.jsonl) == 3 ]] || { echo "FAILED: $name: not three steps"; failures=1; }
}
rm -rf run
cp -r whole run
expect_kept 1 "checkpoints are gone" rm -r run/ckpt
expect_kept 2 "an empty ckpt" find run/ckpt -mindepth 1 -delete
rm -rf run
expect 0 'run directory: run' "a run without checkpoints" --set checkpoint.every_steps=0 \
  --set checkpoint.save_at_end=false
expect_kept 1 "the command of a finished run without checkpoints" true
rm -r run/ckpt
: >run/metrics.jsonl
head -c 16 whole/router.bin >run/router.bin
expect 0 'run directory: run' "a start that ended before its first step"
if grep -q 'no checkpoint to go on from' out; then echo "FAILED: steps that are none"; failures=1; fi

# A directory that cannot be written is told before any work. (Root may write everywhere.)
if [[ $(id -u) != 0 ]]; then
  rm -rf run
  cp -r whole run
  chmod 500 run
  expect 2 "the run directory 'run' cannot be used" "a directory that cannot be written"
  chmod 700 run
fi
rm -rf run
expect 0 'moe.locality.bias has no effect: there is one node' "an idle preference" "${prefer[@]}"

((failures == 0)) || exit 1
echo "all as expected"
