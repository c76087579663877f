#ifndef EQUIPOISE_LAUNCHER_SWEEP_TRIAL_GRID_H_
#define EQUIPOISE_LAUNCHER_SWEEP_TRIAL_GRID_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "launcher/config/sweep_spec.h"

namespace equipoise::launcher {

// One run of a sweep.
struct Trial {
  // 16 hexadecimal digits: the hash of what the configuration trains (Experiment), so that a trial
  // stays the same, and finished, when settings change that cannot change its result: checkpoints,
  // telemetry, waits, the layout. Where trials of the sweep differ in nothing else, because an axis
  // is about the layout, say, the hash of config_text.
  std::string id;
  std::vector<std::string> labels;  // its point on each axis
  std::string config_text;          // the resolved configuration
  int64_t steps = 0;
  DatasetOptions train_data = {};
  DatasetOptions validation_data = {};  // no sources: none
  // It says it is finished, but at this step only, before its last, and shall go on; -1: no such
  // thing.
  int64_t goes_on_from = -1;
};

// "router=lpr coefficient=0.1 seed=1".
std::string DescribeTrial(const std::vector<SweepAxis>& axes,
                          const std::vector<std::string>& labels);

// The trials of a sweep: all combinations of the axes' points without those that are skipped. Axes
// of seeds vary slowest and then the axes in the order of the file, so that every point of a sweep
// has run once before any runs again with another seed.
//
// Every trial's configuration is loaded and checked for `spec.trial.ranks` ranks. InvalidArgument
// with all that is wrong: invalid configurations, with the trials that have them; two trials with
// the same configuration; nothing left; more than kMostTrials combinations.
absl::StatusOr<std::vector<Trial>> ExpandSweep(const SweepSpec& spec);

// Opens the files that trials read, each set of them once. The first error, with the trial that has
// it and what to do.
absl::Status CheckData(const std::vector<SweepAxis>& axes, const std::vector<Trial>& trials);

inline constexpr size_t kMostTrials = 100000;

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_TRIAL_GRID_H_
