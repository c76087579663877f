"""The source tree as the lint checks see it.

A check is a function from a list of SourceFile to a list of messages "file:line: what is wrong;
what to do". Checks never read the disk, so their own tests (lint_selftest.py) feed them small
made-up trees.
"""

import os
import sys

LAYERS = ("core", "comm", "routing", "parallel", "launcher")
TOP_FOLDERS = LAYERS + ("configs", "tests", "docs")
CPP_SUFFIXES = (".h", ".cc", ".cu", ".cuh")


class SourceFile:
    """One text file: `path` from the root with forward slashes, and its lines without ends."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.splitlines()

    @property
    def folder(self):
        return os.path.dirname(self.path)

    @property
    def name(self):
        return os.path.basename(self.path)

    @property
    def is_cpp(self):
        return self.path.endswith(CPP_SUFFIXES)

    @property
    def is_header(self):
        return self.path.endswith((".h", ".cuh"))

    @property
    def is_build(self):
        return self.name == "BUILD"

    @property
    def is_script(self):
        return self.path.endswith(".sh") or self.text.startswith(("#!/usr/bin/env bash", "#!/bin/"))

    @property
    def is_python(self):
        return self.path.endswith(".py") or self.text.startswith("#!/usr/bin/env python3")

    @property
    def top(self):
        """The top folder, or "" for a file at the root."""
        return self.path.split("/")[0] if "/" in self.path else ""


def root():
    """The checkout: these tests run outside the sandbox, where their sources are links into it."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def _paths(top):
    for name in sorted(os.listdir(top)):
        if os.path.isfile(os.path.join(top, name)):
            yield name
    for folder in TOP_FOLDERS + (".ci",):
        for current, folders, files in os.walk(os.path.join(top, folder)):
            folders[:] = sorted(f for f in folders if f not in ("testdata", "__pycache__"))
            for name in sorted(files):
                yield os.path.relpath(os.path.join(current, name), top)


def load(top=None):
    """Every text file of the project except test data, in a fixed order."""
    top = top or root()
    files = []
    for path in _paths(top):
        try:
            with open(os.path.join(top, path), encoding="utf-8") as stream:
                files.append(SourceFile(path, stream.read()))
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # Binary, or a file that an editor took away between listing and reading.
    return files


def report(check, files=None):
    """Runs `check`, prints its messages, and ends the process: 0 if there are none."""
    files = load() if files is None else files
    problems = check(files)
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {len(problems)} problems")
    sys.exit(1 if problems else 0)
