"""What the studies' figures share: statistics, and the finished trials of a sweep."""

import json
import math
import statistics
import sys

# Student's t for a 95 % interval, by degrees of freedom.
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


def gini(counts):
    total = sum(counts)
    if total == 0:
        return 0.0
    weighted = sum((i + 1) * n for i, n in enumerate(sorted(counts)))
    return 2 * weighted / (len(counts) * total) - (len(counts) + 1) / len(counts)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def interval(values):
    """Half the width of the 95 % interval of the mean; 0 for one value, which tells of none."""
    if len(values) < 2:
        return 0.0
    return T_95[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def pooled_counts(steps):
    """Copies by expert summed over rows of metrics.jsonl, layer by layer."""
    return [[sum(c) for c in zip(*counts)]
            for counts in zip(*([layer["counts"] for layer in row["moe"]] for row in steps))]


def finished_trials(folder):
    """(name of the point, seed, run directory) of each finished trial of the sweep in `folder`."""
    plan = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    for trial in plan["trials"]:
        run = folder / "trials" / trial["id"]
        status = run / "STATUS.json"
        if not status.exists() or json.loads(status.read_text())["state"] != "finished":
            print(f"{run}: not finished, left out", file=sys.stderr)
            continue
        points = list(zip(plan["axes"], trial["points"]))
        yield (" ".join(point for axis, point in points if not axis["seed"]),
               tuple(point for axis, point in points if axis["seed"]), run)
