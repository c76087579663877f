#!/usr/bin/env bash
# `equipoise report` and `equipoise telemetry` as a user meets them: a run, two runs, a sweep,
# damaged and foreign directories, a long run; and the pages in headless Chromium where there is one.
# report_test.sh PROGRAM MAKE_RUN
set -uo pipefail

program=$PWD/$1
make_run=$PWD/$2
browser=$PWD/tests/launcher/report_browser.py
agree=$PWD/tests/launcher/sinks_agree.py
failures=0
source configs/bazel/mpi_environment.sh
mkdir -p "$TEST_TMPDIR/report"
cd "$TEST_TMPDIR/report" || exit 1

# run COMMAND...: sets `status`, `out`, `err`.
run() {
  "$@" >out.txt 2>err.txt
  status=$?
  out=$(<out.txt)
  err=$(<err.txt)
}

fail() {
  printf 'FAILED: %s\n--- status %s\n--- stdout\n%s\n--- stderr\n%s\n' "$1" "$status" \
    "${out:0:2000}" "${err:0:2000}"
  failures=$((failures + 1))
}

# expect STATUS STREAM TEXT NAME: of the last run.
expect() {
  local stream=$out
  [[ $2 == err ]] && stream=$err
  [[ $status == "$1" && $stream == *"$3"* ]] || fail "$4"
}

# expect_page FILE ID...: the page has an element with each id.
expect_page() {
  local file=$1 id
  shift
  for id in "$@"; do grep -q "id=\"$id\"" "$file" || fail "$file has no $id"; done
  if grep -qE '(src|href)="(https?:)?//|<script|@import|url\(' "$file"; then
    fail "$file loads something"
  fi
}

for kind in train validation; do # any bytes are a corpus
  for domain in a b; do
    for ((i = 0; i < 300; ++i)); do echo "line $i of $kind $domain: $((i * i)) is $((i % 7))"; done \
      >"$domain.$kind.bytes"
  done
done
cat >base.textproto <<'END'
steps: 30
model { vocabulary: 257 hidden: 16 num_layers: 2 num_heads: 2 num_kv_heads: 2 }
moe { num_experts: 4 top_k: 2 expert_width: 16 balance_loss { coefficient: 0.02 } }
data {
  domain { name: "a" train: "a.train.bytes" validation: "a.validation.bytes" }
  domain { name: "b" train: "b.train.bytes" validation: "b.validation.bytes" }
}
batch { sequences: 4 sequence_length: 16 }
optimizer { schedule { kind: COSINE peak: 3e-3 warmup_steps: 5 } }
checkpoint { every_steps: 10 }
validation { sequences: 2 every_steps: 10 }
telemetry { progress: OFF }
END
balance=(chart-gini chart-max-over-mean chart-min-max)
charts=(chart-loss chart-learning-rate chart-gradient-norm chart-domain-loss "${balance[@]}"
  chart-lorenz-0 chart-gates-0 chart-load-0-0 chart-load-0-1 chart-domains-0-0 chart-domains-0-1
  chart-exchange-0 chart-locality-0 chart-node-bytes-0 chart-time chart-time-curves chart-speed
  chart-mfu chart-timeline-0)
both_charts=(chart-loss chart-validation chart-learning-rate chart-gradient-norm "${balance[@]}"
  chart-lorenz-0 chart-lorenz-1 chart-gates-0 chart-gates-1 chart-load-0-0 chart-load-1-1
  chart-domains-0-0 chart-domains-1-1 chart-exchange-0 chart-exchange-1 chart-node-bytes-1
  chart-time chart-speed chart-mfu chart-timeline-0 chart-timeline-1)
sweep_charts=(sweep-0-chart-pareto-balance sweep-0-chart-pareto-time sweep-0-chart-curves-loss)
long_charts=(chart-loss "${balance[@]}" chart-lorenz-0 chart-gates-0 chart-load-0-0 chart-load-0-3
  chart-domains-0-0 chart-exchange-0 chart-links-0 chart-node-bytes-0 chart-time chart-timeline-0)

# A run that was resumed: every sink has each step once.
run "$program" train --config base.textproto --run_dir runs/one --set steps=20
expect 0 out "run directory" "the first part of a run"
run "$program" train --config base.textproto --run_dir runs/one --set steps=20 \
  --set checkpoint.resume=runs/one/ckpt/step-00000010
expect 0 out "resumed after step 10" "the second part of a run"
steps=$("$program" telemetry dump runs/one --format jsonl | sed 's/^{"step":\([0-9]*\),.*/\1/')
[[ $steps == "$(seq 1 20)" ]] || fail "router.bin has the steps $steps"
run "$program" telemetry dump runs/one --from 7 --to 7
expect 0 out "7,1,counts," "one step as CSV"
[[ $(wc -l <out.txt) == 9 ]] || fail "two layers with four arrays each, and bytes, are 9 lines"
[[ $(grep -c '"event":"start"' runs/one/events.jsonl) == 2 ]] || fail "two starts are two events"
grep -q 'equipoise_step{run="one"} 20' runs/one/prom/equipoise_one.prom ||
  fail "Prometheus' file of a run that has ended has not the last step"

