#!/usr/bin/env bash
# Runs a Python test with its arguments. -B: the sources may lie in a read-only tree.
exec python3 -B "$@"
