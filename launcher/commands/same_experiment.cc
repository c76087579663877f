#include "launcher/commands/same_experiment.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/io/file_system.h"
#include "core/telemetry/run_directory.h"
#include "launcher/config/loader.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {
namespace {

// A message that lists more helps nobody.
constexpr size_t kMostNamed = 8;

constexpr char kAdvice[] =
    "Give the changed run a directory of its own with --run_dir; to go on from here, also set "
    "checkpoint.resume to a checkpoint below ";

}  // namespace

absl::Status CheckSameExperiment(const std::string& run_directory, const Experiment& experiment) {
  const std::string path = JoinPath(run_directory, kResolvedConfigFile);
  std::error_code error;
  if (std::filesystem::exists(JoinPath(run_directory, kSweepPlanFile), error)) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", run_directory, "' is the directory of a sweep: give the run one of its ",
                     "own with --run_dir; `equipoise sweep run` goes on with the sweep's trials"));
  }
  if (!std::filesystem::exists(path, error)) return absl::OkStatus();
  const std::string checkpoints = JoinPath(run_directory, "ckpt");
  LoadRequest request;
  request.path = path;
  request.is_stored = true;
  const absl::StatusOr<LoadedConfig> there = LoadConfig(request);
  if (!there.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the run directory '", run_directory, "' cannot be compared with this run, ",
                     "because its configuration is not one of this version:\n",
                     there.status().message(), kAdvice, checkpoints));
  }
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