"$program" telemetry dump runs/one --format jsonl >dump.jsonl
run python3 "$agree" runs/one dump.jsonl
expect 0 out "event files: " "the sinks hold the same numbers"
grep SKIPPED out.txt

run "$program" report runs/one
expect 0 out "report: runs/one/report.html" "a report on a run"
expect_page runs/one/report.html "${charts[@]}"

# On the terminal, and into a pipe.
run "$program" top runs/one
expect 0 out "one  finished  step 20/20 (100%)" "a run as one screen"
expect 0 out "load by expert" "the layers of a run"
run "$program" top nowhere
expect 2 err "there is nothing at 'nowhere'" "top of a path that is not there"
expect 2 err "name the directory of a run" "top says what it takes"
[[ $err != *sweep* ]] || fail "top takes no sweeps"
run "$program" top runs/one runs/one
expect 2 err "needs one run directory, not 2" "top of two runs"
if command -v script >/dev/null; then # a terminal of its own; q leaves it, and the run's end
  cp -r runs/one going
  exec 9>going/LOCK
  flock -n 9 || fail "the lock of a run that goes on"
  sed -i 's/"finished"/"running"/' going/STATUS.json
  on_terminal="stty rows 24 cols 80; LC_ALL=C.UTF-8 $program top going --every 0.1"
  run timeout 60 script -qec "$on_terminal" /dev/null < <(sleep 2; printf q; sleep 5)
  expect 0 out $'\e[?1049h' "a screen of its own"
  [[ $out == *$'\e[?1049l' ]] || fail "the screen is given back, and nothing said"
  (sleep 2; cp runs/one/STATUS.json going/new; mv going/new going/STATUS.json) &
  run timeout 60 script -qec "$on_terminal" /dev/null < <(sleep 15)
  [[ $status == 0 && $out == *$'\e[?1049l'*"going  finished  step 20/20 (100%)"* ]] ||
    fail "top ends with the run and leaves its last screen"
  exec 9>&-
fi

# A run whose job was killed is not one that goes on.
cp -r runs/one killed
sed -i 's/"finished"/"running"/' killed/STATUS.json
run "$program" top killed
expect 0 out "killed  interrupted  step 20/20" "top of a run whose job is gone"
[[ $out == *"its job is gone"* && $out != *ETA* ]] || fail "top tells that the job is gone"
run "$program" report killed -o killed.html
grep -q 'its job is gone' killed.html || fail "the report tells that the job is gone"

# Two runs.
run "$program" train --config base.textproto --run_dir runs/two --set moe.balance_loss.coefficient=1
run "$program" report runs/one runs/two -o both.html
expect 0 out "both.html" "a report on two runs"
expect_page both.html "${both_charts[@]}"
grep -q 'Gini, worst layer, last step (chance)</th>' both.html || fail "chance is a row's, not a column's"
grep -q 'moe.balance_loss.coefficient' both.html || fail "both.html does not name what differs"

# A sweep.
cat >sweep.textproto <<'END'
name: "coefficients"
base: "base.textproto"
axis { field: "moe.balance_loss.coefficient" values: [0, 0.1] }
seeds: [1, 2]
END
run "$program" sweep run sweep.textproto --out sweep --jobs 2
run "$program" report sweep -o sweep.html
expect 0 out "sweep.html" "a report on a sweep"
expect_page sweep.html "${sweep_charts[@]}"
for title in 'held-out Gini, mean of layers' 'held-out Gini by chance' 'busiest / mean, training'; do
  grep -q "$title" sweep.html || fail "sweep.html has no $title"
done
run "$program" top sweep
expect 2 err "is the directory of a sweep" "top of a sweep"
expect 2 err "equipoise top sweep/trials/" "top names a trial"
grep -q ' ± ' sweep.html || fail "sweep.html has no intervals"

# A long run: 10^5 steps in under 3 seconds and 10 MB. REPORT_MILLISECONDS: another limit, for slow
# machines.
run "$make_run" long 100000 4 16 4
limit=${REPORT_MILLISECONDS:-3000}
for ((attempt = 0; attempt < 3; ++attempt)); do # somebody else may use this machine as well
  start=$(date +%s%N)
  run "$program" report long -o long.html
  milliseconds=$((($(date +%s%N) - start) / 1000000))
  expect 0 out "long.html" "a report on a long run"
  ((milliseconds < limit)) && break
