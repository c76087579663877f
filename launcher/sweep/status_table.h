#ifndef EQUIPOISE_LAUNCHER_SWEEP_STATUS_TABLE_H_
#define EQUIPOISE_LAUNCHER_SWEEP_STATUS_TABLE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launcher/config/sweep_spec.h"
#include "launcher/sweep/trial_grid.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {

// `sweep status`: how many trials are in each state, then a row for each: id, state, last finished
// step of how many, attempts, its point on each axis, and why it failed.
absl::StatusOr<std::string> DescribeStatus(const TrialStore& store);

// `sweep run --list`: the trials that would be run, with their state if the directory has some.
std::string ListTrials(const SweepSpec& spec, const std::vector<Trial>& trials,
                       const TrialStore& store);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_STATUS_TABLE_H_
