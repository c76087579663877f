#!/usr/bin/env python3
"""metrics.jsonl, router.bin (as dumped) and TensorBoard's files hold the same numbers.

sinks_agree.py RUN_DIR DUMP.jsonl    reads the event files itself, and, where PyPI's package
                                     tensorboard is installed, with TensorBoard's own reader as well.
"""

import glob
import json
import os
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def tf_records(data):
    """The records of an event file; a wrong checksum is an error."""
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        body = data[at + 12:at + 12 + size]
        assert struct.unpack_from("<I", data, at + 8)[0] == masked(data[at:at + 8]), at
        assert struct.unpack_from("<I", data, at + 12 + size)[0] == masked(body), at
        yield body
        at += 16 + size


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of every field of a protocol buffer."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = varint(data, at)
            value = data[at:at + size]
            at += size
        yield key >> 3, value


def own_scalars(folder):
    """{tag: {step: value}}, by the field numbers of event.proto and summary.proto."""
    scalars = {}
    for path in sorted(glob.glob(os.path.join(folder, "events.out.tfevents.*"))):
        with open(path, "rb") as file:
            data = file.read()
        for record in tf_records(data):
            event = list(fields(record))
            step = next((value for number, value in event if number == 2), 0)
            for summary in (value for number, value in event if number == 5):
                for _, entry in fields(summary):
                    value = dict(fields(entry))
                    scalars.setdefault(value[1].decode(), {})[step] = struct.unpack("<f", value[2])[0]
    return scalars


def tensorboard_scalars(folder):
    """The same by TensorBoard's reader; None where it is not installed."""
    try:
        from tensorboard.backend.event_processing import event_accumulator
    except ImportError:
        print("SKIPPED: the package tensorboard is not installed: its reader was not asked")
        return None
    accumulator = event_accumulator.EventAccumulator(folder, size_guidance={"scalars": 0})
    accumulator.Reload()
    return {tag: {event.step: event.value for event in accumulator.Scalars(tag)}
            for tag in accumulator.Tags()["scalars"]}


def expected_scalars(rows):
    """What metrics.jsonl says, under TensorBoard's tags."""
    scalars = {}

    def add(step, tag, value):
        if value is not None:
            scalars.setdefault(tag, {})[step] = value

    for row in rows:
        step = row["step"]
        for key in ("tokens", "loss", "cross_entropy", "learning_rate", "gradient_norm",
                    "tokens_per_second", "step_seconds", "mfu"):
            if "loss" in row:  # not in a validation's own row
                add(step, key, row.get(key))
        for family, key in (("auxiliary", "auxiliary"), ("time_seconds", "time")):
            for label, value in row.get(key, {}).items():
                add(step, f"{family}/{label}", value)
        for layer in row.get("moe", []):
            for key in ("gini", "floor_gini", "min_max", "max_over_mean", "dead", "dropped_share"):
                add(step, f"moe_{key}/{layer['layer']}", layer[key])
            add(step, f"moe_rank_load_max/{layer['layer']}", max(layer["rank_loads"]))
        validation = row.get("validation", {})
        add(step, "validation_loss", validation.get("loss"))
        for domain, figures in validation.get("domains", {}).items():
            add(step, f"validation_domain_loss/{domain}", figures["loss"])
    return scalars


def compare_scalars(name, expected, found):
    numbers = 0
    for tag, steps in expected.items():
        assert tag in found, f"{name} has no {tag}"
        assert set(found[tag]) == set(steps), f"{name}: {tag} has other steps"
        for step, value in steps.items():
            as_float = struct.unpack("<f", struct.pack("<f", value))[0]
            assert found[tag][step] == as_float, (name, tag, step, found[tag][step], value)
            numbers += 1
    print(f"{name}: {numbers} numbers of {len(expected)} tags agree")


def compare_counts(rows, dumped):
    steps = [row for row in rows if row.get("moe")]
    assert [row["step"] for row in dumped] == [row["step"] for row in steps]
    for row, record in zip(steps, dumped):
        assert record.get("node_bytes") == row.get("node_bytes"), row["step"]
        for layer, recorded in zip(row["moe"], record["moe"], strict=True):
            assert set(recorded) == {"layer", "counts", "rank_loads", "gate_bins", "token_copies"}
            for key, value in recorded.items():
                assert value == layer[key], (row["step"], key)
    print(f"router.bin: {len(steps)} steps agree")


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main(directory, dump):
    rows = read_lines(os.path.join(directory, "metrics.jsonl"))
    compare_counts(rows, read_lines(dump))
    folder = os.path.join(directory, "tb")
    expected = expected_scalars(rows)
    compare_scalars("event files", expected, own_scalars(folder))
    theirs = tensorboard_scalars(folder)
    if theirs is not None:
        compare_scalars("TensorBoard", expected, theirs)


if __name__ == "__main__":
    main(*sys.argv[1:])
