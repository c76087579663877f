#ifndef EQUIPOISE_LAUNCHER_COMMANDS_STORED_CONFIG_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_STORED_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/checkpoint_directory.h"
#include "core/io/file_system.h"
#include "launcher/config/loader.h"

namespace equipoise::launcher {

// config.textproto of a run directory, and whether it is what the run wrote. A value.
struct StoredConfig {
  enum class State { kMissing, kEmpty, kDamaged, kWhole };
  State state = State::kMissing;
  absl::StatusOr<LoadedConfig> loaded = absl::NotFoundError("no configuration");
};

// `hashes`: of the configurations that the run has had; none: not known, and whatever is there
// counts as whole. Half of a configuration may well be a valid one, of another run: what is not
// among them, nor a text as this program writes it, is not believed.
StoredConfig ReadStoredConfig(const FileSystem& files, const std::string& run_directory,
                              const std::vector<std::string>& hashes);

// The hashes of the configurations that wrote the checkpoints there are.
std::vector<std::string> HashesOf(const CheckpointListing& checkpoints);

// "config.textproto is empty"
std::string Describe(StoredConfig::State state);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_STORED_CONFIG_H_
