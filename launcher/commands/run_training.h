#ifndef EQUIPOISE_LAUNCHER_COMMANDS_RUN_TRAINING_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_RUN_TRAINING_H_

#include <string>

#include "absl/status/status.h"
#include "launcher/commands/command.h"
#include "launcher/config/loader.h"

namespace equipoise::launcher {

// Trains as `config` says, as one rank of the job. `run_directory`: where to write; empty: a new
// one below runs/. The process ends with ExitCodeOf the status.
absl::Status RunTraining(const LoadedConfig& config, const std::string& run_directory,
                         const Invocation& invocation);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_RUN_TRAINING_H_
