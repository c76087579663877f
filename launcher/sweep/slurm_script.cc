#include "launcher/sweep/slurm_script.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace equipoise::launcher {
namespace {

// Slurm cuts a job's name off at a blank.
std::string JobName(const std::string& name) {
  std::string job = absl::StrCat("equipoise-", name);
  for (char& c : job) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '.') c = '-';
  }
  return job;
}

// All attempts of a trial, and a little for the start of each.
std::string TimeLimit(const SweepTrialOptions& trial) {
  if (trial.max_minutes <= 0.0) return "";
  constexpr double kStartMinutes = 5.0;
  const double minutes = (trial.max_minutes + kStartMinutes) * (trial.retries + 1);
  return absl::StrCat("#SBATCH --time=", static_cast<int64_t>(std::ceil(minutes)), "\n");
}

}  // namespace

std::string ShellQuote(const std::string& word) {
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

std::string SlurmScript(const SweepSpec& spec, const SlurmRequest& request) {
  std::vector<std::string> command = {
      ShellQuote(request.program),    "sweep", "run",
      ShellQuote(request.sweep_file), "--out", ShellQuote(request.out)};
  for (const std::string& text : request.overrides) {
    command.push_back(absl::StrCat("--set=", ShellQuote(text)));
  }
  return absl::StrCat(
      "#!/usr/bin/env bash\n"
      "# The trials of a sweep as a Slurm array, one task each. Written by `equipoise sweep run\n"
      "# --slurm`; options for Slurm that are missing here can be given to sbatch.\n"
      "#SBATCH --job-name=",
      JobName(spec.name), "\n#SBATCH --array=0-", request.trials.size() - 1, "%", request.jobs,
      "\n#SBATCH --ntasks=", spec.trial.ranks, "\n", TimeLimit(spec.trial),
      "#SBATCH --output=", absl::StrReplaceAll(request.out, {{" ", "\\ "}, {"%", "%%"}}),
      "/slurm-%A_%a.log\n"
      "set -euo pipefail\n"
      "cd ",
      ShellQuote(request.folder), "\ntrials=(\n  ", absl::StrJoin(request.trials, "\n  "),
      "\n)\n"
      "# Ranks share cores with others of their kind at times: one that waits must not spin.\n"
      "export OMPI_MCA_mpi_yield_when_idle=1\n"
      "exec ",
      absl::StrJoin(command, " "), " --trial \"${trials[$SLURM_ARRAY_TASK_ID]}\"\n");
}

}  // namespace equipoise::launcher
