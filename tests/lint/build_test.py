#!/usr/bin/env python3
"""BUILD files: our macros only, and every library visible to the layers above it only."""

import ast

import tree

OUR_RULES = ("eq_cc_library", "eq_cuda_library", "eq_proto_library")
# What the macros replace: targets made by these would miss our compiler flags.
REPLACED = {
    "cc_library": "eq_cc_library",
    "cc_test": "eq_cc_test",
    "cc_binary": "eq_cc_binary",
    "proto_library": "eq_proto_library",
    "cc_proto_library": "eq_proto_library",
}


def calls(module):
    """(rule name, {attribute: node}, line) of every call at the top of a BUILD file."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            attributes = {k.arg: k.value for k in node.keywords if k.arg}
            yield node.func.id, attributes, node.lineno


def labels(node):
    """Every string literal under `node`, with its line."""
    return [(n.value, n.lineno) for n in ast.walk(node)
            if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def check_visibility(file, node):
    problems = []
    for label, line in labels(node):
        if label == "//visibility:public" and file.top in tree.LAYERS:
            problems.append(
                f"{file.path}:{line}: //visibility:public opens the layer to everyone; write "
                f"//{file.top}:users, or something narrower."
            )
        group = label.split(":")
        if len(group) == 2 and group[1] == "users" and group[0] not in ("", f"//{file.top}"):
            problems.append(
                f"{file.path}:{line}: {label} is another layer's group; write //{file.top}:users."
            )
    return problems


def check_file(file):
    try:
        module = ast.parse(file.text)
    except SyntaxError as error:
        return [f"{file.path}:{error.lineno}: cannot be read as a BUILD file: {error.msg}."]
    problems, has_default, first_library = [], False, None
    for rule, attributes, line in calls(module):
        if rule == "package":
            has_default = "default_visibility" in attributes
        if rule in REPLACED:
            problems.append(f"{file.path}:{line}: {rule} lacks our flags; write {REPLACED[rule]}.")
        if rule in OUR_RULES and "visibility" not in attributes and first_library is None:
            first_library = line
        for attribute in ("visibility", "default_visibility"):
            if attribute in attributes:
                problems += check_visibility(file, attributes[attribute])
    if first_library and not has_default and file.top in tree.LAYERS:
        problems.append(
            f"{file.path}:{first_library}: a library without visibility; begin the file with "
            f"package(default_visibility = [\"//{file.top}:users\"])."
        )
    return problems


def check(files):
    problems = []
    for file in files:
        if file.is_build and not file.path.startswith("configs/bazel/"):
            problems += check_file(file)
    return problems


if __name__ == "__main__":
    tree.report(check)
