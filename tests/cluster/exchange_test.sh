#!/usr/bin/env bash
# Training on two nodes: every exchange gives the losses of the flat one, and deduplication sends
# fewer bytes across, by the count of the network interfaces.
#
# Usage: exchange_test.sh CLUSTER_SH EQUIPOISE
set -euo pipefail
cluster=$1 equipoise=$PWD/$2
name=exchange-$$
export TMPDIR=${TEST_TMPDIR:-/tmp}
work=$(mktemp -d)

status=0
"$cluster" --name "$name" up --nodes 2 --ranks-per-node 2 --rate 1gbit >"$work/up" 2>&1 || status=$?
if [[ $status == 77 ]]; then
  cat "$work/up"
  exit 0
fi
trap '"$cluster" --name "$name" down; rm -rf "$work"' EXIT

seq 100000 | awk '{ printf "%d is %s a number; ", $1, $1 % 7 ? "not" : "perhaps" }' >"$work/text"
# Wide rows, eight experts a token: what crosses is tokens, not gradients.
cat >"$work/config.textproto" <<END
steps: 4
model { vocabulary: 257 hidden: 256 num_layers: 2 num_heads: 4 num_kv_heads: 4 }
moe { num_experts: 16 top_k: 8 expert_width: 16 router { top_k {} } }
batch { sequences: 8 sequence_length: 256 }
optimizer { schedule { kind: CONSTANT peak: 1e-3 } }
data { root: "$work" separator: 256 domain { name: "numbers" train: "text" } }
checkpoint { save_at_end: false }
# Given, so that no bytes cross to measure them.
layout {
  links {
    self { latency: 1e-7 seconds_per_byte: 1e-10 }
    node { latency: 2e-5 seconds_per_byte: 1e-9 }
    remote { latency: 5e-5 seconds_per_byte: 1e-8 }
  }
}
END

sent() { "$cluster" --name "$name" bytes | awk '{ sum += $2 } END { print sum }'; }

declare -A bytes
for exchange in flat two_level two_level_dedup; do
  before=$(sent)
  "$cluster" --name "$name" run -- "$equipoise" train --config "$work/config.textproto" \
    --set layout.exchange="$exchange" --run_dir "$work/$exchange" >"$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
  bytes[$exchange]=$(($(sent) - before))
done

python3 - "$work" "${bytes[flat]}" "${bytes[two_level]}" "${bytes[two_level_dedup]}" <<'END'
import json, sys

work, flat, two_level, dedup = sys.argv[1], *map(int, sys.argv[2:])


def losses(exchange):
    with open(f"{work}/{exchange}/metrics.jsonl") as rows:
        return [json.loads(row)["loss"] for row in rows]


expected = losses("flat")
assert len(expected) == 4, expected
for exchange in ("two_level", "two_level_dedup"):
    worst = max(abs(a - b) / b for a, b in zip(losses(exchange), expected))
    print(f"{exchange}: worst relative difference of a loss {worst:.3g}")
    assert worst <= (0 if exchange == "two_level" else 1e-5), (losses(exchange), expected)

def planned(exchange):
    """Bytes that the plans of all steps send from node to node."""
    with open(f"{work}/{exchange}/metrics.jsonl") as rows:
        between = [json.loads(row)["node_bytes"] for row in rows]
    return sum(step[i][j] for step in between for i in range(2) for j in range(2) if i != j)


# Gradients and counts are the same in all runs, so that the difference of two is tokens alone. What
# comes on top are headers (Ethernet, IP and TCP: 66 bytes for each segment of 1448, or for many
# where the interface cuts what it is given) and acknowledgements.
plans = {exchange: planned(exchange) for exchange in ("flat", "two_level", "two_level_dedup")}
assert plans["flat"] == plans["two_level"] > 0, plans
ratio = (flat - dedup) / (plans["flat"] - plans["two_level_dedup"])
print(f"bytes by the plans: {plans}; of the difference the interfaces count {ratio:.4f}")
assert 1.0 <= ratio <= 1.1, "the interfaces count other bytes than the plans"

# A token crosses at most once instead of 8 * 1/2 times; gradients and counts cross in all three.
print(f"bytes that left the nodes: flat {flat}, two_level {two_level}, two_level_dedup {dedup}")
assert dedup < 0.5 * flat, "deduplication saves too little"
assert two_level < 1.1 * flat
END
