#!/usr/bin/env bash
# A node that is lost ends the job within seconds, mpirun included, with a message that names it; a
# node that is only away for a moment, or whose first rank is stopped, does not.
#
# Usage: lost_node_test.sh CLUSTER_SH EQUIPOISE
set -euo pipefail
cluster=$1 equipoise=$PWD/$2
agent=$(dirname "$(realpath "$cluster")")/agent.sh
name=lost-$$
export TMPDIR=${TEST_TMPDIR:-/tmp}
work=$(mktemp -d)
failures=0

check() { # WHAT ACTUAL EXPECTED(pattern)
  # shellcheck disable=SC2053 # a pattern
  if [[ $2 == $3 ]]; then
    echo "ok: $1"
  else
    echo "FAILED: $1: got '$2', expected '$3'"
    failures=$((failures + 1))
  fi
}

status=0
"$cluster" --name "$name" up --nodes 2 --ranks-per-node 2 --rate none >"$work/up" 2>&1 || status=$?
if [[ $status == 77 ]]; then
  cat "$work/up"
  exit 0
fi
trap '"$cluster" --name "$name" down; rm -rf "$work"' EXIT

seq 100000 | awk '{ printf "%d is %s a number; ", $1, $1 % 7 ? "not" : "perhaps" }' >"$work/text"
cat >"$work/config.textproto" <<END_CONFIG
steps: 1000000
model { vocabulary: 257 hidden: 16 num_layers: 1 num_heads: 2 num_kv_heads: 2 }
moe { num_experts: 4 top_k: 1 expert_width: 8 router { top_k {} } }
batch { sequences: 4 sequence_length: 16 }
optimizer { schedule { kind: CONSTANT peak: 1e-3 } }
data { root: "$work" separator: 256 domain { name: "numbers" train: "text" } }
checkpoint { save_at_end: false }
END_CONFIG

on() { "$cluster" --name "$name" exec "$@"; }
ranks() { pgrep -fc "^$equipoise train.*--run_dir $work/$1( |$)" || true; }
steps() { cat "$work/$1"/metrics.jsonl 2>/dev/null | wc -l; }
train=("$equipoise" train --config "$work/config.textproto")

start() { # RUN COMMAND...: in the background, until it has made some steps
  local run=$1
  "${@:2}" --run_dir "$work/$run" >"$work/$run.log" 2>&1 &
  for ((i = 0; i < 300 && $(steps "$run") < 5; i++)); do sleep 0.1; done
  check "$run: training" "$(($(steps "$run") >= 5))" 1
}

mend() { # NODE: until it can be reached; nobody listens there, so that a connection is refused
  "$cluster" --name "$name" mend "$1"
  local reach="exec 3<>/dev/tcp/10.77.0.$((${1#node} + 1))/9"
  until [[ $(on head -- timeout 1 bash -c "$reach" 2>&1 || true) == *refused* ]]; do sleep 0.2; done
}

finish() { # RUN NODE: cuts NODE, and waits for the end of what start() has started
  local run=$1 since=$EPOCHREALTIME
  "$cluster" --name "$name" cut "$2"
  status=0
  wait $! || status=$?
  took=$(awk -v a="$since" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  for ((i = 0; i < 100 && $(ranks "$run") > 0; i++)); do sleep 0.1; done
  check "$run: no rank is left on any node" "$(ranks "$run")" 0
  echo "$run: mpirun ended $took s after the cut, with exit status $status"
  mend "$2"
}

lines() { grep -c "node node1 (ranks 2, 3): not heard of for $2 s, lost or cut off" "$work/$1.log" || true; }

# mpirun where no rank runs: it is told to notice for itself, a little later than the ranks.
start head "$cluster" --name "$name" run -- "${train[@]}"
finish head node1
check "head: ended within 20 s" "$(awk -v t="$took" 'BEGIN { print (t < 20) }')" 1
check "head: the node is named once" "$(lines head 10)" 1
check "head: exit status" "$status" 205
check "head: STATUS.json" "$(tr -d '\n' <"$work/head/STATUS.json")" '*"failed"*node node1 (ranks 2, 3)*'
cat "$work/head.log"

# mpirun beside ranks, as it comes: the ranks end it. Not in the cluster's own `run`, because ranks
# would have to be on the host that it starts from.
mpirun=(mpirun -np 4 -H node0:2,node1:2 --oversubscribe --bind-to none --allow-run-as-root
  --mca plm_rsh_agent "$agent" --mca btl tcp,vader,self --mca btl_tcp_if_include eth0
  --mca oob_tcp_if_include eth0 --mca mpi_yield_when_idle 1)
start beside on node0 -- "${mpirun[@]}" "${train[@]}" --set wait.lost_node_seconds=4
finish beside node1
check "beside: ended within 15 s" "$(awk -v t="$took" 'BEGIN { print (t < 15) }')" 1
check "beside: the node is named once" "$(lines beside 4)" 1
check "beside: exit status" "$status" 137
for ((i = 0; i < 50 && $(pgrep -xc orted || true) > 0; i++)); do sleep 0.1; done

# Away for less than the limit; and the rank that beats for its node stopped for longer than that.
start pause "$cluster" --name "$name" run -- "${train[@]}" --set wait.lost_node_seconds=4
"$cluster" --name "$name" cut node1
sleep 2
mend node1
# shellcheck disable=SC2016 # the inner shell expands
first=$(on node1 -- bash -c 'for p in /proc/[0-9]*; do
  [[ $(cat "$p/comm" 2>/dev/null) == equipoise ]] &&
    tr "\0" "\n" <"$p/environ" | grep -qx OMPI_COMM_WORLD_RANK=2 && echo "${p#/proc/}"
done; true')
on node1 -- kill -STOP "$first"
sleep 7
on node1 -- kill -CONT "$first"
before=$(steps pause)
for ((i = 0; i < 200 && $(steps pause) <= before; i++)); do sleep 0.1; done
check "pause: goes on" "$(($(steps pause) > before))" 1
on head -- pkill -USR1 -x mpirun
status=0
wait $! || status=$?
check "pause: stopped in good order" "$status" 143
check "pause: nobody was lost" "$(grep -c 'lost or cut off' "$work/pause.log" || true)" 0

((failures == 0)) || {
  tail -n 30 "$work"/*.log
  echo "$failures checks failed"
  exit 1
}
