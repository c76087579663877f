#!/usr/bin/env bash
# Runs that are told to stop, and ranks that fall silent, as seen from outside.
# stop_test.sh PROGRAM
set -uo pipefail

program=$PWD/$1
failures=0
source configs/bazel/mpi_environment.sh
# Under mpirun leaks are not looked for: see configs/bazel/mpi_test.sh.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
mpi=(mpirun --oversubscribe --bind-to none --mca btl self,vader --mca mpi_yield_when_idle 1 -np 2)

seq -f 'line %g of a text that is long enough' 3000 >"$TEST_TMPDIR/text.bytes"
cat >"$TEST_TMPDIR/config.textproto" <<CONFIG
steps: 250
model { vocabulary: 257 hidden: 32 num_layers: 2 num_heads: 4 num_kv_heads: 2 }
moe { num_experts: 4 top_k: 2 expert_width: 32 }
data { domain { name: "text" train: "$TEST_TMPDIR/text.bytes" } }
batch { sequences: 8 sequence_length: 32 }
optimizer { schedule { kind: CONSTANT peak: 3e-3 } }
telemetry { console_every_steps: 1000 }
CONFIG

fail() {
  printf 'FAILED: %s; exit status %s; output:\n%s\n' "$1" "$status" "$(<"$TEST_TMPDIR/out")"
  failures=$((failures + 1))
}

# train DIRECTORY [COMMAND...]: a run in the background; sets `job`.
train() {
  local directory=$1
  shift
  "$@" "$program" train --config="$TEST_TMPDIR/config.textproto" --run_dir="$directory" \
    "${settings[@]}" >"$TEST_TMPDIR/out" 2>&1 &
  job=$!
}

# Sets `status` when the run is over.
finish() {
  wait "$job"
  status=$?
}

# Waits until the run in DIRECTORY has done some steps.
await_steps() {
  local tries=0
  while ((tries++ < 600)); do
    [[ -f $1/metrics.jsonl && $(wc -l <"$1/metrics.jsonl") -ge 5 ]] && return
    sleep 0.1
  done
  status=none
  fail "no steps after a minute in $1"
}

# The ranks of a job: the children of mpirun.
ranks_of() { cat /proc/"$1"/task/*/children; }

losses() { grep -o '"step":[0-9]*,\|"loss":[^,]*,' "$1/metrics.jsonl"; }

# expect_stopped DIRECTORY NAME: exit status, STATUS.json and a checkpoint of the last step.
expect_stopped() {
  local step
  step=$(sed -n 's/ *"step": \([0-9]*\),*/\1/p' "$1/STATUS.json")
  [[ $status == 143 ]] || fail "$2: exit status"
  grep -q '"state": "stopped"' "$1/STATUS.json" || fail "$2: $(<"$1/STATUS.json")"
  ((step >= 5 && step < 250)) || fail "$2: stopped at step $step"
  [[ $(<"$1/ckpt/LATEST") == "step-$(printf %08d "$step")" ]] || fail "$2: no checkpoint of $step"
  grep -q "^equipoise_step{.*} $step\$" "$1"/prom/*.prom || fail "$2: Prometheus has an older step"
  echo "$2: stopped after step $step"
}

# expect_same_end DIRECTORY REFERENCE NAME [COMMAND...]: the run goes on as if nothing had been.
expect_same_end() {
  local directory=$1 reference=$2 name=$3
  shift 3
  train "$directory" "$@"
  finish
  [[ $status == 0 ]] || fail "$name: resume"
  grep -q '"state": "finished"' "$directory/STATUS.json" || fail "$name: not finished"
  [[ $(losses "$directory") == "$(losses "$reference")" ]] || fail "$name: other losses"
}

settings=()
cd "$TEST_TMPDIR" || exit 1
train alone && finish
[[ $status == 0 ]] || fail "a run that nobody stops"
train pair "${mpi[@]}" && finish
[[ $status == 0 ]] || fail "a run of two ranks that nobody stops"

train term && await_steps term && kill -TERM "$job" && finish
expect_stopped term "SIGTERM to one process"
grep -q '"reason": "SIGTERM"' term/STATUS.json || fail "the signal is named"
expect_same_end term alone "SIGTERM to one process"

train usr1 "${mpi[@]}" && await_steps usr1 && kill -USR1 "$job" && finish
expect_stopped usr1 "SIGUSR1 to mpirun"
expect_same_end usr1 pair "SIGUSR1 to mpirun" "${mpi[@]}"

train rank "${mpi[@]}" && await_steps rank
kill -INT "$(ranks_of "$job" | awk '{ print $NF }')" && finish
expect_stopped rank "SIGINT to one rank"
expect_same_end rank pair "SIGINT to one rank" "${mpi[@]}"

# Both signals are there when the process goes on; the second one ends it.
train twice && await_steps twice
kill -STOP "$job"
kill -TERM "$job"
kill -INT "$job"
kill -CONT "$job" && finish
((status > 128)) || fail "a second signal ends the run"
grep -q '"state": "running"' twice/STATUS.json || fail "a second signal ends the run at once"

# A console that nobody reads holds up neither the run nor its last checkpoint.
mkfifo pipe
exec 3<>pipe
timeout 1 cat /dev/zero >&3
settings=(--set telemetry.console_every_steps=1 --set steps=1000000)
"$program" train --config=config.textproto --run_dir=unread "${settings[@]}" >pipe 2>out &
job=$!
await_steps unread && kill -TERM "$job" && finish
exec 3>&-
[[ $status == 143 ]] || fail "a full pipe: exit status"
grep -q '"state": "stopped"' unread/STATUS.json || fail "a full pipe: $(<unread/STATUS.json)"
[[ $(<unread/ckpt/LATEST) == step-* ]] || fail "a full pipe: no checkpoint"

settings=(--set telemetry.console_every_steps=1)
"$program" train --config=config.textproto --run_dir=head "${settings[@]}" 2>out | head -1 >head.out
status=${PIPESTATUS[0]}
[[ $status == 0 && $(<head.out) == "run directory: head" ]] || fail "train | head: $(<head.out)"
grep -q '"state": "finished"' head/STATUS.json || fail "train | head: $(<head/STATUS.json)"

settings=(--set checkpoint.save_at_end=false)
train unsaved && await_steps unsaved && kill -TERM "$job" && finish
[[ $status == 143 && -z $(ls unsaved/ckpt) ]] || fail "a run without checkpoints saves none"

settings=(--set wait.warn_seconds=0.5 --set wait.stop_seconds=2)
train silent "${mpi[@]}" && await_steps silent
kill -STOP "$(ranks_of "$job" | awk '{ print $NF }')" && finish
[[ $status == 75 ]] || fail "a silent rank"
grep -Eq ', step [0-9]+: [A-Za-z]+ #[0-9]+ on .*, rank [01] of 2, has waited 2.*(ranks that have not entered it: [01]|without a sign of life: rank [01])' \
  "$TEST_TMPDIR/out" || fail "the message about a silent rank"
grep -Eo '[a-z -]+( of layer [0-9]+)?, step [0-9]+: .*' "$TEST_TMPDIR/out"

((failures == 0)) || exit 1
echo "all as expected"
