#!/usr/bin/env bash
# A cluster in one machine: network namespaces as nodes, with real TCP between them, a rate limit on
# every node's link, and shared memory inside a node. MPI sees hosts node0, node1, ...
#
# Usage: tests/cluster/cluster.sh [--name NAME] COMMAND
#   up [OPTIONS]               make the cluster
#   run [-np N] -- COMMAND...  mpirun COMMAND, by default on every slot of every node
#   exec NODE -- COMMAND...    COMMAND on one node, without mpirun; NODE is a host's name or `head`,
#                              from where mpirun starts
#   bytes                      what left and what reached each node so far, in bytes: NODE TX RX
#   cut NODE | mend NODE       take a node's cable out, or put it back
#   down                       end it, with all that runs in it
#   with [OPTIONS] [-np N] -- COMMAND...
#                              up, run and down in one; the exit status is the command's
#
# Options: --nodes N (2), --ranks-per-node N (2) or --slots A,B,... (of each node, for uneven ones),
#   --rate RATE as tc writes it, 1gbit, 200mbit (default 1gbit; `none`: no limit).
#
# Needs no root where the system lets users make namespaces. Everything, processes included, lives in
# a process namespace of its own: when its first process ends, killed or not, the kernel takes the
# rest away. Exit status: that of the command; 2: wrong usage; 77: this system cannot do it (the
# message says why), which tests take for a skip.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=default

fail() { printf 'cluster: %s\n' "$2" >&2; exit "$1"; }
usage() { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//p}' "$0"; }

state_dir() { printf '%s/equipoise-cluster-%s/%s' "${TMPDIR:-/tmp}" "$EUID" "$name"; }

# --- Options ------------------------------------------------------------------------------------

slots=() rate=1gbit np='' command=()

parse_options() { # sets slots, rate, np, command
  local nodes=2 ranks=2 list=''
  while (($#)); do
    case $1 in
      --nodes | --ranks-per-node | --slots | --rate | -np)
        (($# > 1)) || fail 2 "$1 needs a value"
        ;;&
      --nodes) nodes=$2; shift 2 ;;
      --ranks-per-node) ranks=$2; shift 2 ;;
      --slots) list=$2; shift 2 ;;
      --rate) rate=$2; shift 2 ;;
      -np) np=$2; shift 2 ;;
      --) shift; command=("$@"); break ;;
      *) fail 2 "unknown option '$1'; see $0 --help" ;;
    esac
  done
  [[ $nodes =~ ^[1-9][0-9]?$ ]] || fail 2 "--nodes is '$nodes', must be a number from 1 to 99"
  [[ $ranks =~ ^[1-9][0-9]*$ ]] || fail 2 "--ranks-per-node is '$ranks', must be a positive number"
  [[ -z $np || $np =~ ^[1-9][0-9]*$ ]] || fail 2 "-np is '$np', must be a positive number"
  [[ $rate == none || $rate =~ ^[0-9]+[kmg]bit$ ]] ||
    fail 2 "--rate is '$rate', must be like 1gbit or 200mbit, or none"
  if [[ -n $list ]]; then
    IFS=, read -ra slots <<<"$list"
  else
    slots=()
    for ((i = 0; i < nodes; i++)); do slots+=("$ranks"); done
  fi
  for i in "${slots[@]}"; do
    [[ $i =~ ^[1-9][0-9]*$ ]] || fail 2 "--slots is '$list', must be positive numbers with commas"
  done
}

# --- What the system must have ------------------------------------------------------------------

check_system() {
  local tool
  for tool in ip tc unshare nsenter setpriv mpirun; do
    PATH=$PATH:/usr/sbin:/sbin type -P "$tool" >/dev/null ||
      fail 77 "skipped: '$tool' is not installed (Debian packages iproute2, util-linux, openmpi-bin)"
  done
  local reason
  reason=$(unshare "${user[@]}" --net --mount --pid --fork --mount-proc --kill-child true 2>&1) ||
    fail 77 "skipped: this system does not let you make namespaces (${reason:-no reason given}); \
root may, and so may users where kernel.unprivileged_userns_clone is 1"
}

user=()
((EUID == 0)) || user=(--user --map-root-user)

# --- Up and down --------------------------------------------------------------------------------

# The pid, outside, of the cluster's first process. Fails when there is none.
holder() {
  local pid
  pid=$(cat "$(state_dir)/pid" 2>/dev/null) && [[ -d /proc/$pid ]] && printf '%s' "$pid"
}

