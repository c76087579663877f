#!/usr/bin/env bash
# Stands in for the program that trains: fake_trial.sh train --config FILE --run_dir FOLDER. FILE
# says in a word what shall happen; each start adds a line to FOLDER/starts.
set -u
folder=$5
read -r what argument <"$3"
echo start >>"$folder/starts"

finish() { printf '{"state":"finished","reason":"","step":%s}\n' "${1:-1}" >"$folder/STATUS.json"; }
trap 'echo asked to end >>"$folder/ends"; exit 143' TERM

case $what in
  finish) finish ;;
  sleep) # in short pieces: the shell hears of a signal between them
    for ((i = 0; i < argument; ++i)); do sleep 0.02; done
    finish ;;
  exit) exit "$argument" ;;
  complain) # fails before it has a run directory, under an mpirun
    printf '%s\n' "text.bytes: no such file" "----------------" "Primary job terminated" >&2
    exit "$argument" ;;
  lie) ;; # ends well without having finished
  crash) kill -SEGV $$ ;;
  reason)
    printf '{"state":"failed","reason":"the loss is not finite","step":7}\n' >"$folder/STATUS.json"
    exit "$argument" ;;
  flaky) # fails the first `argument` times
    (($(wc -l <"$folder/starts") > argument)) || exit 1
    finish ;;
  deaf)
    trap '' TERM
    for ((i = 0; i < 1000; ++i)); do sleep 0.05; done ;;
esac
