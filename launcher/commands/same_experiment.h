#ifndef EQUIPOISE_LAUNCHER_COMMANDS_SAME_EXPERIMENT_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_SAME_EXPERIMENT_H_

#include <string>

#include "absl/status/status.h"
#include "core/io/file_system.h"
#include "launcher/config/experiment.h"

namespace equipoise::launcher {

// OK when `run_directory` is new or holds neither checkpoints nor rows of metrics (all that a
// refused start leaves), or when the run in it trains the same: another layout, other waits,
// another checkpoint to resume from are fine, and so is moe.locality.nodes 0 there or here where
// the other is the number of nodes that the newest checkpoint was trained with. Else
// FailedPrecondition that names the fields that differ and says what to do; also when the directory
// is a sweep's.
absl::Status CheckSameExperiment(FileSystem& files, const std::string& run_directory,
                                 const Experiment& experiment);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_SAME_EXPERIMENT_H_
