#!/usr/bin/env python3
"""Scripts parse: `bash -n` for shell, compile() for Python; executables have a known shebang."""

import subprocess

import tree


def check_shell(file):
    result = subprocess.run(["bash", "-n"], input=file.text, text=True, capture_output=True)
    if result.returncode == 0:
        problems = []
    else:
        first = result.stderr.strip().splitlines()[0]
        number = next((part.split()[1] for part in first.split(":") if part.startswith(" line ")), 1)
        problems = [f"{file.path}:{number}: does not parse: {first}"]
    if "set -" not in file.text and "exec " not in file.text:
        problems.append(f"{file.path}:1: goes on after an error; add `set -euo pipefail`.")
    return problems


def check_python(file):
    try:
        compile(file.text, file.path, "exec")
    except SyntaxError as error:
        return [f"{file.path}:{error.lineno}: does not parse: {error.msg}."]
    return []


def check(files):
    problems = []
    for file in files:
        if file.is_script:
            problems += check_shell(file)
        elif file.is_python:
            problems += check_python(file)
    return problems


if __name__ == "__main__":
    tree.report(check)
