#!/usr/bin/env python3
"""Files of at most 400 lines and functions of at most 60: beyond that a concept lacks a name."""

import re

import tree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
CODE_SUFFIXES = tree.CPP_SUFFIXES + (".py", ".sh", ".bzl", ".proto")

# path: why it may be longer. An entry that is no longer needed fails too.
LONG_FILES = {}
# (path, function's first line): why.
LONG_FUNCTIONS = {}

STRING_OR_COMMENT = re.compile(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'|//.*')
NOT_A_FUNCTION = re.compile(
    r"\s*(namespace|class|struct|enum|union|extern|using|typedef|case|default|if|else|for|while|"
    r"switch|do|try|catch|return|#|//|\*|TEST\b|\})")


def signature_start(lines, index):
    """The index of the line that opens the parentheses closed on line `index`."""
    depth = 0
    for start in range(index, max(index - MAX_FUNCTION_LINES, -1), -1):
        depth += lines[start].count(")") - lines[start].count("(")
        if depth <= 0:
            return start
    return index


def body_end(lines, index):
    """The index of the line that closes the block opened at the end of line `index`."""
    depth = 0
    for end in range(index, len(lines)):
        code = STRING_OR_COMMENT.sub("", lines[end])
        # Line `index` may begin by closing an earlier block; only its last brace opens ours.
        depth += 1 if end == index else code.count("{") - code.count("}")
        if depth <= 0:
            return end
    return len(lines) - 1


def functions(file):
    """(first line number, first line's text, lines) of each function outside other functions."""
    lines, index = file.lines, 0
    while index < len(lines):
        line = lines[index]
        if not line.endswith("{") or ")" not in line:
            index += 1
            continue
        start = signature_start(lines, index)
        first = lines[start]
        if NOT_A_FUNCTION.match(first):
            index += 1
            continue
        end = body_end(lines, index)
        yield start + 1, first.strip(), end - start + 1
        index = end + 1


def check_file_length(file):
    too_long = len(file.lines) > MAX_FILE_LINES
    if too_long and file.path not in LONG_FILES:
        return [
            f"{file.path}:{MAX_FILE_LINES + 1}: {len(file.lines)} lines, at most "
            f"{MAX_FILE_LINES}; find the concept that deserves a file of its own."
        ]
    if not too_long and file.path in LONG_FILES:
        return [f"{file.path}:1: short enough now; take it off LONG_FILES in tests/lint."]
    return []


def check_function_length(file):
    problems = []
    for number, first, length in functions(file):
        if length > MAX_FUNCTION_LINES and (file.path, first) not in LONG_FUNCTIONS:
            problems.append(
                f"{file.path}:{number}: a function of {length} lines, at most "
                f"{MAX_FUNCTION_LINES}; give its phases names."
            )
    return problems


def check(files):
    problems = []
    for file in files:
        if file.path.endswith(CODE_SUFFIXES):
            problems += check_file_length(file)
        if file.is_cpp:
            problems += check_function_length(file)
    return problems


if __name__ == "__main__":
    tree.report(check)
