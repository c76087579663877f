#!/usr/bin/env python3
"""Words that stand for unfinished, untested or process-wide things."""

import collections
import re

import tree

LIBRARIES = r"(core|comm|routing|parallel)/"
CPP = r".*\.(h|cc|cu|cuh)$"

# Lines of files matching `where` (except those matching `but`) must not match `pattern`.
Rule = collections.namedtuple("Rule", "pattern where but advice")
RULES = (
    Rule(r"\b(TODO|FIXME|XXX|HACK)\b", r".*", None,
         "finish it, or describe the limitation in plain words"),
    Rule(r"\bDISABLED_\w+|EXPECT_TRUE\(true\)|ASSERT_TRUE\(true\)", CPP, None,
         "a test that checks nothing; make it check or remove it"),
    Rule(r"GTEST_SKIP\(\)\s*;", CPP, None, "print the reason: GTEST_SKIP() << \"why\""),
    Rule(r"(?<![\w.>:])(std::)?(exit|_exit|quick_exit|abort|terminate)\(", LIBRARIES,
         r"core/base/check\.cc|comm/backends/mpi/launcher_process\.cc",  # for lost nodes
         "a library returns absl::Status, or uses EQ_CHECK for its own bugs"),
    Rule(r"\babsl::Mutex\b|absl/synchronization/", CPP, None,
         "use std::mutex: ThreadSanitizer cannot see the locks of Debian's Abseil"),
    Rule(r"\b(std::)?(mt19937|random_device|default_random_engine|srand\()", LIBRARIES,
         r"core/io/",  # names of temporary files must differ
         "draw from core/base/rng.h: results must not depend on the platform or the order"),
    Rule(r"\bstd::(cout|cerr)\b|(?<!\w)f?printf\(", LIBRARIES, r"core/base/(log|check)\.cc",
         "write through core/base/log.h, or return the text"),
    Rule(r"^\s*using namespace\b", CPP, None, "name what you use"),
    Rule(r"#\s*pragma\s+once", CPP, None, "use an include guard like the other headers"),
    Rule(r"\bcatch \(\.\.\.\)\s*\{\s*\}", CPP, None, "an error swallowed; log it at least"),
)

EXEMPT = re.compile(r"tests/lint/|LICENSE$")
CPP_COMMENT = re.compile(r"\s*(//|\*)")
OTHER_COMMENT = re.compile(r"\s*#")


def rules_for(file):
    for rule in RULES:
        if re.match(rule.where, file.path) and not (rule.but and re.match(rule.but, file.path)):
            yield rule


def check_guard(file):
    """The include guard is the path in capitals."""
    if not file.path.endswith((".h", ".cuh")):
        return []
    guard = "EQUIPOISE_" + re.sub(r"[^A-Za-z0-9]", "_", file.path).upper() + "_"
    # Files that Highway compiles once for each target are guarded by its toggle instead.
    if f"#ifndef {guard}" in file.text or "HWY_TARGET_TOGGLE" in file.text:
        return []
    return [f"{file.path}:1: no include guard {guard}; add it."]


def check(files):
    problems = []
    for file in files:
        if EXEMPT.match(file.path):
            continue
        rules = list(rules_for(file))
        comment = CPP_COMMENT if file.is_cpp else OTHER_COMMENT
        for number, line in enumerate(file.lines, 1):
            for rule in rules:
                found = re.search(rule.pattern, line)
                about_unfinished = rule is RULES[0]
                if found and (about_unfinished or not comment.match(line)):
                    problems.append(
                        f"{file.path}:{number}: \"{found.group(0).strip()}\": {rule.advice}."
                    )
        problems += check_guard(file)
    return problems


if __name__ == "__main__":
    tree.report(check)
