#!/usr/bin/env bash
# The cluster in a box: its nodes are nodes to MPI, bytes between them are counted, a cable can be
# cut, and nothing is left behind, however it ends.
#
# Usage: cluster_test.sh CLUSTER_SH EQUIPOISE
set -euo pipefail
cluster=$1 equipoise=$PWD/$2
name=test-$$
export TMPDIR=${TEST_TMPDIR:-/tmp}
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

status_of() {
  local status=0
  "$@" >"$TMPDIR/out" 2>&1 || status=$?
  echo "$status"
}

left_over() { pgrep -fc "nodes.sh $TMPDIR" || true; }

status=$(status_of "$cluster" --name "$name" up --slots 2,1 --rate 200mbit)
if [[ $status == 77 ]]; then
  cat "$TMPDIR/out"
  exit 0
fi
trap '"$cluster" --name "$name" down' EXIT
check "up" "$status" 0
check "a second up is refused" "$(status_of "$cluster" --name "$name" up)" 2

hosts=$("$cluster" --name "$name" run -- hostname | sort | tr '\n' ' ')
check "every slot of every node has a rank" "$hosts" "node0 node0 node1 "
check "equipoise sees the nodes" \
  "$("$cluster" --name "$name" run -- "$equipoise" info | grep topology)" \
  "topology*3 ranks on 2 nodes: node0 {0, 1}, node1 {2}"

read -r _ sent _ < <("$cluster" --name "$name" bytes)
check "bytes are counted" "$((sent > 1000))" 1

check "a node's own commands" "$("$cluster" --name "$name" exec node1 -- hostname)" node1
check "words stay whole" "$("$cluster" --name "$name" exec head -- printf '%s|' 'a b' "c'd")" "a b|c'd|"
check "an exit status comes back" "$(status_of "$cluster" --name "$name" exec node0 -- bash -c 'exit 7')" 7
check "no node" "$(status_of "$cluster" --name "$name" cut)" 2
check "no command" "$(status_of "$cluster" --name "$name" exec node1 --)" 2
check "an unknown node" "$(status_of "$cluster" --name "$name" cut node9)" 2

reach='exec 3<>/dev/tcp/10.77.0.2/9' # nobody listens: refused at once if the cable is in
check "a node is reached" \
  "$("$cluster" --name "$name" exec node0 -- timeout 2 bash -c "$reach" 2>&1)" "*refused*"
"$cluster" --name "$name" cut node1
check "a node that is cut off is not" \
  "$(status_of "$cluster" --name "$name" exec node0 -- timeout 1 bash -c "$reach")" 124
"$cluster" --name "$name" mend node1
check "a mended one is again" \
  "$("$cluster" --name "$name" exec node0 -- timeout 2 bash -c "$reach" 2>&1)" "*refused*"

"$cluster" --name "$name" down
check "down leaves no process" "$(left_over)" 0
check "down twice" "$(status_of "$cluster" --name "$name" down)" 0
check "run needs a cluster" "$(status_of "$cluster" --name "$name" run -- true)" 2

check "with passes the exit status on" \
  "$(status_of "$cluster" with --nodes 1 --ranks-per-node 1 --rate none -- bash -c 'exit 9')" 9
for signal in TERM KILL; do
  "$cluster" with --nodes 2 --ranks-per-node 1 -- sleep "100.$$" >"$TMPDIR/with" 2>&1 &
  until pgrep -f "sleep 100.$$" >/dev/null; do sleep 0.1; done
  kill "-$signal" $!
  SECONDS=0
  wait $! || true
  check "SIG$signal ends it at once" "$((SECONDS < 20))" 1
  for ((i = 0; i < 50 && $(left_over) > 0; i++)); do sleep 0.1; done
  check "SIG$signal leaves no process" "$(left_over)" 0
done

for wrong in "--nodes 0" "--nodes x" "--rate fast" "--slots 2,,1" "--slots 1,b" "--nodes" "--colour 3"; do
  # shellcheck disable=SC2086 # words
  check "refused: $wrong" "$(status_of "$cluster" --name "$name" up $wrong)" 2
done

((failures == 0)) || { echo "$failures checks failed"; exit 1; }
