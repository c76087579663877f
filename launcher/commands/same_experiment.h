#ifndef EQUIPOISE_LAUNCHER_COMMANDS_SAME_EXPERIMENT_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_SAME_EXPERIMENT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/file_system.h"
#include "launcher/config/loader.h"

namespace equipoise::launcher {

// The run that is in a directory before a start.
struct StoredRun {
  // Whether there are checkpoints or rows of metrics, which a refused start does not leave.
  bool has_begun = false;
  // What of it is lost although it can go on: "run.json is empty: ...".
  std::vector<std::string> damage = {};
};

// OK when `run_directory` is new or holds no run that has begun, or when the run in it trains the
// same as `config`: another layout, other waits, another checkpoint to resume from are fine, and so
// is moe.locality.nodes 0 there or here where the other is the number of nodes that the newest
// checkpoint was trained with. Where the configuration there is gone, or is not what the run wrote,
// only the very configuration that its checkpoints name (by its hash) is the same. Else
// FailedPrecondition that names the fields that differ and says what to do; also when the directory
// is a sweep's. Changes nothing.
absl::StatusOr<StoredRun> CheckSameExperiment(FileSystem& files, const std::string& run_directory,
                                              const LoadedConfig& config);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_SAME_EXPERIMENT_H_
