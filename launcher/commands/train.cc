#include "launcher/commands/train.h"

#include <cstdio>
#include <optional>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/commands/run_training.h"
#include "launcher/config/loader.h"

ABSL_FLAG(std::string, config, "",
          "The run's configuration, a text file; configs/presets has some to start from.");
ABSL_FLAG(std::string, set, "",
          "Changes one field of the configuration: moe.top_k=2, layout.expert_owner=[0,1].\n"
          "docs/configuration.md lists all fields.");
ABSL_FLAG(std::string, run_dir, "",
          "Where metrics, logs and checkpoints go. Default: runs/NAME-TIME-HASH. Give the\n"
          "directory of an earlier run to go on with it.");
ABSL_FLAG(bool, print_config, false,
          "Print the configuration with every field and its value, and end.");
ABSL_FLAG(bool, validate_only, false, "Check the configuration, and end.");
ABSL_FLAG(std::optional<int>, num_ranks, std::nullopt,
          "With --print_config or --validate_only outside of mpirun: check for so many ranks.");

namespace equipoise::launcher {
namespace {

// The sub-command's flags; the values of --set go to `overrides`.
std::vector<FlagUse> FlagUses(std::vector<std::string>* overrides) {
  return {{"config", "FILE"},    {"set", "PATH=VALUE", overrides},
          {"run_dir", "FOLDER"}, {"print_config", ""},
          {"validate_only", ""}, {"num_ranks", "NUMBER"}};
}

// Whether the configuration is only looked at.
bool IsDry() { return absl::GetFlag(FLAGS_print_config) || absl::GetFlag(FLAGS_validate_only); }

absl::Status CheckNumRanks(const Launch& launch) {
  const std::optional<int> num_ranks = absl::GetFlag(FLAGS_num_ranks);
  if (!num_ranks.has_value()) return absl::OkStatus();
  if (*num_ranks < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--num_ranks is ", *num_ranks, ", but must be at least 1"));
  }
  if (!IsDry()) {
    return absl::InvalidArgumentError(
        "--num_ranks is for --print_config and --validate_only; mpirun -np says how many train");
  }
  if (launch.num_ranks.has_value() && *launch.num_ranks != *num_ranks) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--num_ranks is ", *num_ranks, ", but this job has ", *launch.num_ranks,
        *launch.num_ranks == 1 ? " rank" : " ranks", "; leave it out, or check without mpirun"));
  }
  return absl::OkStatus();
}

absl::Status CheckFlags(const Launch& launch) {
  if (absl::GetFlag(FLAGS_config).empty()) {
    return absl::InvalidArgumentError(
        "--config=FILE is missing; try --config=configs/presets/quickstart.textproto");
  }
  return CheckNumRanks(launch);
}

// Ranks to check the configuration for; nothing when it is only looked at outside of a job.
std::optional<int> NumRanks(const Launch& launch) {
  if (launch.num_ranks.has_value()) return launch.num_ranks;
  if (IsDry()) return absl::GetFlag(FLAGS_num_ranks);
  return 1;
}

int Show(const LoadedConfig& config, const Launch& launch) {
  if (launch.rank != 0) return static_cast<int>(ExitCode::kDone);
  if (absl::GetFlag(FLAGS_print_config)) {
    std::fputs(config.resolved_text.c_str(), stdout);
    return static_cast<int>(ExitCode::kDone);
  }
  const std::optional<int> num_ranks = NumRanks(launch);
  const std::string ranks =
      num_ranks.has_value()
          ? absl::StrCat("checked for ", *num_ranks, *num_ranks == 1 ? " rank" : " ranks")
          : std::string("what depends on the number of ranks was not checked: see --num_ranks");
  std::printf("%s: valid; %s\n", config.files.front().c_str(), ranks.c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace

std::string TrainHelp() {
  std::vector<std::string> overrides;
  return absl::StrCat(
      "Usage: [mpirun -np RANKS] equipoise train --config=FILE [--set PATH=VALUE]...\n\n"
      "Trains a Mixture-of-Experts language model: a process is a rank; experts are spread over\n"
      "all ranks.\n\n",
      DescribeFlags(FlagUses(&overrides)),
      "\nExamples:\n"
      "  mpirun -np 4 equipoise train --config configs/presets/quickstart.textproto\n"
      "  mpirun -np 2 equipoise train --config configs/presets/tiny.textproto \\\n"
      "      --set steps=50 --set moe.top_k=1 --run_dir runs/mine\n"
      "  equipoise train --config configs/presets/mixtral-8x7b.textproto \\\n"
      "      --set layout.expert_parallel=8 --validate_only --num_ranks 64\n\n"
      "Exit codes: 0 done, 2 configuration, 3 data, 4 checkpoint, 65 numbers that are not finite,\n"
      "75 a rank is gone or hangs (try again), 143 asked to stop by SIGTERM, SIGINT or SIGUSR1 "
      "(the\n"
      "step was finished and a checkpoint saved), 1 anything else. docs/errors.md says more.\n");
}

int RunTrainCommand(const Invocation& invocation) {
  LoadRequest request;
  absl::Status flags = ParseFlags(invocation.arguments, FlagUses(&request.overrides));
  if (flags.ok()) flags = CheckFlags(invocation.launch);
  if (!flags.ok()) {
    return FailJob(invocation.launch,
                   absl::StrCat(flags.message(), "\nequipoise train --help shows all flags."),
                   ExitCode::kConfig);
  }
  request.path = absl::GetFlag(FLAGS_config);
  request.num_ranks = NumRanks(invocation.launch);
  const absl::StatusOr<LoadedConfig> config = LoadConfig(request);
  if (!config.ok()) {
    return FailJob(invocation.launch, std::string(config.status().message()), ExitCode::kConfig);
  }
  if (IsDry()) return Show(*config, invocation.launch);
  const absl::Status status = RunTraining(*config, absl::GetFlag(FLAGS_run_dir), invocation);
  // Rank 0 has told the user; the others have nothing to add.
  if (status.ok() || absl::IsCancelled(status)) return static_cast<int>(ExitCodeOf(status));
  return FailJob(invocation.launch, std::string(status.message()), ExitCodeOf(status));
}

}  // namespace equipoise::launcher
