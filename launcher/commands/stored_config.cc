#include "launcher/commands/stored_config.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "core/telemetry/run_directory.h"

namespace equipoise::launcher {

StoredConfig ReadStoredConfig(const FileSystem& files, const std::string& run_directory,
                              const std::vector<std::string>& hashes) {
  using State = StoredConfig::State;
  StoredConfig stored;
  LoadRequest request;
  request.path = JoinPath(run_directory, kResolvedConfigFile);
  request.is_stored = true;
  if (!files.Exists(request.path)) return stored;
  const auto view = files.Map(request.path);
  const std::string text = view.ok() ? std::string((*view)->text()) : std::string();
  stored.loaded = LoadConfig(request);
  const bool is_ours = stored.loaded.ok() && stored.loaded->resolved_text == text;
  const bool is_known = std::find(hashes.begin(), hashes.end(), ConfigHash(text)) != hashes.end();
  stored.state = is_ours || hashes.empty() || is_known ? State::kWhole
                 : view.ok() && text.empty()           ? State::kEmpty
                                                       : State::kDamaged;
  return stored;
}

std::vector<std::string> HashesOf(const CheckpointListing& checkpoints) {
  std::vector<std::string> hashes;
  for (const Checkpoint& checkpoint : checkpoints.complete) {
    if (!checkpoint.manifest.config_hash.empty()) {
      hashes.push_back(checkpoint.manifest.config_hash);
    }
  }
  return hashes;
}

std::string Describe(StoredConfig::State state) {
  constexpr const char* kTexts[] = {"missing", "empty", "damaged (it is not what the run wrote)",
                                    "whole"};
  return absl::StrCat(kResolvedConfigFile, " is ", kTexts[static_cast<size_t>(state)]);
}

}  // namespace equipoise::launcher
