#!/usr/bin/env bash
# The inside of tests/cluster/cluster.sh: the first process of the cluster's namespaces. Makes the
# nodes, says so, and stays until it is killed.
#
# Usage: nodes.sh STATE_DIRECTORY RATE SLOTS...
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
state=$1 rate=$2
shift 2

# Names of network namespaces are files in /run/netns: a folder of our own, since the one of the
# system is neither ours to write to nor to leave anything in.
mount -t tmpfs tmpfs /run
mkdir /run/netns

ip netns add switch
ip -n switch link add bridge type bridge
ip -n switch link set bridge up

limit() { # NAMESPACE DEVICE
  [[ $rate == none ]] || tc -n "$1" qdisc add dev "$2" root tbf rate "$rate" burst 256kb latency 50ms
}

add_host() { # NAME ADDRESS
  ip netns add "$1"
  ip link add eth0 netns "$1" type veth peer name "to-$1" netns switch
  ip -n switch link set "to-$1" master bridge up
  ip -n "$1" addr add "10.77.0.$2/24" dev eth0
  ip -n "$1" link set eth0 up
  ip -n "$1" link set lo up
}

rm -rf "$state/nodes"
mkdir "$state/nodes"
number=0
for slots in "$@"; do
  add_host "node$number" $((number + 1))
  limit "node$number" eth0          # what the node sends
  limit switch "to-node$number"     # what it receives
  printf '%s\n' "$slots" >"$state/nodes/node$number"
  number=$((number + 1))
done
add_host head 254 # where mpirun starts; no rank runs there, and its link is not limited
touch "$state/ready"

# Waits for ever, and as first process takes in what others leave behind.
while :; do
  sleep 86400 &
  wait $! || true
done
