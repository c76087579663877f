#ifndef EQUIPOISE_LAUNCHER_CONFIG_SWEEP_SPEC_H_
#define EQUIPOISE_LAUNCHER_CONFIG_SWEEP_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launcher/config/change.h"

namespace equipoise::launcher {

// A sweep file as plain values; configs/schema/sweep.proto says what each means.

// One position on an axis.
struct SweepPoint {
  std::string label;                   // as tables and conditions call it
  std::string place;                   // where it is written: "sweep.textproto:4"
  std::vector<std::string> fragments;  // paths of files that are laid over the base
  std::vector<Change> changes;         // after the files
};

struct SweepAxis {
  std::string name;
  std::vector<SweepPoint> points;  // at least one, labels differ
  // Trials that differ here alone repeat one another: its points are seeds.
  bool is_seed = false;
};

// "axis=label", or "axis!=label".
struct SweepCondition {
  size_t axis = 0;   // index into SweepSpec::axes
  size_t point = 0;  // index into its points
  bool equal = true;
};

struct SweepTrialOptions {
  int ranks = 1;
  int retries = 1;
  double max_minutes = 0.0;  // 0: no limit
  std::string mpirun;
  std::string mpirun_place = {};  // "sweep.textproto:4:30"; "" if it is the default
};

struct MedianStoppingOptions {
  std::string metric;
  int64_t after_steps = 0;
  int64_t every_steps = 0;
  int min_trials = 0;
};

struct SweepSpec {
  std::string path;                    // of the sweep file
  std::string name;                    // fit for tables
  std::string base;                    // path of the base configuration
  std::vector<Change> changes;         // of every trial
  std::vector<std::string> overrides;  // "PATH=VALUE" of the command line, after all changes
  std::vector<SweepAxis> axes;         // in the order of the file, the seeds last
  // A combination is left out when all conditions of one of these hold.
  std::vector<std::vector<SweepCondition>> skips;
  SweepTrialOptions trial;
  std::optional<MedianStoppingOptions> median_stopping;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_SWEEP_SPEC_H_