sweep_dead() { # what a killed `with` could not remove
  local dir pid
  for dir in "$(dirname "$(state_dir)")"/*/; do
    pid=$(cat "$dir/pid" 2>/dev/null) || continue
    [[ -d /proc/$pid ]] || rm -rf "$dir"
  done
}

up() { # WRAPPER... that decides how long the cluster lives
  local dir log launcher
  dir=$(state_dir)
  ! holder >/dev/null || fail 2 "cluster '$name' is up already; \`$0 --name $name down\` ends it"
  check_system
  sweep_dead
  mkdir -p "$dir"
  rm -f "$dir/ready" "$dir/pid"
  log=$dir/log
  "$@" unshare "${user[@]}" --net --mount --pid --fork --mount-proc --kill-child \
    bash "$here/nodes.sh" "$dir" "$rate" "${slots[@]}" </dev/null >"$log" 2>&1 &
  launcher=$!
  while [[ ! -e $dir/ready ]]; do
    kill -0 "$launcher" 2>/dev/null || fail 77 "skipped: no cluster can be made here: $(tail -n1 "$log")"
    sleep 0.05
  done
  pgrep -P "$launcher" >"$dir/pid"
  printf 'cluster: %s nodes (slots %s), %s\n' "${#slots[@]}" "${slots[*]}" "$rate"
}

down() {
  local pid
  if pid=$(holder); then
    kill -KILL "$pid" 2>/dev/null || true
    while [[ -d /proc/$pid ]]; do sleep 0.02; done
  fi
  rm -rf "$(state_dir)"
}

# --- In a cluster that is up --------------------------------------------------------------------

inside() { # COMMAND... in the namespaces of the cluster
  local pid enter=()
  check_up
  pid=$(holder)
  ((EUID == 0)) || enter=(--user --preserve-credentials)
  nsenter --target "$pid" "${enter[@]}" --net --mount --pid --wdns="$PWD" -- \
    env PATH="$PATH:/usr/sbin:/sbin" "$@"
}

on_node() { # NODE COMMAND... word for word
  inside "$here/agent.sh" "$1" "$(printf '%q ' "${@:2}")"
}

check_up() {
  holder >/dev/null || fail 2 "cluster '$name' is not up; \`$0 --name $name up\` makes it"
}

check_node() { # NAME
  check_up
  [[ -n $1 && -e $(state_dir)/nodes/$1 ]] ||
    fail 2 "no node '$1'; there are: $(cd "$(state_dir)/nodes" && echo *)"
}

# Makes mpirun notice within 13 s that a node is gone, for which it would wait for ever; ranks of
# ours do so after 10 (docs/errors.md).
notice=(--mca oob_tcp_keepalive_time 1 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 12)

run() {
  ((${#command[@]})) || fail 2 "run needs -- and a command"
  local dir hosts='' total=0 node
  dir=$(state_dir)
  check_up
  for node in "$dir"/nodes/*; do
    hosts+=${hosts:+,}${node##*/}:$(<"$node")
    total=$((total + $(<"$node")))
  done
  on_node head mpirun -np "${np:-$total}" -H "$hosts" --oversubscribe \
    --bind-to none --allow-run-as-root --mca plm_rsh_agent "$here/agent.sh" \
    --mca btl tcp,vader,self --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 \
    --mca mpi_yield_when_idle 1 "${notice[@]}" "${command[@]}"
}

bytes() {
  local node
  check_up
  for node in "$(state_dir)"/nodes/*; do
    printf '%s ' "${node##*/}"
    inside ip -n "${node##*/}" -s -o link show eth0 |
      awk '{ for (i = 1; i <= NF; ++i) { if ($i == "RX:") rx = i; if ($i == "TX:") tx = i } }
           { n = 0; for (i = rx; i <= NF; ++i) if ($i ~ /^\\?[0-9]+$/) { gsub(/\\/, "", $i); v[n++] = $i } }
           { print v[6], v[0] }'
  done
}

plug() { # NODE up|down
  inside ip -n switch link set "to-$1" "$2"
}

main() {
  while [[ ${1-} == --name ]]; do
    [[ ${2-} =~ ^[A-Za-z0-9_-]+$ ]] || fail 2 "--name is '${2-}', must be letters, digits, - and _"
    name=$2
    shift 2
  done
  local action=${1-}
  shift || true
  case $action in
    -h | --help) usage ;;
    up) parse_options "$@"; up setsid ;;
    down) down ;;
    run) parse_options "$@"; run ;;
    exec)
      local node=${1-}
      check_up
      [[ $node == head ]] || check_node "$node"
      shift
      [[ ${1-} == -- && $# -gt 1 ]] || fail 2 "exec needs a node, -- and a command"
      on_node "$node" "${@:2}"
      ;;
    bytes) bytes ;;
    cut) check_node "${1-}"; plug "$1" down ;;
    mend) check_node "${1-}"; plug "$1" up ;;
    with)
      name=with-$$
      parse_options "$@"
      trap down EXIT
      trap 'exit 130' INT
      trap 'exit 143' TERM
      up setpriv --pdeathsig KILL >&2
      # In the background, because a shell hears signals only between commands, or in `wait`.
      run <&0 &
      wait $!
      ;;
    *) usage >&2; fail 2 "unknown command '$action'" ;;
  esac
}

main "$@"
