#!/usr/bin/env bash
# The program as a user meets it: exit codes, what goes to stdout and stderr, and one report per job
# whatever the number of ranks. program_test.sh PROGRAM
set -uo pipefail

program=$PWD/$1
presets=configs/presets
failures=0
source configs/bazel/mpi_environment.sh

# run COMMAND...: sets `status`, `out`, `err`.
run() {
  "$@" >"$TEST_TMPDIR/out" 2>"$TEST_TMPDIR/err"
  status=$?
  out=$(<"$TEST_TMPDIR/out")
  err=$(<"$TEST_TMPDIR/err")
}

fail() {
  printf 'FAILED: %s\n--- status %s\n--- stdout\n%s\n--- stderr\n%s\n' "$1" "$status" "$out" "$err"
  failures=$((failures + 1))
}

# expect STATUS STREAM TEXT NAME: of the last run.
expect() {
  local stream=$out
  [[ $2 == err ]] && stream=$err
  [[ $status == "$1" && $stream == *"$3"* ]] || fail "$4"
}

# Under mpirun leaks are not looked for: see configs/bazel/mpi_test.sh.
ranks() {
  local number=$1
  shift
  ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
    run mpirun --oversubscribe --bind-to none --mca btl self,vader -np "$number" "$@"
}

run "$program"; expect 2 err "Commands:" "no command shows help"
run "$program" --help; expect 0 out "configs/presets/quickstart.textproto" "help has an example"
run "$program" train --help; expect 0 out "--set=PATH=VALUE" "help of train"
run "$program" help train; expect 0 out "--set=PATH=VALUE" "help train"
run "$program" --version; expect 0 out "equipoise " "version"
run "$program" trian; expect 2 err "did you mean train?" "unknown command"
run "$program" train; expect 2 err "--config=FILE is missing" "no configuration"
run "$program" train --confg=x; expect 2 err "did you mean --config?" "unknown flag"
run "$program" info --config=x; expect 2 err "unknown flag --config" "flag of another command"
[[ $err == *"equipoise info --help says more." ]] || fail "a wrong flag of info points to help"
run "$program" fields --x; expect 2 err "equipoise fields --help says more." "wrong flag of fields"
run "$program" train --hlep; expect 2 err "did you mean --help?" "misspelt help"
[[ $(grep -c '^$' <<<"$err") == 0 ]] || fail "no blank line in a report about flags"
run "$program" train --config=$presets/tiny.textproto --run_dir= --validate_only
expect 2 err "--run_dir is given an empty value" "empty run directory"
run "$program" train --config=/nowhere/x --validate_only; expect 2 err "no such file" "no such file"
run "$program" fields; expect 0 out '### `moe`' "fields"
run "$program" info; expect 0 out "1 rank on 1 node" "info alone"

run "$program" train --config=$presets/tiny.textproto --validate_only
expect 0 out "was not checked: see --num_ranks" "validation without ranks says so"
run "$program" train --config=$presets/tiny.textproto --validate_only --num_ranks=9
expect 2 err "there are more ranks than sequences" "validation for nine ranks"
run "$program" train --config=$presets/tiny.textproto --num_ranks=2
expect 2 err "mpirun -np says how many" "num_ranks does not train"
run "$program" train --config=$presets/tiny.textproto --validate_only --num_ranks=0
expect 2 err "--num_ranks is 0, but must be at least 1" "no ranks"

run "$program" train --config=$presets/tiny.textproto --print_config --set moe.top_k=3
expect 0 out "top_k: 3" "print_config"
first=$out
printf '%s\n' "$out" >"$TEST_TMPDIR/printed.textproto"
run "$program" train --config="$TEST_TMPDIR/printed.textproto" --print_config
[[ $status == 0 && $out == "$first" ]] || fail "print_config is a fixed point"

ranks 3 "$program" info
expect 0 out "3 ranks on 1 node" "info under mpirun"
[[ $(grep -c '^version' <<<"$out") == 1 ]] || fail "info prints once per job"

begin=$(date +%s%N)
run "$program" train --config=$presets/tiny.textproto --set moe.topk=2
printf 'a wrong configuration was reported in %d ms\n' $((($(date +%s%N) - begin) / 1000000))
expect 2 err "--set #1 'moe.topk=2': no field 'topk' in moe; did you mean top_k?" "wrong field"

ranks 4 "$program" train --config=$presets/tiny.textproto --set moe.topk=2 --set batch.sequences=3
expect 2 err "did you mean top_k?" "wrong configuration under mpirun"
[[ $(grep -c "did you mean top_k" <<<"$err") == 1 ]] || fail "the report comes once per job"
[[ $err == *"more ranks than sequences"* ]] || fail "all problems at once, those of ranks too"

ranks 3 "$program" train --config=$presets/tiny.textproto --print_config
[[ $status == 0 && $(grep -c '^steps:' <<<"$out") == 1 ]] || fail "print_config once per job"
ranks 2 "$program" train --config=$presets/tiny.textproto --validate_only --num_ranks=3
expect 2 err "--num_ranks is 3, but this job has 2 ranks" "num_ranks differs from the job's"
ranks 2 "$program" train --config=$presets/tiny.textproto --validate_only --num_ranks=2
expect 0 out "checked for 2 ranks" "num_ranks of the job"

((failures == 0)) || exit 1
echo "all as expected"
