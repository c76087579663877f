#ifndef EQUIPOISE_LAUNCHER_SWEEP_SLURM_SCRIPT_H_
#define EQUIPOISE_LAUNCHER_SWEEP_SLURM_SCRIPT_H_

#include <string>
#include <vector>

#include "launcher/config/sweep_spec.h"

namespace equipoise::launcher {

struct SlurmRequest {
  std::string program;  // this program's file
  std::string sweep_file;
  std::vector<std::string> overrides;  // --set
  std::string out;                     // the sweep's directory
  std::string folder;                  // where the trials' relative paths begin
  std::vector<std::string> trials;     // ids, at least one
  int jobs = 1;                        // tasks at a time
};

// An sbatch script: an array with a task for each trial, which calls `sweep run --trial` for its
// own. Submit it again after a failure: a task whose trial is finished ends at once.
std::string SlurmScript(const SweepSpec& spec, const SlurmRequest& request);

// The word as a POSIX shell reads it back unchanged.
std::string ShellQuote(const std::string& word);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_SLURM_SCRIPT_H_
