#!/usr/bin/env python3
"""Layers and confined headers: who may include whom, directly or through other headers."""

import collections
import re

import tree

# core <- { comm, routing } <- parallel <- launcher; tests see everything.
MAY_INCLUDE = {
    "core": {"core"},
    "comm": {"comm", "core"},
    "routing": {"routing", "core"},
    "parallel": {"parallel", "comm", "routing", "core"},
    "launcher": {"launcher", "parallel", "comm", "routing", "core", "configs"},
    "configs": {"configs"},
    "tests": set(tree.TOP_FOLDERS),
}

# A library's headers (pattern of the included path) and the folders (pattern of the including
# file's path) that may see them. No other file may reach them, not even through our own headers.
Confined = collections.namedtuple("Confined", "what header folder")
CONFINED = (
    Confined("MPI", r"mpi(-ext)?\.h$|mpi/", r"comm/backends/mpi/|tests/.*\.cc$"),
    Confined("NCCL", r"nccl.*\.h$", r"comm/backends/nccl/"),
    Confined("protobuf", r".*\.pb\.h$|google/protobuf/", r"(tests/)?launcher/config/"),
    Confined(
        "CUDA",
        r"(cuda|cublas|cudnn|curand|cusparse|nvtx|nvToolsExt|cub/|thrust/)[\w./]*$",
        r"(.*/)?cuda/|comm/backends/nccl/|tests/.*\.(cc|cu)$",
    ),
    Confined("oneDNN", r"(oneapi/dnnl/)?dnnl[\w]*\.hp?p?$", r"(.*/)?cpu/|tests/.*\.cc$"),
)

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def includes(file):
    """(line number, quote, included path) of every #include of `file`."""
    for number, line in enumerate(file.lines, 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def check_layers(file, number, included):
    top = included.split("/")[0] if "/" in included else ""
    if top not in tree.TOP_FOLDERS or top in MAY_INCLUDE.get(file.top, set()):
        return []
    allowed = ", ".join(sorted(MAY_INCLUDE.get(file.top, set())))
    return [
        f"{file.path}:{number}: {file.top}/ may not include {included}; it may include only "
        f"{allowed}. Move the code up a layer, or what it needs down."
    ]


def check_path(file, number, quote, included, by_path):
    """Project headers are quoted, named from the root, and exist."""
    beside = f"{file.folder}/{included}" if file.folder else included
    if quote == '"' and (included.startswith("..") or ("/" not in included and beside in by_path)):
        return [
            f"{file.path}:{number}: \"{included}\" is relative; write the path from the root of "
            f"the repository."
        ]
    if included.split("/")[0] not in tree.TOP_FOLDERS or "/" not in included:
        return []
    if quote == "<":
        return [f"{file.path}:{number}: <{included}> is ours; write it in double quotes."]
    source = included.replace(".pb.h", ".proto")
    if source not in by_path:
        return [f"{file.path}:{number}: {included} does not exist; correct the path."]
    return []


def find_path(start, rule, by_path):
    """The shortest chain of includes from `start` to a header of `rule`, or None."""
    queue, seen = collections.deque([(start, [start])]), {start}
    while queue:
        path, chain = queue.popleft()
        for _, _, included in includes(by_path[path]):
            if re.match(rule.header, included):
                return chain + [included]
            if included in by_path and included not in seen:
                seen.add(included)
                queue.append((included, chain + [included]))
    return None


def check_confined(file, by_path):
    problems = []
    for rule in CONFINED:
        if re.match(rule.folder, file.path):
            continue
        chain = find_path(file.path, rule, by_path)
        if chain is None:
            continue
        next_step = chain[1]
        number = next(n for n, _, included in includes(file) if included == next_step)
        problems.append(
            f"{file.path}:{number}: reaches {rule.what} ({' -> '.join(chain[1:])}), which only "
            f"files matching {rule.folder} may. Hide it behind a class of ours."
        )
    return problems


def check(files):
    by_path = {file.path: file for file in files}
    problems = []
    for file in files:
        if not file.is_cpp:
            continue
        for number, quote, included in includes(file):
            problems += check_path(file, number, quote, included, by_path)
            problems += check_layers(file, number, included)
        problems += check_confined(file, by_path)
    return problems


if __name__ == "__main__":
    tree.report(check)
