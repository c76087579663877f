#!/usr/bin/env bash
# launcher/wandb_replay.py with a package `wandb` that writes down what it is told.
# wandb_replay_test.sh SCRIPT
set -uo pipefail

script=$PWD/$1
cd "$TEST_TMPDIR" || exit 1
failures=0
fail() { printf 'FAILED: %s\n%s\n' "$1" "$out"; failures=$((failures + 1)); }

mkdir -p fake run
cat >fake/wandb.py <<'END'
import json
class Run:
    def log(self, numbers, step):
        print(json.dumps({"step": step, **numbers}, sort_keys=True))
    def finish(self):
        print("finished")
def init(**options):
    print(json.dumps(options, sort_keys=True))
    return Run()
END
printf 'steps: 2\n' >run/config.textproto
cat >run/metrics.jsonl <<'END'
{"step":0,"tokens":0,"validation":{"loss":5.5,"domains":{"prose":{"loss":5.25}},"moe":[]}}
{"step":1,"loss":3.5,"mfu":null,"time":{"data":0.5},"moe":[{"layer":2,"counts":[1,2],"gini":0.25}]}
{"step":2,"lo
END
out=$(PYTHONPATH=fake python3 "$script" run --project mine 2>&1) || fail "status"
expected='{"config": {"config.textproto": "steps: 2\n"}, "mode": "offline", "name": "run", "project": "mine"}
{"step": 0, "tokens": 0, "validation/domains/prose/loss": 5.25, "validation/loss": 5.5}
{"loss": 3.5, "moe/layer_02/gini": 0.25, "step": 1, "time/data": 0.5}
finished
replayed 2 rows, left out 1 damaged ones'
[[ $out == "$expected" ]] || fail "what wandb was told"
out=$(python3 "$script" nowhere 2>&1)
[[ $? == 2 && $out == *"there is no nowhere/metrics.jsonl"* ]] || fail "no such run"
mkdir -p empty newer unreadable/metrics.jsonl
: >empty/metrics.jsonl
out=$(PYTHONPATH=fake python3 "$script" empty 2>&1)
[[ $? == 2 && $out == *"empty/metrics.jsonl has no row yet" ]] || fail "no row"
out=$(PYTHONPATH=fake python3 "$script" unreadable 2>&1)
[[ $? == 2 && $out == *"cannot read unreadable/metrics.jsonl"* ]] || fail "not a file"
cp run/metrics.jsonl newer
echo '{"format": 99}' >newer/run.json
out=$(PYTHONPATH=fake python3 "$script" newer 2>&1)
[[ $? == 2 && $out == *"written by a newer Equipoise"* ]] || fail "a run of a newer version"
echo '{"form' >newer/run.json
echo '{"step":1e400}' >>newer/metrics.jsonl
out=$(PYTHONPATH=fake python3 "$script" newer 2>&1)
[[ $? == 0 && $out == *"replayed 2 rows, left out 2 damaged ones" ]] || fail "half a run.json"
out=$(PYTHONPATH=/nonexistent python3 -S "$script" run 2>&1)
[[ $? == 1 && $out == *"pip install wandb"* ]] || fail "no package"
((failures == 0)) && echo "all passed"
exit $((failures > 0))
