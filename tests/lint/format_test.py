#!/usr/bin/env python3
"""Every C++ file is as clang-format 14 with .clang-format would write it."""

import os
import re
import subprocess

import checked_files
import tree

COMMAND = "clang-format"


def problems_of(file):
    result = subprocess.run(
        [COMMAND, "--dry-run", "--ferror-limit=3", os.path.join(tree.root(), file.path)],
        capture_output=True, text=True, check=False, cwd=tree.root())
    lines = re.findall(r":(\d+):\d+: (?:warning|error)", result.stderr)
    if result.returncode == 0 and not lines:
        return []
    where = lines[0] if lines else 1
    return [f"{file.path}:{where}: not formatted; run `clang-format -i {file.path}`."]


def check(files):
    checked_files.need(COMMAND)
    cpp = [file for file in files if file.is_cpp]
    return checked_files.check(COMMAND, ".clang-format", cpp, lambda f: f.text, problems_of)


if __name__ == "__main__":
    tree.report(check)
