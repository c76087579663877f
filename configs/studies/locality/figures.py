#!/usr/bin/env python3
"""Tables and figures of the locality study.

Usage: configs/studies/locality/figures.py OUT [--to docs/studies]

OUT is what timing.sh and the quality sweeps wrote to: OUT/CLUSTER/k1, OUT/CLUSTER/k8,
OUT/CLUSTER/k8_groups, OUT/quality_k1, OUT/quality_k8, OUT/domains_k1, OUT/domains_k8; what is missing
is left out. Writes locality.tables.md, locality-time.svg. Needs
matplotlib (Debian: python3-matplotlib).
"""

import argparse
import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from study import finished_trials, gini, interval, mean, pooled_counts

LAST = 6  # steps that a timing counts
BASELINES = ("softmax", "hash")
# Rows with a preference for home -> the row without it whose bytes theirs are compared with.
TWINS = {"softmax_local": "softmax", "lpr_local": "lpr", "lpr_auto": "lpr_dedup",
         "lpr_all": "lpr_dedup", "lpr_quota_all": "lpr_dedup", "lpr_groups_all": "lpr_dedup",
         "lpr_domains_all": "lpr_dedup"}
# The same for loss.
LOSS_TWINS = {"softmax_loss": "softmax", "softmax_local": "softmax", "lpr_local": "lpr",
              "lpr_groups": "lpr", "lpr_quota": "lpr", "lpr_domains": "lpr",
              "lpr_domains_local": "lpr_domains", "lpr_domains_local_93": "lpr_domains"}


def trials(folder):
    """Name of a row -> metrics of its finished trials, by seed."""
    if not (folder / "sweep.json").exists():
        return {}
    rows = {}
    for name, seed, run in finished_trials(folder):
        with open(run / "metrics.jsonl", encoding="utf-8") as lines:
            rows.setdefault(name, {})[seed] = [json.loads(line) for line in lines]
    return rows


class Timing:
    """The last steps of a run on a cluster."""

    def __init__(self, metrics):
        steps = [row for row in metrics if row.get("moe")][-LAST:]
        self.seconds = statistics.median(row["step_seconds"] for row in steps)
        layers = [layer for row in steps for layer in row["moe"]]
        self.share = mean(layer["exchange"]["node_share"] for layer in layers)
        self.remote = sum(layer["exchange"]["remote_bytes"] for layer in layers) / len(steps) / 1e6
        self.gini = max(layer["gini"] for layer in steps[-1]["moe"])


def write_timing(out, page):
    """Returns {(cluster, k): {row: Timing}}."""
    found = {}
    for cluster in sorted(p for p in out.iterdir() if p.is_dir()):
        for k in (1, 8):
            folders = (cluster / f"k{k}", cluster / f"k{k}_groups")
            rows = {name: Timing(next(iter(seeds.values())))
                    for folder in folders for name, seeds in trials(folder).items()}
            if not rows:
                continue
            found[cluster.name, k] = rows
            page.write(f"\n**{cluster.name}, K {k}**\n\n| row | ms a step | against `softmax` | against "
                       "`hash` | MB across a step | against its twin | copies at home |\n|" + " --- |" * 7 + "\n")
            for name, row in rows.items():
                against = [f"{100 * (row.seconds / rows[base].seconds - 1):+.0f} %"
                           if base in rows else "" for base in BASELINES]
                twin = rows.get(TWINS.get(name))
                fewer = f"{100 * (row.remote / twin.remote - 1):+.0f} %" if twin else ""
                page.write(f"| `{name}` | {1e3 * row.seconds:.0f} | {against[0]} | {against[1]} "
                           f"| {row.remote:.1f} | {fewer} | {row.share:.2f} |\n")
    return found


def pooled_gini(metrics):
    """Of the copies of the last 100 steps, worst layer."""
    return max(gini(counts) for counts in pooled_counts([r for r in metrics if r.get("moe")][-100:]))


def home_share(metrics):
    steps = [row for row in metrics if row.get("moe")][-100:]
    return mean(layer["home_share"] for row in steps for layer in row["moe"])


def remote_megabytes(metrics):
    """Across a step, of the last 100; None where a job had one rank."""
    steps = [row for row in metrics if row.get("moe")][-100:]
    if any("exchange" not in layer for row in steps for layer in row["moe"]):
        return None
    total = sum(layer["exchange"]["remote_bytes"] for row in steps for layer in row["moe"])
    return total / len(steps) / 1e6 or None


def write_quality(out, k, page):
    rows = {**trials(out / f"quality_k{k}"), **trials(out / f"domains_k{k}")}
    if not rows:
        return
    page.write(f"\n**Loss, K {k}**, two nodes, three seeds; each row minus its twin without locality, "
               "seed by seed\n\n| row | validation loss | minus its twin | copies at home "
               "| MB across a step | Gini, worst layer |\n|" + " --- |" * 6 + "\n")
    losses = {name: {seed: next(row["validation"]["loss"] for row in reversed(metrics)
                                if row.get("validation")) for seed, metrics in seeds.items()}
              for name, seeds in rows.items()}
    for name, seeds in rows.items():
        own = losses[name]
        twin = losses.get(LOSS_TWINS.get(name), {})
        gaps = [own[seed] - twin[seed] for seed in own if seed in twin]
        gap = f"{mean(gaps):+.4f} ± {interval(gaps):.4f}" if gaps else ""
        moved = [remote_megabytes(metrics) for metrics in seeds.values()]
        across = f"{mean(moved):.1f}" if all(moved) else ""
        page.write(f"| `{name}` | {mean(own.values()):.4f} ± {interval(list(own.values())):.4f} "
                   f"| {gap} | {mean(home_share(m) for m in seeds.values()):.3f} | {across} "
                   f"| {mean(pooled_gini(m) for m in seeds.values()):.3f} |\n")


def plot(plt, timings, out):
    figure, grid = plt.subplots(len(timings), 1, figsize=(8, 2.2 * len(timings)), squeeze=False)
    for axes, ((cluster, k), rows) in zip(grid[:, 0], timings.items()):
        names = list(rows)[::-1]
        axes.barh(names, [1e3 * rows[name].seconds for name in names], color="#0072b2")
        for base, style in zip(BASELINES, ("-", ":")):
            if base in rows:
                axes.axvline(1e3 * rows[base].seconds, color="#d55e00", linestyle=style,
                             label=f"`{base}`, flat")
        axes.set_title(f"{cluster}, K {k}", fontsize=9)
        axes.tick_params(labelsize=7)
        axes.set_xlabel("ms a step", fontsize=8)
    grid[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("docs/studies"))
    options = parser.parse_args()
    try:
        import matplotlib
    except ModuleNotFoundError:
        sys.exit("figures.py needs matplotlib: apt-get install python3-matplotlib, and then run it "
                 "with /usr/bin/python3")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "locality"
    import matplotlib.pyplot as plt

    options.to.mkdir(parents=True, exist_ok=True)
    with open(options.to / "locality.tables.md", "w", encoding="utf-8") as page:
        timings = write_timing(options.out, page)
        for k in (1, 8):
            write_quality(options.out, k, page)
    if timings:
        plot(plt, timings, options.to / "locality-time.svg")


if __name__ == "__main__":
    main()
