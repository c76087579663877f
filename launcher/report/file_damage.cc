#include "launcher/report/file_damage.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/io/checkpoint_directory.h"
#include "core/telemetry/router_log.h"
#include "core/telemetry/run_directory.h"
#include "launcher/commands/stored_config.h"

namespace equipoise::launcher {
namespace {

using State = StoredConfig::State;

State JudgeConfig(FileSystem& files, const RunHistory& run) {
  const RunRecord record = ReadRunRecord(files, run.path);
  std::vector<std::string> hashes = record.config_hashes;
  const absl::StatusOr<CheckpointListing> checkpoints =
      CheckpointDirectory(files, JoinPath(run.path, "ckpt")).List();
  if (checkpoints.ok()) {
    const std::vector<std::string> more = HashesOf(*checkpoints);
    hashes.insert(hashes.end(), more.begin(), more.end());
  }
  const StoredConfig stored = ReadStoredConfig(files, run.path, hashes);
  if (stored.state != State::kWhole) return stored.state;
  if (hashes.empty()) {
    return run.config_text.empty() ? State::kEmpty
           : stored.loaded.ok()    ? State::kWhole
                                   : State::kDamaged;
  }
  // A whole run.json has every configuration, also one that nobody can tell from ours by its form.
  const bool is_known =
      std::find(hashes.begin(), hashes.end(), ConfigHash(run.config_text)) != hashes.end();
  const bool knows_all = record.state == RunRecord::State::kWhole && run.state != "running";
  return is_known || !knows_all ? State::kWhole : State::kDamaged;
}

}  // namespace

void AddConfigDamage(FileSystem& files, RunHistory& run) {
  const State state = JudgeConfig(files, run);
  if (state == State::kWhole) return;
  run.damage.push_back(absl::StrCat(Describe(state), ": what the run was made with is not known"));
}

void AddRouterLogDamage(const FileSystem& files, const absl::Status& opened, int64_t num_records,
                        RunHistory& run) {
  const auto add = [&run](const std::string& what) {
    run.damage.push_back(absl::StrCat(what, "; the loads by expert are those of metrics.jsonl"));
  };
  if (opened.ok()) {
    const bool told = std::any_of(run.damage.begin(), run.damage.end(), [](const std::string& d) {
      return d.rfind(kRouterLogName, 0) == 0;
    });
    if (num_records == 0 && !run.layers.empty() && !told) {
      add(absl::StrCat(kRouterLogName, " has no record of any step"));
    }
    return;
  }
  if (!absl::IsNotFound(opened)) return add(std::string(opened.message()));
  const absl::StatusOr<uint64_t> index = files.FileSize(JoinPath(run.path, kRouterIndexName));
  if (index.ok() && *index > 0) {
    return add(absl::StrCat(kRouterLogName, " is missing, although ", kRouterIndexName,
                            " says that it was written"));
  }
  const auto setting = run.config.find("telemetry.router_log");
  if (run.layers.empty() || (setting != run.config.end() && setting->second == "false")) return;
  add(absl::StrCat(kRouterLogName, " is missing",
                   setting == run.config.end()
                       ? " (that the run was to write one is not known)"
                       : ", although the run was to write it (telemetry.router_log)"));
}

}  // namespace equipoise::launcher
