#!/usr/bin/env bash
set -euo pipefail
echo "bazel coverage is not available with Debian's Bazel; build with --copt=--coverage and use gcovr." >&2
exit 1
