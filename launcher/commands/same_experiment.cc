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
#include "launcher/config/loader.h"
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

}  // namespace

absl::Status CheckSameExperiment(FileSystem& files, const std::string& run_directory,
                                 const Experiment& experiment) {
  const std::string path = JoinPath(run_directory, kResolvedConfigFile);
  if (files.Exists(JoinPath(run_directory, kSweepPlanFile))) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", run_directory, "' is the directory of a sweep: give the run one of its ",
                     "own with --run_dir; `equipoise sweep run` goes on with the sweep's trials"));
  }
  if (!files.Exists(path)) return absl::OkStatus();
  const std::string checkpoints = JoinPath(run_directory, "ckpt");
  EQ_ASSIGN_OR_RETURN(const CheckpointListing listing,
                      CheckpointDirectory(files, checkpoints).List());
  EQ_ASSIGN_OR_RETURN(const bool holds_a_run, HoldsARun(files, run_directory, listing));
  if (!holds_a_run) return absl::OkStatus();
  LoadRequest request;
  request.path = path;
  request.is_stored = true;
  absl::StatusOr<LoadedConfig> there = LoadConfig(request);
  if (!there.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the run directory '", run_directory, "' cannot be compared with this run, ",
                     "because its configuration is not one of this version:\n",
                     there.status().message(), kAdvice, checkpoints));
  }
  EQ_RETURN_IF_ERROR(SettleNodes(listing, experiment, there->experiment));
  std::vector<std::string> differences = DifferencesOf(there->experiment, experiment);
  if (differences.empty()) return absl::OkStatus();
  const size_t more = differences.size() - std::min(differences.size(), kMostNamed);
  differences.resize(differences.size() - more);
  return absl::FailedPreconditionError(absl::StrCat(
      "the run directory '", run_directory,
      "' belongs to another experiment: ", absl::StrJoin(differences, "; "),
      more > 0 ? absl::StrCat("; and ", more, " more") : "", ". ", kAdvice, checkpoints));
}

}  // namespace equipoise::launcher
