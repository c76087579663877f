#!/usr/bin/env python3
"""Replays a run into Weights & Biases, step by step, after it or while it goes on.

Usage: wandb_replay.py RUN_DIR [--project NAME] [--online]

Writes an offline run (folder wandb/ here), which needs no network and no account; `wandb sync
wandb/offline-run-*` uploads it later. --online uploads at once. Needs PyPI's package `wandb`:
python3 -m pip install wandb.

Exit status: 0 done, 1 wandb is not installed, 2 no such run or bad usage.
"""

import argparse
import json
import os
import sys

# Lists: what an expert or a rank got. router.bin and `equipoise report` are better places for them.
LEFT_OUT = {"counts", "rank_loads", "node_bytes", "domain_counts", "non_finite"}
# Of run.json; core/telemetry/run_directory.h.
KNOWN_FORMAT = 1


def flatten(value, path=""):
    """(path, number) of every number below `value`; layers by their index in the model."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, (int, float)):
        yield path, value
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            name = f"layer_{entry['layer']:02d}" if isinstance(entry, dict) and "layer" in entry \
                else str(number)
            yield from flatten(entry, f"{path}/{name}")
    else:
        for key, entry in value.items():
            if key not in LEFT_OUT and not (key == "layer" and path):
                yield from flatten(entry, f"{path}/{key}" if path else key)


def rows(path):
    """The whole rows of metrics.jsonl, and how many lines were none."""
    found, skipped = [], 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
                found.append((int(row["step"]), dict(flatten(row))))
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                skipped += 1
    return found, skipped


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def format_of(run_dir):
    """The format of the run directory; 0 if run.json does not tell."""
    try:
        found = json.loads(read_text(os.path.join(run_dir, "run.json"))).get("format", 0)
    except (ValueError, AttributeError):
        return 0
    return found if isinstance(found, int) else 0


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run_dir")
    parser.add_argument("--project", default="equipoise")
    parser.add_argument("--online", action="store_true", help="upload at once")
    options = parser.parse_args(arguments)
    metrics = os.path.join(options.run_dir, "metrics.jsonl")
    if not os.path.exists(metrics):
        print(f"wandb_replay: there is no {metrics}: name the directory of a run", file=sys.stderr)
        return 2
    if format_of(options.run_dir) > KNOWN_FORMAT:
        print(f"wandb_replay: {options.run_dir} was written by a newer Equipoise: use its script",
              file=sys.stderr)
        return 2
    try:
        import wandb
    except ImportError:
        print("wandb_replay: the package wandb is missing: python3 -m pip install wandb",
              file=sys.stderr)
        return 1
    try:
        steps, skipped = rows(metrics)
    except OSError as error:
        print(f"wandb_replay: cannot read {metrics}: {error.strerror}", file=sys.stderr)
        return 2
    if not steps:
        print(f"wandb_replay: {metrics} has no row yet"
              + (f", but {skipped} damaged lines" if skipped else ""), file=sys.stderr)
        return 2
    run = wandb.init(project=options.project,
                     name=os.path.basename(os.path.abspath(options.run_dir)),
                     mode="online" if options.online else "offline",
                     config={"config.textproto":
                             read_text(os.path.join(options.run_dir, "config.textproto"))})
    for step, numbers in steps:
        run.log({name: value for name, value in numbers.items() if name != "step"}, step=step)
    run.finish()
    print(f"replayed {len(steps)} rows" + (f", left out {skipped} damaged ones" if skipped else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
