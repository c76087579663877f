"""Runs a slow tool over source files, skipping those it has passed before.

What passed is remembered by content (the file, the tool's version and settings) in a folder of
Bazel's output tree, the only place that lasts from one run to the next: `bazel clean` forgets it.
"""

import concurrent.futures
import hashlib
import os
import subprocess
import sys

import tree


def _remembered_folder(name):
    temporary = os.environ.get("TEST_TMPDIR")
    if not temporary:
        return None  # Run by hand: check everything.
    execution_root = os.path.dirname(os.path.dirname(os.path.realpath(temporary)))
    folder = os.path.join(execution_root, "bazel-out", "lint_passed", name)
    os.makedirs(folder, exist_ok=True)
    return folder


def _settings(command, config):
    version = subprocess.run([command, "--version"], capture_output=True, check=True).stdout
    with open(os.path.join(tree.root(), config), "rb") as stream:
        return version + stream.read()


def check(command, config, files, key_of, problems_of):
    """Problems of those `files` that are not known to pass.

    Args:
      command: the tool; its version is part of what is remembered.
      config: its settings file, a path from the root; likewise.
      files: SourceFiles.
      key_of: SourceFile -> text that decides the result.
      problems_of: SourceFile -> list of messages; called from several threads.
    """
    folder, settings = _remembered_folder(command), _settings(command, config)

    def check_one(file):
        digest = hashlib.sha256(settings + file.path.encode() + key_of(file).encode()).hexdigest()
        stamp = folder and os.path.join(folder, digest)
        if stamp and os.path.exists(stamp):
            return []
        problems = problems_of(file)
        if stamp and not problems:
            open(stamp, "w").close()
        return problems

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [problem for found in pool.map(check_one, files) for problem in found]


def need(command):
    """Ends the test with a message if `command` is not installed."""
    try:
        subprocess.run([command, "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        print(f"{command} does not run here; launcher/setup.sh installs it")
        sys.exit(1)
