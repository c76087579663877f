#!/usr/bin/env python3
"""clang-tidy with .clang-tidy finds nothing in any .cc file. Minutes: tagged "soak"."""

import os
import subprocess

import checked_files
import include_test
import tree

COMMAND = "clang-tidy"
# As in .bazelrc; generated headers and MPI's are not at hand, so files that need them are left to
# the compilers.
FLAGS = ["-std=c++20", "-I.", "-march=x86-64-v3", "-maes", "-mpclmul", "-DHWY_SHARED_DEFINE"]


def _reachable(file, by_path, seen):
    """`file` and all project headers it includes, directly or not."""
    seen[file.path] = file
    for _, _, included in include_test.includes(file):
        if included in by_path and included not in seen:
            _reachable(by_path[included], by_path, seen)
    return seen


def problems_of(file):
    result = subprocess.run(
        [COMMAND, "--quiet", file.path, "--"] + FLAGS,
        capture_output=True, text=True, check=False, cwd=tree.root())
    found = [line.replace(tree.root() + os.sep, "") for line in result.stdout.splitlines()
             if ": error:" in line or ": warning:" in line]
    if result.returncode and not found:
        found = [f"{file.path}:1: clang-tidy failed: {result.stderr.strip()[:300]}"]
    return found


def check(files):
    checked_files.need(COMMAND)
    by_path = {file.path: file for file in files}
    units, texts = [], {}
    for file in files:
        if not file.path.endswith(".cc"):
            continue
        reached = _reachable(file, by_path, {})
        included = [i for f in reached.values() for _, _, i in include_test.includes(f)]
        if not any(i.endswith(".pb.h") or i == "mpi.h" for i in included):
            units.append(file)
            texts[file.path] = "\0".join(f.text for f in reached.values())
    return checked_files.check(
        COMMAND, ".clang-tidy", units, lambda f: texts[f.path], problems_of)


if __name__ == "__main__":
    tree.report(check)
