#ifndef EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_RUN_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_RUN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace equipoise::launcher {

struct SweepRunRequest {
  std::string file;
  std::vector<std::string> overrides;  // --set
  std::string out;                     // empty: runs/<name of the sweep>
  int jobs = 1;
  bool list = false;  // print the trials and end
  std::string trial;  // run the trial with this id alone; empty: all
  // Leave the trials to Slurm: write the script of an array, and submit it.
  enum class Slurm { kNo, kWriteScript, kSubmit } slurm = Slurm::kNo;
};

// Runs the trials of a sweep that are not finished, and prints how it goes. OK if all of them are
// finished then, or stopped by the sweep's own rule; with Slurm, if the array was submitted. The
// process ends with ExitCodeOf the status.
absl::Status RunSweep(const SweepRunRequest& request);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_RUN_H_