done
echo "a report on 100000 steps: $milliseconds ms, $(stat -c %s long.html) bytes"
expect_page long.html "${long_charts[@]}"
[[ $(stat -c %s long.html) -lt 10000000 ]] || fail "long.html is too large"
((milliseconds < limit)) || fail "the report took $milliseconds ms"

# Half-written and damaged files are told and passed over.
cp -r runs/one torn
truncate -s -20 torn/metrics.jsonl
truncate -s -20 torn/router.bin
printf '{"starts":' >torn/run.json
printf '{' >torn/STATUS.json
printf '{"time"' >>torn/events.jsonl
run "$program" report torn -o torn.html
expect 0 out "torn.html" "a report on half-written files"
grep -q '1 line of metrics.jsonl is damaged or unfinished' torn.html || fail "torn.html does not count lines"
grep -q 'router.bin: 1 record is missing after step' torn.html || fail "torn.html does not count records"
for text in 'STATUS.json is missing or damaged' '1 line of events.jsonl is damaged' 'run.json is missing'; do
  grep -q "$text" torn.html || fail "torn.html does not say: $text"
done
cp -r runs/one lost
sed -i 3,4d lost/metrics.jsonl
run "$program" report lost
grep -q 'metrics.jsonl: 2 records are missing after step' lost/report.html || fail "lost rows are told"
rm lost/metrics.jsonl
run "$program" report lost
grep -q 'records are missing at the beginning' lost/report.html || fail "a lost file is told"
run "$program" telemetry dump torn
expect 0 err "router.bin: 1 record is missing after step" "a dump of a torn file"
size=$(stat -c %s torn/router.bin)
truncate -s $((size / 3)) torn/router.bin
run "$program" telemetry dump torn --format jsonl
lost=$(($(grep -c cross_entropy runs/one/metrics.jsonl) - $(wc -l <<<"$out")))
expect 0 err "router.bin: $lost records are missing after step" "a dump of a third of a file"
truncate -s 20 torn/router.bin
run "$program" telemetry dump torn
expect 2 err "nothing is left of 'torn/router.bin'" "a dump of a file without a record"
run "$program" telemetry dump runs/one --from 5 --to 3
expect 2 err "asks for no step" "steps in the wrong order"
run "$program" telemetry dump runs/one --from 1000000
expect 2 err "there is no record of the steps" "steps behind the last"
run "$program" telemetry dump runs/one --to -1
expect 2 err "asks for no step" "steps before the first"

# What is gone or is not what the run wrote is named in the Overview, and a whole run names nothing.
# expect_named TEXT COMMAND...: after COMMAND in a copy of a run.
expect_named() {
  local text=$1
  shift
  rm -rf broken
  cp -r runs/one broken
  (cd broken && "$@")
  run "$program" report broken
  expect 0 out "broken/report.html" "a report after $*"
  grep -qF -- "$text" broken/report.html || fail "the report after $* does not say: $text"
}
if grep -qE '(config.textproto|router.bin)[^.]* is (missing|empty|damaged)' runs/one/report.html; then
  fail "a whole run is said to be damaged"
fi
expect_named 'config.textproto is missing: what the run was made with' rm config.textproto
expect_named 'config.textproto is empty: what' truncate -s 0 config.textproto
expect_named 'config.textproto is damaged (it is not what the run wrote)' sed -i '/^optimizer {/,$d' config.textproto
expect_named 'config.textproto is damaged (it is not' sed -i 's/^seed: .*/seed: 77/' config.textproto
grep -q '^seed: 77' broken/config.textproto || fail "the seed was not edited"
expect_named 'router.bin is missing, although router.idx says that it was written' rm router.bin
expect_named 'router.bin is missing, although the run was to write it' rm router.bin router.idx
expect_named 'router.bin is missing (that the run was to write' rm router.bin router.idx config.textproto
expect_named "router.bin' has 0 bytes, too few for a header" truncate -s 0 router.bin
expect_named 'router.bin has no record of any step' sh -c 'truncate -s 16 router.bin; rm router.idx'
expect_named 'is no router log' sh -c 'echo "no log at all, but long enough" >router.bin'
expect_named "router.bin'" sh -c 'rm router.bin; mkdir router.bin'
expect_named 'the loads by expert are those of metrics.jsonl' sh -c 'rm router.bin; mkdir router.bin'
grep -q 'id="chart-gini"' broken/report.html || fail "a page without a router.bin has its charts"
run "$program" telemetry dump broken
[[ $status == 2 ]] || fail "a dump of a folder"

# Why there is nothing to dump is said as far as it is known.
rm -rf broken
cp -r runs/one broken
rm broken/router.bin
run "$program" telemetry dump broken
expect 2 err "it is gone, as the run was made with telemetry.router_log: true" "a lost log"
sed -i 's/router_log: true/router_log: false/' broken/config.textproto
run "$program" telemetry dump broken
expect 2 err "': the run was made with telemetry.router_log: false; its counts" "no log was asked for"
rm broken/config.textproto
run "$program" telemetry dump broken
expect 2 err "it is gone, or the run was made with telemetry.router_log: false (its config.textproto" "not known"

