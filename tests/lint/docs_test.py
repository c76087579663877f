#!/usr/bin/env python3
"""Relative links in Markdown lead to something that exists."""

import os
import re

import tree

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def check(files, exists=None):
    exists = exists or (lambda path: os.path.exists(os.path.join(tree.root(), path)))
    problems = []
    for file in files:
        if not file.path.endswith(".md"):
            continue
        for number, line in enumerate(file.lines, 1):
            for target in LINK.findall(line):
                path = os.path.normpath(os.path.join(file.folder, target.split("#")[0]))
                if "://" in target or target.startswith(("#", "mailto:")) or exists(path):
                    continue
                problems.append(f"{file.path}:{number}: {target} does not exist; correct the link.")
    return problems


if __name__ == "__main__":
    tree.report(check)
