#!/usr/bin/env python3
"""Figures and tables of a study, from the folder of its sweep.

Usage: configs/studies/figures.py SWEEP... [--out FOLDER] [--name NAME] [--against ROUTER]

Reads what `equipoise sweep run` left behind (sweep.json and the trials' metrics.jsonl) and writes
NAME-frontier.svg (loss against balance), NAME-balance.svg (balance over the steps) and NAME.tables.md (the
tables). Needs matplotlib (Debian: python3-matplotlib).
"""

import argparse
import collections
import json
import math
import pathlib
import sys

from study import finished_trials, gini, interval, mean, pooled_counts

WINDOW = 100  # last steps, over which counts are summed


def floor_gini(copies, experts, top_k):
    """Gini if every token chose at random (docs/routing.md, how even is even)."""
    return math.sqrt((1 - top_k / experts) / (copies / experts)) / math.sqrt(math.pi)


class Trial:
    """One run: what it says of loss, and of balance in its last steps and on held-out text."""

    def __init__(self, folder, seed, top_k):
        self.seed = seed
        self.steps, self.ginis = [], []
        rows, validation = collections.deque(maxlen=WINDOW), None
        with open(folder / "metrics.jsonl", encoding="utf-8") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the last line of a run that was killed
                validation = row.get("validation", validation)
                if row.get("moe"):
                    rows.append(row)
                    self.steps.append(row["step"])
                    self.ginis.append(max(layer["gini"] for layer in row["moe"]))
        sums = pooled_counts(rows)
        self.gini = [gini(counts) for counts in sums]
        self.min_max = [min(counts) / max(counts) for counts in sums]
        self.max_violation = [max(c) * len(c) / sum(c) - 1 for c in sums]
        self.floor = floor_gini(sum(sums[0]), len(sums[0]), top_k)
        self.loss = validation["loss"]
        self.domains = {name: d["loss"] for name, d in validation["domains"].items()}
        held_out = validation["moe"]
        self.held_out_gini = [layer["gini"] for layer in held_out]
        self.held_out_floor = held_out[0]["floor_gini"]
        self.domain_gini = {
            name: max(gini(layer["domain_counts"][name]) for layer in held_out)
            for name in self.domains
        }
        self.route = (sum(row["time"]["route"] for row in rows) /
                      sum(row["step_seconds"] for row in rows))


def read_sweep(folder, top_k):
    """Name of a point -> its finished trials."""
    points = {}
    for name, seed, run in finished_trials(folder):
        points.setdefault(name, []).append(Trial(run, seed, top_k))
    return points


def difference(trials, others):
    """Loss of the trials minus that of the others, seed by seed: mean and interval."""
    theirs = {trial.seed: trial.loss for trial in others}
    gaps = [trial.loss - theirs[trial.seed] for trial in trials if trial.seed in theirs]
    return f"{mean(gaps):+.4f} ± {interval(gaps):.4f}" if gaps else ""


def by_layer(trials, figure, digits):
    layers = zip(*(getattr(trial, figure) for trial in trials))
    return " ".join(f"{mean(layer):.{digits}f}" for layer in layers)


def write_tables(points, against, out):
    domains = list(next(iter(points.values()))[0].domains)
    with open(out, "w", encoding="utf-8") as page:
        page.write(f"| router | validation loss | minus `{against}`, seed by seed | Gini by layer | min/max by layer | MaxVio, worst "
                   "layer | Gini over its floor, worst layer | held out: Gini by layer | over its "
                   "floor, worst layer | router time |\n|" + " --- |" * 10 + "\n")
        for name, trials in points.items():
            losses = [trial.loss for trial in trials]
            page.write(
                f"| `{name}` | {mean(losses):.4f} ± {interval(losses):.4f} "
                f"| {difference(trials, points.get(against, []))} "
                f"| {by_layer(trials, 'gini', 3)} | {by_layer(trials, 'min_max', 2)} "
                f"| {mean(max(t.max_violation) for t in trials):.3f} "
                f"| {mean(max(t.gini) - t.floor for t in trials):.4f} "
                f"| {by_layer(trials, 'held_out_gini', 3)} "
                f"| {mean(max(t.held_out_gini) - t.held_out_floor for t in trials):.3f} "
                f"| {100 * mean(t.route for t in trials):.1f} % |\n")
        page.write("\n| router |" + "".join(f" {d} |" for d in domains) + "\n|" +
                   " --- |" * (len(domains) + 1) + "\n")
        for name, trials in points.items():
            cells = (f" {mean(t.domains[d] for t in trials):.3f} "
                     f"({mean(t.domain_gini[d] for t in trials):.2f}) |" for d in domains)
            page.write(f"| `{name}` |" + "".join(cells) + "\n")


def colours(plt, number):
    return [plt.get_cmap("tab20")(i % 20) for i in range(number)]


def plot_frontier(plt, points, out):
    figure, axes = plt.subplots(figsize=(8, 5.5))
    for colour, (name, trials) in zip(colours(plt, len(points)), points.items()):
        losses = [trial.loss for trial in trials]
        worst = [max(trial.gini) for trial in trials]
        axes.errorbar(mean(worst), mean(losses), yerr=interval(losses), xerr=interval(worst),
                      fmt="o", color=colour, capsize=2, linewidth=0.8)
        axes.annotate(name, (mean(worst), mean(losses)), xytext=(5, 4), fontsize=7,
                      textcoords="offset points")
    floor = mean(t.floor for trials in points.values() for t in trials)
    axes.axvline(floor, color="grey", linestyle=":", label="Gini of chance alone")
    axes.set_xscale("log")
    axes.set_xlabel(f"Gini of the worst layer, last {WINDOW} steps (left is even)")
    axes.set_ylabel("validation loss, nats per token")
    axes.legend(loc="lower right", fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


def plot_balance(plt, points, out):
    figure, axes = plt.subplots(figsize=(8, 5.5))
    for colour, (name, trials) in zip(colours(plt, len(points)), points.items()):
        steps = trials[0].steps
        curve = [mean(t.ginis[i] for t in trials) for i in range(len(steps))]
        smooth = [mean(curve[max(0, i - 9):i + 1]) for i in range(len(curve))]
        axes.plot(steps, smooth, color=colour, label=name, linewidth=1)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("Gini of the worst layer in the step (mean of ten)")
    axes.legend(fontsize=7, ncol=2)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweep", nargs="+", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/studies"))
    parser.add_argument("--name", default="routers")
    parser.add_argument("--top_k", type=int, default=8)
    parser.add_argument("--against", default="quantile_balancing",
                        help="the router that losses are compared with, seed by seed")
    options = parser.parse_args()
    try:
        import matplotlib
    except ModuleNotFoundError:
        sys.exit("figures.py needs matplotlib: apt-get install python3-matplotlib, and then run it "
                 "with /usr/bin/python3")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = options.name  # the same file for the same numbers
    import matplotlib.pyplot as plt

    points = {}
    for folder in options.sweep:
        points.update(read_sweep(folder, options.top_k))
    if not points:
        sys.exit("no finished trial in " + ", ".join(map(str, options.sweep)))
    options.out.mkdir(parents=True, exist_ok=True)
    write_tables(points, options.against, options.out / f"{options.name}.tables.md")
    plot_frontier(plt, points, options.out / f"{options.name}-frontier.svg")
    plot_balance(plt, points, options.out / f"{options.name}-balance.svg")


if __name__ == "__main__":
    main()
