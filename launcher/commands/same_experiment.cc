#include "launcher/commands/same_experiment.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/io/checkpoint_directory.h"
#include "core/telemetry/run_directory.h"
#include "launcher/commands/stored_config.h"
#include "launcher/config/experiment.h"
#include "launcher/sweep/trial_store.h"
#include "parallel/node_record.h"

namespace equipoise::launcher {
namespace {

// A message that lists more helps nobody.
constexpr size_t kMostNamed = 8;

constexpr char kAdvice[] =
    "Give the changed run a directory of its own with --run_dir; to go on from here, also set "
    "checkpoint.resume to a checkpoint below ";

constexpr char kNodes[] = "moe.locality.nodes";

// Whether there is anything that another experiment must not go on with: checkpoints, complete or
// not, or rows of metrics. A start that was refused leaves neither.
absl::StatusOr<bool> HoldsARun(const FileSystem& files, const std::string& run_directory,
                               const CheckpointListing& checkpoints) {
  if (!checkpoints.complete.empty() || !checkpoints.problems.empty()) return true;
  EQ_ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(run_directory));
  for (const std::string& name : names) {
    // Also those set aside, as metrics.jsonl.1.
    if (!absl::StartsWith(name, "metrics.jsonl")) continue;
    const absl::StatusOr<uint64_t> size = files.FileSize(JoinPath(run_directory, name));
    if (!size.ok() || *size > 0) return true;
  }
  return false;
}

// `there` with the number of nodes that `here` would train with, if it is that of the run: one of
// them may leave it to the machines, and the checkpoints know how many these were.
absl::Status SettleNodes(const CheckpointListing& checkpoints, const Experiment& here,
                         Experiment& there) {
  const auto asked = here.fields.find(kNodes);
  const auto stored = there.fields.find(kNodes);
  if (asked == here.fields.end() || stored == there.fields.end() || checkpoints.complete.empty() ||
      asked->second == stored->second || (asked->second != "0" && stored->second != "0")) {
    return absl::OkStatus();
  }
  EQ_ASSIGN_OR_RETURN(const std::optional<int> recorded,
                      parallel::RecordedNodes(checkpoints.complete.front()));
  if (!recorded.has_value()) return absl::OkStatus();
  stored->second = asked->second == "0" ? asked->second : absl::StrCat(*recorded);
  return absl::OkStatus();
}

bool Has(const std::vector<std::string>& hashes, const std::string& hash) {
  return std::find(hashes.begin(), hashes.end(), hash) != hashes.end();
}

void AddDamage(const RunRecord& record, StoredRun& run) {
  constexpr const char* kTexts[] = {"missing", "empty", "damaged, and kept under another name"};
  if (record.state == RunRecord::State::kWhole) return;
  run.damage.push_back(absl::StrCat(kRunRecordFile, " is ",
                                    kTexts[static_cast<size_t>(record.state)],
                                    ": nothing is known of the starts before this one"));
}

// `known`: the hashes of the configurations that may go on where the one of the run is lost.
absl::Status CheckLost(StoredConfig::State state, const std::vector<std::string>& known,
                       const std::string& run_directory, const LoadedConfig& config,
                       StoredRun& run) {
  if (Has(known, config.hash)) {
    run.damage.push_back(absl::StrCat(Describe(state), ": by its hash this start has the same ",
                                      "configuration, and writes it again"));
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the run in '", run_directory, "' cannot go on, because its configuration is not known: ",
      Describe(state), known.empty() ? "" : ", and by its hash this start has another one",
      ". Nothing was changed. Put the file back; or start with the very configuration and --set ",
      "options that the run had (its command lines are in ", kRunRecordFile,
      "); or, to go on with ",
      "these settings whatever it had, give them a directory of their own with --run_dir and set ",
      "checkpoint.resume to a checkpoint below ", JoinPath(run_directory, "ckpt")));
}

absl::Status RefuseUnreadable(const std::string& run_directory, const absl::Status& status,
                              const std::string& checkpoints) {
  return absl::FailedPreconditionError(
      absl::StrCat("the run directory '", run_directory, "' cannot be compared with this run, ",
                   "because its configuration is not one of this version:\n", status.message(),
                   kAdvice, checkpoints));
}

absl::Status Compare(const Experiment& there, const Experiment& here,
                     const std::string& run_directory) {
  std::vector<std::string> differences = DifferencesOf(there, here);
  if (differences.empty()) return absl::OkStatus();
  const size_t more = differences.size() - std::min(differences.size(), kMostNamed);
  differences.resize(differences.size() - more);
  return absl::FailedPreconditionError(absl::StrCat(
      "the run directory '", run_directory, "' belongs to another experiment: ",
      absl::StrJoin(differences, "; "), more > 0 ? absl::StrCat("; and ", more, " more") : "", ". ",
      kAdvice, JoinPath(run_directory, "ckpt")));
}

}  // namespace

absl::StatusOr<StoredRun> CheckSameExperiment(FileSystem& files, const std::string& run_directory,
                                              const LoadedConfig& config) {
  if (!files.Exists(run_directory)) return StoredRun();
  if (files.Exists(JoinPath(run_directory, kSweepPlanFile))) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", run_directory, "' is the directory of a sweep: give the run one of its ",
                     "own with --run_dir; `equipoise sweep run` goes on with the sweep's trials"));
  }
  const std::string checkpoints = JoinPath(run_directory, "ckpt");
  const absl::StatusOr<CheckpointListing> listed = CheckpointDirectory(files, checkpoints).List();
  if (!listed.ok()) return UnusableRunDirectory(run_directory, listed.status());
  const CheckpointListing& listing = *listed;
  const absl::StatusOr<bool> has_begun = HoldsARun(files, run_directory, listing);
  if (!has_begun.ok()) return UnusableRunDirectory(run_directory, has_begun.status());
  StoredRun run;
  run.has_begun = *has_begun;
  if (!run.has_begun) return run;
  const RunRecord record = ReadRunRecord(files, run_directory);
  AddDamage(record, run);
  const std::vector<std::string> of_checkpoints = HashesOf(listing);
  std::vector<std::string> hashes = of_checkpoints;
  hashes.insert(hashes.end(), record.config_hashes.begin(), record.config_hashes.end());
  StoredConfig stored = ReadStoredConfig(files, run_directory, hashes);
  if (stored.state != StoredConfig::State::kWhole) {
    // Starts that were refused are in run.json, too: only its last one says what the run has had.
    const bool by_starts = of_checkpoints.empty() && !record.config_hashes.empty();
    EQ_RETURN_IF_ERROR(CheckLost(
        stored.state,
        by_starts ? std::vector<std::string>{record.config_hashes.back()} : of_checkpoints,
        run_directory, config, run));
    return run;
  }
  if (!stored.loaded.ok()) {
    return RefuseUnreadable(run_directory, stored.loaded.status(), checkpoints);
  }
  EQ_RETURN_IF_ERROR(SettleNodes(listing, config.experiment, stored.loaded->experiment));
  EQ_RETURN_IF_ERROR(Compare(stored.loaded->experiment, config.experiment, run_directory));
  return run;
}

}  // namespace equipoise::launcher