# What is no run.
run "$program" report nowhere
expect 2 err "there is nothing at 'nowhere'" "a path that is not there"
mkdir -p empty
run "$program" report empty
expect 2 err "is no run directory" "a directory that is no run"
cp -r runs/one newer
sed -i 's/"format": 1/"format": 99/' newer/run.json
for verb in report top 'telemetry dump'; do
  run "$program" $verb newer
  expect 2 err "a newer Equipoise wrote it" "$verb of a run of a newer version"
done
echo text >file
for verb in report top; do
  run "$program" $verb file
  expect 2 err "cannot be read as the directory of a run" "$verb of a file"
done
run "$program" train --config base.textproto --run_dir file
expect 2 err "the run directory 'file' cannot be used" "a file as run directory"
run "$program" train --config base.textproto --run_dir newer --set steps=20
expect 2 err "a newer Equipoise wrote it" "going on with a run of a newer version"
grep -q '"format": 99' newer/run.json || fail "a refused directory is left as it was"
cmp -s newer/metrics.jsonl runs/one/metrics.jsonl || fail "a refused run's metrics are kept"
cp -r runs/one newer_log
printf '\x63' | dd of=newer_log/router.bin bs=1 seek=8 conv=notrunc status=none
run "$program" telemetry dump newer_log
expect 2 err "a newer Equipoise wrote it" "a router.bin of a newer version"
run "$program" report newer_log
expect 0 out "report:" "a report on a run with a router.bin of a newer version"
grep -q 'a newer Equipoise wrote it; use that; the loads by expert are those of metrics.jsonl' \
  newer_log/report.html || fail "a router.bin of a newer version is named"
run "$program" report
expect 2 err "needs the directory" "no path"
run "$program" report runs/one --widnow=3
expect 2 err "did you mean --window?" "a misspelt flag"
run "$program" telemetry dump empty
expect 2 err "there is no router.bin in 'empty'" "a dump of no run"
run "$program" telemetry dump runs/one --format xml
expect 2 err "must be csv or jsonl" "a format that is none"
run "$program" report runs/one -o nowhere/report.html
[[ $status == 2 && $err == *"nowhere/report.html"* && $err == *"with -o"* && $err != *.tmp-* ]] ||
  fail "a page that cannot be written"
run "$program" report runs/one -o
expect 2 err "-o needs a value: -o FILE" "-o without a value"

# The page takes the place of an earlier one and of nothing else.
before=$(find runs/one base.textproto -type f -exec sha256sum {} + | sort)
mkdir folder.html
mkfifo pipe
ln -s base.textproto link
ln -s /dev/full full.html
for place in runs/one/metrics.jsonl runs/one/config.textproto base.textproto link full.html pipe /dev/full; do
  run timeout 20 "$program" report runs/one -o $place
  expect 2 err "'$place' is " "a page in the place of $place"
  [[ $err == *"was not changed; name another place"* ]] || fail "what to do about $place"
done
for place in folder.html runs/one; do
  run "$program" report runs/one -o $place
  expect 2 err "'$place' is a folder; name a file" "a page in the place of a folder"
done
[[ -p pipe && -L link && -L full.html && -c /dev/full && -d folder.html ]] || fail "a refused place is left"
[[ $(find runs/one base.textproto -type f -exec sha256sum {} + | sort) == "$before" ]] ||
  fail "a refused page changes nothing"
run "$program" report runs/one -o page
expect 0 out "report: page" "a page of any name"
run "$program" report runs/one -o page
expect 0 out "report: page" "a page in the place of a page"

# In a browser.
# with_ids FILE ID...: the browser's argument.
with_ids() {
  local IFS=,
  echo "$1=${*:2}"
}
if command -v chromium >/dev/null && python3 "$browser" --check; then
  python3 "$browser" "$TEST_TMPDIR/shots" "$(with_ids runs/one/report.html "${charts[@]}")" \
    "$(with_ids both.html "${both_charts[@]}")" "$(with_ids sweep.html "${sweep_charts[@]}")" \
    "$(with_ids long.html "${long_charts[@]}")" || failures=$((failures + 1))
  # A page without one of its charts does not pass.
  sed 's/id="chart-gini"/id="chart-ginny"/' runs/one/report.html >lacking.html
  if python3 "$browser" "$TEST_TMPDIR/shots" "$(with_ids lacking.html chart-gini)" >out.txt; then
    fail "the browser's test does not see that a chart is missing"
  fi
else
  echo "SKIPPED: no chromium here (apt-get install chromium): the pages were not rendered"
fi

((failures == 0)) && echo "all passed"
exit $((failures > 0))
