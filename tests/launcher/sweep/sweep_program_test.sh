#!/usr/bin/env bash
# A sweep as a user meets it, with real trainings: 24 trials (router x coefficient x seed) killed
# with -9 in the middle go on with what is not finished, and end in a report.
# sweep_program_test.sh PROGRAM
set -uo pipefail

program=$PWD/$1
page=$PWD/docs/experiments.md
repository=$PWD
folder=$TEST_TMPDIR/sweep
failures=0
source configs/bazel/mpi_environment.sh
mkdir -p "$folder"
cd "$folder" || exit 1

# run COMMAND...: sets `status`, `out`, `err`.
run() {
  "$@" >out.txt 2>err.txt
  status=$?
  out=$(<out.txt)
  err=$(<err.txt)
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

for kind in train validation; do # any bytes are a corpus
  for ((i = 0; i < 400; ++i)); do echo "line $i of $kind: $((i * i)) is $((i % 7)) by seven"; done \
    >text.$kind.bytes
done
cat >base.textproto <<'END'
steps: 60
model { vocabulary: 257 hidden: 16 num_layers: 2 num_heads: 2 num_kv_heads: 2 }
moe { num_experts: 4 top_k: 2 expert_width: 16 }
data { domain { name: "text" train: "text.train.bytes" validation: "text.validation.bytes" } }
batch { sequences: 4 sequence_length: 16 }
optimizer { schedule { kind: COSINE peak: 3e-3 warmup_steps: 5 } }
checkpoint { every_steps: 10 }
validation { sequences: 2 }
telemetry { progress: OFF }
END
echo 'moe { router { lpr { latent_dim: 4 } } }' >lpr.textproto
cat >sweep.textproto <<'END'
name: "routers"
base: "base.textproto"
axis {
  name: "router"
  point { name: "top_k" }
  point { name: "lpr" config: "lpr.textproto" }
}
axis { field: "moe.balance_loss.coefficient" values: [0, 0.01, 0.1, 1] }
seeds: [1, 2, 3]
END

run "$program" sweep; expect 2 err "run, status, stop or report?" "no verb"
run "$program" sweep rnu; expect 2 err "did you mean run?" "unknown verb"
run "$program" sweep run; expect 2 err "needs a sweep file" "no file"
run "$program" sweep run sweep.textproto --jobs 0; expect 2 err "--jobs is 0" "no jobs"
run "$program" sweep run sweep.textproto --out; expect 2 err "--out needs a value" "no directory"
run "$program" sweep status nowhere; expect 2 err "not the directory of a sweep" "status of nothing"
run "$program" sweep report nowhere; expect 2 err "not the directory of a sweep" "report of nothing"
run "$program" sweep stop nowhere; expect 2 err "not the directory of a sweep" "stop of nothing"
run mpirun --oversubscribe -np 1 "$program" sweep status x; expect 2 err "without mpirun" "mpirun"
run "$program" sweep run sweep.textproto --list; expect 0 out "24 trials: 24 waiting" "list"
[[ -e runs ]] && fail "a list writes nothing"
run "$program" sweep run sweep.textproto --set moe.top_k=9
expect 2 err "--set #1 'moe.top_k=9': moe.top_k is 9" "invalid trials"
expect 2 err "in every trial" "which trials are invalid"
run "$program" sweep run sweep.textproto --trial 00; expect 2 err "no such trial" "unknown trial"

# The page's example is one that runs: the file that it has people write.
sed -n '/cat > sweep.textproto/,/^    END/{/cat >/d;/END/d;s/^    //;p}' "$page" |
  sed "s|configs/studies|$repository/&|" >page.textproto
[[ -s page.textproto ]] || fail "docs/experiments.md has no sweep file"
run "$program" sweep run page.textproto --list
expect 0 out "sweep coefficients: 12 trials: 12 waiting" "the sweep of docs/experiments.md"

echo 'median_stopping { metric: "validation.los" }' | cat sweep.textproto - >median.textproto
run "$program" sweep run median.textproto
expect 2 err "did you mean validation.loss?" "a metric that no row has"

# Counts trials that say they are finished.
finished() { grep -ls '"finished"' out/trials/*/STATUS.json | wc -l; }

"$program" sweep run sweep.textproto --out out --jobs 2 >first.txt 2>&1 &
sweep=$!
for ((i = 0; i < 600; ++i)); do
  (($(finished) >= 8)) && break
  sleep 0.05
done
run "$program" sweep run sweep.textproto --out out
expect 2 err "another \`sweep run\` is at work" "two sweeps in one directory"
run "$program" sweep status out; expect 0 out " running " "status of a running sweep"
kill -9 "$sweep"
wait "$sweep" 2>/dev/null
sleep 1
before=$(finished)
((before >= 8 && before < 24)) || fail "killed in the middle: $before were finished"
run "$program" sweep status out
expect 0 out "$before finished" "status counts the finished trials"
[[ $out == *interrupted* && $out != *" running "* ]] || fail "what was killed is interrupted"
touch out/marker
# What finished trials left, by their contents.
left() { for id in "$@"; do sha256sum "out/trials/$id/metrics.jsonl" "out/trials/$id/run.json"; done; }
mapfile -t done_before < <(grep -ls '"finished"' out/trials/*/STATUS.json | xargs -n 1 dirname |
  xargs -n 1 basename)
left_before=$(left "${done_before[@]}")
run "$program" sweep run sweep.textproto --out out --jobs 2
expect 0 out "$((24 - before)) finished, $before already done before" "the rest is run"
[[ $(finished) == 24 ]] || fail "all are finished"
again=$(find out/trials -name STATUS.json -newer out/marker | wc -l)
((again == 24 - before)) || fail "$again trials were run again, $((24 - before)) were left"
[[ $(left "${done_before[@]}") == "$left_before" ]] || fail "finished trials are left as they were"
run "$program" sweep run sweep.textproto --out out --jobs 2
expect 0 out "0 finished, 24 already done before" "nothing is left"
run "$program" sweep stop out; expect 0 out "no sweep is at work" "nothing to stop"

# After a stop, a single trial says what to do and uses up no attempt.
id=$(basename "$(find out/trials -mindepth 1 -maxdepth 1 | head -n 1)")
echo "asked to end" >out/STOP
before=$(<out/trials.jsonl)
run "$program" sweep run sweep.textproto --out out --trial "$id"
expect 75 err "remove out/STOP to go on" "a single trial of a sweep that was asked to end"
[[ $(<out/trials.jsonl) == "$before" ]] || fail "an attempt was used up"
rm out/STOP
run "$program" sweep run sweep.textproto --out out --trial "$id"
expect 0 out "1 already done before" "a single trial goes on without STOP"

run "$program" sweep report out --window 20
expect 0 out "* on the Pareto frontier of validation_loss" "report"
[[ $out == *±* && $out == *"* best"* && $out == *3/3* ]] || fail "intervals, frontier and best point"
[[ $(wc -l <out/report.csv) == 9 ]] || fail "a line for each of eight points"
python3 - out/report.json <<'END' || fail "report.json"
import json, sys
report = json.load(open(sys.argv[1]))
assert len(report["points"]) == 8 and len(report["trials"]) == 24
assert any(point["on_frontier"] for point in report["points"])
assert sum(point["best"] for point in report["points"]) == 1
for point in report["points"]:
    figures = point["figures"]
    assert point["finished"] == 3 and figures["validation_loss"]["ci95"] > 0
    assert 0 <= figures["gini_mean"]["mean"] <= figures["gini_worst"]["mean"] < 1
    assert figures["gini_floor"]["mean"] > 0 and figures["tokens_per_second"]["mean"] > 0
for trial in report["trials"]:
    assert trial["step"] == 60 and trial["window_steps"] == 20 and "skipped_lines" not in trial
END

run "$program" report out -o sweep.html
expect 0 out "sweep.html" "the sweep as a page"
for text in ' ± ' '● best' 'id="sweep-0-chart-pareto-balance"' 'class="error s'; do
  grep -qF "$text" sweep.html || fail "sweep.html lacks $text"
done

# What is done stays done when settings change that cannot change a result.
run "$program" sweep run sweep.textproto --out out --set checkpoint.every_steps=20
expect 0 out "0 finished, 24 already done before" "other checkpoints are no other trials"
run "$program" train --config base.textproto --run_dir out
expect 2 err "is the directory of a sweep" "a training in a sweep's directory"
id=$(basename "$(find out/trials -mindepth 1 -maxdepth 1 | head -n 1)")
run "$program" sweep run sweep.textproto --out "out/trials/$id"
expect 2 err "is the run directory of a training" "a sweep in a training's directory"
rm "out/trials/$id/metrics.jsonl"
run "$program" sweep report out
expect 0 out "not counted: $id" "a finished trial without metrics"
id=$(find out/trials -name metrics.jsonl -printf '%h\n' -quit)
cp "$id/metrics.jsonl" whole.jsonl
head -n 5 whole.jsonl >"$id/metrics.jsonl"
run "$program" sweep report out
expect 0 out "56 records are missing after step 4; delete $id and run the sweep again" "5 of 60 rows"
run "$program" report out -o sweep.html
grep -q "Trial ${id##*/} .* is not counted: .*56 records" sweep.html || fail "the page tells of it"
cp whole.jsonl "$id/metrics.jsonl"

# A time limit in the configuration ends a trial before its last step.
cat >limit.textproto <<'END'
base: "base.textproto"
set: ["steps=200000", "max_minutes=0.01"]
seeds: [1]
END
run "$program" sweep run limit.textproto; expect 0 out "will not count in the report" "a time limit"
run "$program" sweep report runs/limit
expect 0 out "of 200000: time limit; raise or remove max_minutes" "a time limit in the report"
[[ $out != *" best "* && $out == *0/1* ]] || fail "what a time limit ended is no result"
step=$(grep -o '"step":[ 0-9]*' runs/limit/trials/*/STATUS.json | tr -dc 0-9)
run "$program" sweep run limit.textproto
expect 0 out "with max_minutes raised or removed, the same command goes on" "how to go on"
[[ $out == *"1 already done before"* ]] || fail "the same limit runs nothing"
run "$program" sweep run limit.textproto --set max_minutes=0.02
expect 0 out "1 trials, 1 to run" "a raised limit goes on"
later=$(grep -o '"step":[ 0-9]*' runs/limit/trials/*/STATUS.json | tr -dc 0-9)
((later > step)) || fail "step $later is not after $step"
run "$program" sweep report runs/limit
expect 0 out "it ended at step $later of 200000" "the rows of both starts are there"

# A sweep of several ranks, and one whose trials fail.
run "$program" sweep run sweep.textproto --out other --set data.root=/nowhere \
  --set checkpoint.every_steps=0
expect 3 err "No trial was started" "a corpus that is not there"
[[ $err == *"/nowhere"*"corpus.sh"*"data.root"* ]] || fail "what is not there, and what to do"
[[ -z $(ls other/trials) && ! -e other/trials.jsonl ]] || fail "without data no trial is tried"
# Under mpirun leaks are not looked for: see configs/bazel/mpi_test.sh.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
cat >ranks.textproto <<'END'
base: "base.textproto"
set: "steps=6"
seeds: [1, 2]
trial { ranks: 2 }
END
sed 's/ranks: 2/& mpirun: "mpirunnn -x 3" retries: 2/' ranks.textproto >mpirunnn.textproto
run "$program" sweep run mpirunnn.textproto
expect 2 err "mpirunnn.textproto:4:" "where the program is named that cannot be found"
[[ $err == *"'mpirunnn'"*"No trial was started"* && ! -e runs/mpirunnn/trials.jsonl ]] ||
  fail "an mpirun that cannot be found"
run "$program" sweep run ranks.textproto; expect 0 out "2 finished" "trials of two ranks"
grep -q '"hosts": \[' runs/ranks/trials/*/run.json || fail "run directories below runs/NAME"
run "$program" sweep run ranks.textproto --slurm_script_only
expect 0 out "2 trials, 0 to run" "nothing left for Slurm"
run "$program" sweep run ranks.textproto --slurm_script_only --set steps=7 --jobs 2
expect 0 out "written: " "a script for Slurm"
bash -n runs/ranks/sweep.sbatch || fail "the script is one"
SLURM_ARRAY_TASK_ID=1 run bash runs/ranks/sweep.sbatch
expect 0 out "1 finished" "a task of the array runs its trial"

# Trials that would fail again: what to do is said once, and nothing else contradicts it.
cat >diverges.textproto <<'END'
base: "base.textproto"
set: ["optimizer.schedule.peak=1000", "optimizer.max_gradient_norm=0"]
seeds: [1, 2]
END
run "$program" sweep run diverges.textproto
expect 1 err "2 of them would fail the same way again" "losses that are not finite"
[[ $err != *"tries them again"* ]] || fail "what would fail again is not promised to be tried"
[[ $(grep -c "Lower optimizer.schedule.peak" <<<"$out") == 1 ]] || fail "the advice once"
[[ $(grep -c "seed=.*console.log" <<<"$out") == 2 ]] || fail "both trials with their logs"

((failures == 0)) || exit 1
echo "all as expected"
