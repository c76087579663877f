#include "launcher/commands/sweep_run.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/run_lock.h"
#include "launcher/config/suggest.h"
#include "launcher/config/sweep_loader.h"
#include "launcher/sweep/status_table.h"
#include "launcher/sweep/trial_grid.h"
#include "launcher/sweep/trial_runner.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {
namespace {

// A line for people, at once: the output may be a pipe, and the next line hours away.
void Say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

absl::StatusOr<std::string> ThisProgram() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) return path.string();
  return absl::InternalError(absl::StrCat("cannot find this program's file: ", error.message()));
}

absl::StatusOr<RunLock> TakeLock(const TrialStore& store) {
  absl::StatusOr<RunLock> lock = RunLock::Take(store.lock_path());
  if (lock.status().code() != absl::StatusCode::kFailedPrecondition) return lock;
  return absl::FailedPreconditionError(absl::StrCat("another `sweep run` is at work in '",
                                                    store.path(), "': `equipoise sweep stop ",
                                                    store.path(), "` ends it"));
}

// The trials to run now, in their order.
absl::StatusOr<std::vector<Trial>> ChooseTrials(const std::vector<Trial>& trials,
                                                const std::map<std::string, TrialStatus>& statuses,
                                                const std::string& only) {
  std::vector<Trial> chosen;
  std::vector<std::string> ids;
  for (const Trial& trial : trials) {
    ids.push_back(trial.id);
    if (!only.empty() && trial.id != only) continue;
    const auto found = statuses.find(trial.id);
    const TrialState state = found == statuses.end() ? TrialState::kWaiting : found->second.state;
    if (state != TrialState::kFinished && state != TrialState::kStopped) chosen.push_back(trial);
    if (!only.empty()) return chosen;
  }
  if (only.empty()) return chosen;
  return absl::InvalidArgumentError(absl::StrCat("--trial=", only, ": the sweep has no such trial",
                                                 DidYouMean(only, ids), "; --list shows all"));
}

std::map<std::string, int> AttemptsOf(const std::map<std::string, TrialStatus>& statuses) {
  std::map<std::string, int> attempts;
  for (const auto& [id, status] : statuses) attempts[id] = status.attempts;
  return attempts;
}

absl::Status Conclude(const RunnerResult& result, const SweepSpec& spec, const TrialStore& store,
                      size_t num_before) {
  std::string text = absl::StrCat(result.finished, " finished");
  if (num_before > 0) absl::StrAppend(&text, ", ", num_before, " already done before");
  if (result.stopped > 0) absl::StrAppend(&text, ", ", result.stopped, " stopped early");
  if (result.unfinished > 0) absl::StrAppend(&text, ", ", result.unfinished, " still to do");
  if (!result.failed.empty()) absl::StrAppend(&text, ", ", result.failed.size(), " failed:");
  Say(text);
  for (const auto& [trial, reason] : result.failed) {
    Say(absl::StrCat("  ", DescribeTrial(spec.axes, trial->labels), ": ", reason, "\n    ",
                     store.console_path(trial->id)));
  }
  if (result.unfinished > 0) {
    return WithExitCode(absl::UnavailableError("not all trials are finished; the same command "
                                               "goes on with them"),
                        ExitCode::kRetry);
  }
  if (result.failed.empty()) return absl::OkStatus();
  return WithExitCode(absl::UnknownError(absl::StrCat(result.failed.size(),
                                                      " of the trials failed; the same "
                                                      "command tries them again")),
                      ExitCode::kOther);
}

}  // namespace

absl::Status RunSweep(const SweepRunRequest& request) {
  EQ_ASSIGN_OR_RETURN(const SweepSpec spec, LoadSweep(request.file, request.overrides));
  EQ_ASSIGN_OR_RETURN(const std::vector<Trial> trials, ExpandSweep(spec));
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  TrialStore store(*files, request.out.empty() ? JoinPath("runs", spec.name) : request.out);
  if (request.list) {
    Say(ListTrials(spec, trials, store));
    return absl::OkStatus();
  }
  RunnerOptions options;
  EQ_ASSIGN_OR_RETURN(const std::string program, ThisProgram());
  options.program = {program};
  options.trial = spec.trial;
  options.jobs = request.jobs;
  options.say = Say;
  absl::Status made = store.Create();
  if (!made.ok()) return WithExitCode(std::move(made), ExitCode::kConfig);
  RunLock lock;
  if (request.trial.empty()) {
    absl::StatusOr<RunLock> taken = TakeLock(store);
    if (!taken.ok()) return WithExitCode(taken.status(), ExitCode::kConfig);
    lock = *std::move(taken);
    EQ_RETURN_IF_ERROR(files->RemoveAll(store.stop_path()));
  }
  absl::Status planned = store.WritePlan(spec, trials);
  if (!planned.ok()) return WithExitCode(std::move(planned), ExitCode::kConfig);
  EQ_ASSIGN_OR_RETURN(const SweepPlan plan, store.ReadPlan());
  EQ_ASSIGN_OR_RETURN(const auto statuses, store.ReadStatus(plan));
  EQ_ASSIGN_OR_RETURN(const std::vector<Trial> chosen,
                      ChooseTrials(trials, statuses, request.trial));
  const size_t num_before = (request.trial.empty() ? trials.size() : 1) - chosen.size();
  Say(absl::StrCat("sweep ", spec.name, " in ", store.path(), ": ", trials.size(), " trials, ",
                   chosen.size(), " to run, ", request.jobs, " at a time"));
  TrialRunner runner(store, *files, spec.axes, std::move(options));
  EQ_ASSIGN_OR_RETURN(const RunnerResult result, runner.Run(chosen, AttemptsOf(statuses)));
  return Conclude(result, spec, store, num_before);
}

}  // namespace equipoise::launcher
