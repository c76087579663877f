#!/usr/bin/env bash
# From a fresh machine to a trained Mixture-of-Experts language model: installs what is missing,
# builds, prepares a corpus from text that Debian packages ship, and trains on four processes for
# at most five minutes on two cores.
#
# Usage: launcher/quickstart.sh [TRAIN OPTION]...
#   Options go to `equipoise train`, for example: --set steps=50 --run_dir runs/mine
#   RANKS=N in the environment: processes to start (default 4).
#
# Exit status: that of launcher/setup.sh (3: packages are missing that only root can install), of
# the build, of launcher/corpus.sh, or of `equipoise train` (docs/errors.md).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'quickstart: %s\n' "$*"; }

case ${1-} in
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
ranks=${RANKS:-4}
if ! [[ $ranks =~ ^[1-9][0-9]*$ ]]; then
  say "RANKS is '$ranks'; it must be a positive number" >&2
  exit 2
fi

# The directory of the run just made: --run_dir if it was given, else the newest.
newest_run() {
  local previous=
  for word in "$@"; do
    case $word in
      --run_dir=*) printf '%s\n' "${word#*=}"; return ;;
    esac
    [[ $previous == --run_dir ]] && { printf '%s\n' "$word"; return; }
    previous=$word
  done
  # shellcheck disable=SC2012  # names without line ends, by time
  ls -td runs/*/ 2>/dev/null | head -n 1 || true
}

say "1/4 packages"
launcher/setup.sh
say "2/4 build (a first build takes about five minutes)"
progress=()
[[ -t 2 ]] || progress=(--noshow_progress --noshow_loading_progress)
bazel build "${progress[@]}" //launcher:equipoise
say "3/4 corpus"
launcher/corpus.sh data/quickstart
say "4/4 training on $ranks processes"

# More processes than cores are welcome: idle ones must give their core away. All processes are on
# this machine: shared memory is enough. mpirun refuses root unless told otherwise.
options=(-np "$ranks" --oversubscribe --bind-to none --mca btl "self,vader"
  --mca mpi_yield_when_idle 1)
((EUID == 0)) && options+=(--allow-run-as-root)
# In the background, so that a SIGTERM for this script alone reaches mpirun, which then ends its
# processes. Ctrl-C reaches mpirun from the terminal.
mpirun "${options[@]}" bazel-bin/launcher/equipoise train \
  --config configs/presets/quickstart.textproto "$@" <&0 &
job=$!
signalled=yes
trap 'signalled=yes; kill -TERM "$job" 2>/dev/null || true' TERM
trap 'signalled=yes' INT
while [[ $signalled == yes ]]; do # a signal ends `wait` before mpirun is done
  signalled=no status=0
  wait "$job" || status=$?
done
((status == 0)) || exit "$status"

# Without a report the run is as good.
bazel-bin/launcher/equipoise report "$(newest_run "$@")" || say "no report of this run" >&2

cat <<'END'
quickstart: done. To go on:
  - open the report named above in a browser, from this disk or a copy;
  - a run of your own: README.md, section "Your own runs";
  - this one: `mpirun ... equipoise train` with the same configuration, and the run directory named
    above as --run_dir, goes on from its newest checkpoint;
  - every field of a configuration: docs/configuration.md.
END
