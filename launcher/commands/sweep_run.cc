#include "launcher/commands/sweep_run.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/io/file_system.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/run_lock.h"
#include "launcher/config/suggest.h"
#include "launcher/config/sweep_loader.h"
#include "launcher/sweep/median_stopping.h"
#include "launcher/sweep/slurm_script.h"
#include "launcher/sweep/status_table.h"
#include "launcher/sweep/time_limit.h"
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

// What a command prints; Unavailable, with what it printed, when it fails.
absl::StatusOr<std::string> RunAndRead(const std::vector<std::string>& command) {
  std::string shell_line;
  for (const std::string& word : command) absl::StrAppend(&shell_line, ShellQuote(word), " ");
  std::FILE* pipe = popen(absl::StrCat(shell_line, "2>&1").c_str(), "re");
  if (pipe == nullptr) return absl::UnavailableError("cannot start a shell");
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe))
    text.push_back(static_cast<char>(c));
  const int status = pclose(pipe);
  absl::StripTrailingAsciiWhitespace(&text);
  if (status == 0) return text;
  return absl::UnavailableError(absl::StrCat(command[0], " failed: ", text));
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
                                                const std::string& only, const TrialStore& store) {
  std::vector<Trial> chosen;
  std::vector<std::string> ids;
  for (const Trial& trial : trials) {
    ids.push_back(trial.id);
    if (!only.empty() && trial.id != only) continue;
    const auto found = statuses.find(trial.id);
    const TrialState state = found == statuses.end() ? TrialState::kWaiting : found->second.state;
    const bool goes_on =
        found != statuses.end() && EndedEarly(trial, found->second) && LimitIsRaised(store, trial);
    if (goes_on || (state != TrialState::kFinished && state != TrialState::kStopped)) {
      chosen.push_back(trial);
      // Also one whose last start failed before it could say anything else.
      const bool is_early = found != statuses.end() && found->second.step < trial.steps;
      if (is_early) chosen.back().goes_on_from = found->second.step;
    }
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

// Each reason once, with the trials that failed for it.
void SayFailures(const RunnerResult& result, const SweepSpec& spec, const TrialStore& store) {
  std::vector<std::string> reasons;
  std::map<std::string, std::string> trials_of;
  for (const auto& [trial, reason] : result.failed) {
    std::string& trials = trials_of[reason];
    if (trials.empty()) reasons.push_back(reason);
    absl::StrAppend(&trials, "\n    ", DescribeTrial(spec.axes, trial->labels), ": ",
                    store.console_path(trial->id));
  }
  for (const std::string& reason : reasons) {
    Say(absl::StrCat("  ", reason, trials_of.at(reason)));
  }
}

absl::Status Conclude(const RunnerResult& result, const SweepSpec& spec, const TrialStore& store,
                      size_t num_before) {
  std::string text = absl::StrCat(result.finished, " finished");
  if (num_before > 0) absl::StrAppend(&text, ", ", num_before, " already done before");
  if (result.stopped > 0) absl::StrAppend(&text, ", ", result.stopped, " stopped early");
  if (result.unfinished > 0) absl::StrAppend(&text, ", ", result.unfinished, " still to do");
  if (!result.failed.empty()) absl::StrAppend(&text, ", ", result.failed.size(), " failed:");
  Say(text);
  SayFailures(result, spec, store);
  if (result.unfinished > 0) {
    return WithExitCode(absl::UnavailableError("not all trials are finished; the same command "
                                               "goes on with them"),
                        ExitCode::kRetry);
  }
  if (result.failed.empty()) return absl::OkStatus();
  text = absl::StrCat(result.failed.size(), " of the trials failed; ");
  if (result.failed_for_good == 0) {
    absl::StrAppend(&text, "the same command tries them again");
  } else {
    absl::StrAppend(&text, result.failed_for_good, " of them would fail the same way again: ",
                    "correct what the reasons name before you repeat the command");
  }
  return WithExitCode(absl::UnknownError(text), ExitCode::kOther);
}

// What is finished short of its last step.
absl::Status TellOfLimits(const std::vector<Trial>& trials, const TrialStore& store) {
  EQ_ASSIGN_OR_RETURN(const SweepPlan plan, store.ReadPlan());
  EQ_ASSIGN_OR_RETURN(const auto statuses, store.ReadStatus(plan));
  int num_early = 0;
  for (const Trial& trial : trials) {
    const auto found = statuses.find(trial.id);
    if (found != statuses.end() && EndedEarly(trial, found->second)) ++num_early;
  }
  if (num_early == 0) return absl::OkStatus();
  Say(absl::StrCat(num_early, " of the finished ended before the last step (max_minutes) and ",
                   "will not count in the report: with max_minutes raised or removed, the same ",
                   "command goes on with them"));
  return absl::OkStatus();
}

std::vector<std::string> IdsOf(const std::vector<Trial>& trials) {
  std::vector<std::string> ids;
  for (const Trial& trial : trials) ids.push_back(trial.id);
  return ids;
}

// Writes OUT/sweep.sbatch for `trials` and submits it, if asked and if there is a Slurm.
absl::Status HandToSlurm(const SweepRunRequest& request, const SweepSpec& spec,
                         const std::vector<Trial>& trials, FileSystem& files,
                         const TrialStore& store) {
  if (trials.empty()) return absl::OkStatus();
  std::error_code error;
  SlurmRequest slurm;
  EQ_ASSIGN_OR_RETURN(slurm.program, ThisProgram());
  slurm.sweep_file = request.file;
  slurm.overrides = request.overrides;
  slurm.folder = std::filesystem::current_path(error).string();
  slurm.out = std::filesystem::absolute(store.path(), error).lexically_normal().string();
  slurm.trials = IdsOf(trials);
  slurm.jobs = request.jobs;
  const std::string path = JoinPath(slurm.out, "sweep.sbatch");
  EQ_RETURN_IF_ERROR(WriteFileAtomically(files, path, SlurmScript(spec, slurm)));
  Say(absl::StrCat("written: ", path));
  if (request.slurm == SweepRunRequest::Slurm::kWriteScript) return absl::OkStatus();
  const absl::StatusOr<std::string> answer = RunAndRead({"sbatch", path});
  if (answer.ok()) {
    Say(*answer);
    return absl::OkStatus();
  }
  return WithExitCode(
      absl::UnavailableError(absl::StrCat(answer.status().message(), "; submit ", path,
                                          " by hand, or leave out --slurm to run here")),
      ExitCode::kConfig);
}

// What a call of `sweep run` works with once its files have been read.
struct Sweep {
  SweepSpec spec;
  std::vector<Trial> trials;
  std::unique_ptr<FileSystem> files = NewPosixFileSystem();
};

// Takes the sweep's directory for this process. A task of Slurm shares it with the other tasks.
absl::StatusOr<RunLock> TakeDirectory(const SweepRunRequest& request, const Sweep& sweep,
                                      TrialStore& store) {
  EQ_RETURN_IF_ERROR(store.Create());
  RunLock lock;
  if (request.trial.empty()) {
    EQ_ASSIGN_OR_RETURN(lock, TakeLock(store));
    EQ_RETURN_IF_ERROR(sweep.files->RemoveAll(store.stop_path()));
  } else if (sweep.files->Exists(store.stop_path())) {
    // The tasks of Slurm that come after `sweep stop` must not start.
    return absl::UnavailableError(
        absl::StrCat("the sweep was asked to end (`equipoise sweep stop`), and --trial leaves that "
                     "to others: remove ",
                     store.stop_path(), " to go on, or leave out --trial to run all that is left"));
  }
  EQ_RETURN_IF_ERROR(store.WritePlan(sweep.spec, sweep.trials));
  return lock;
}

absl::Status RunTrials(const SweepRunRequest& request, const Sweep& sweep, TrialStore& store) {
  EQ_ASSIGN_OR_RETURN(const SweepPlan plan, store.ReadPlan());
  EQ_ASSIGN_OR_RETURN(const auto statuses, store.ReadStatus(plan));
  EQ_ASSIGN_OR_RETURN(const std::vector<Trial> chosen,
                      ChooseTrials(sweep.trials, statuses, request.trial, store));
  const size_t num_before = (request.trial.empty() ? sweep.trials.size() : 1) - chosen.size();
  Say(absl::StrCat("sweep ", sweep.spec.name, " in ", store.path(), ": ", sweep.trials.size(),
                   " trials, ", chosen.size(), " to run, ", request.jobs, " at a time"));
  const std::string earlier = store.DescribeEarlierTrials(plan, statuses);
  if (!earlier.empty()) Say(earlier);
  if (request.slurm != SweepRunRequest::Slurm::kNo) {
    return HandToSlurm(request, sweep.spec, chosen, *sweep.files, store);
  }
  const absl::Status data = CheckData(sweep.spec.axes, chosen);
  if (!data.ok()) return WithExitCode(data, ExitCode::kData);
  if (!chosen.empty()) {
    const absl::Status mpirun = CheckMpirun(sweep.spec.trial);
    if (!mpirun.ok()) return WithExitCode(mpirun, ExitCode::kConfig);
  }
  RunnerOptions options;
  EQ_ASSIGN_OR_RETURN(const std::string program, ThisProgram());
  options.program = {program};
  options.trial = sweep.spec.trial;
  options.jobs = request.jobs;
  options.say = Say;
  std::unique_ptr<MedianStopping> median;
  if (sweep.spec.median_stopping.has_value()) {
    median =
        std::make_unique<MedianStopping>(store, IdsOf(sweep.trials), *sweep.spec.median_stopping);
    options.judge = median.get();
  }
  TrialRunner runner(store, *sweep.files, sweep.spec.axes, std::move(options));
  EQ_ASSIGN_OR_RETURN(const RunnerResult result, runner.Run(chosen, AttemptsOf(statuses)));
  EQ_RETURN_IF_ERROR(TellOfLimits(sweep.trials, store));
  return Conclude(result, sweep.spec, store, num_before);
}

}  // namespace

absl::Status RunSweep(const SweepRunRequest& request) {
  Sweep sweep;
  EQ_ASSIGN_OR_RETURN(sweep.spec, LoadSweep(request.file, request.overrides));
  if (sweep.spec.median_stopping.has_value()) {
    const absl::Status metric = CheckMetric(sweep.spec.median_stopping->metric);
    if (!metric.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(sweep.spec.path, ": ", metric.message()));
    }
  }
  EQ_ASSIGN_OR_RETURN(sweep.trials, ExpandSweep(sweep.spec));
  TrialStore store(*sweep.files,
                   request.out.empty() ? JoinPath("runs", sweep.spec.name) : request.out);
  if (request.list) {
    Say(ListTrials(sweep.spec, sweep.trials, store));
    return absl::OkStatus();
  }
  const absl::StatusOr<RunLock> lock = TakeDirectory(request, sweep, store);
  if (absl::IsUnavailable(lock.status())) return WithExitCode(lock.status(), ExitCode::kRetry);
  if (!lock.ok()) return WithExitCode(lock.status(), ExitCode::kConfig);
  return RunTrials(request, sweep, store);
}

}  // namespace equipoise::launcher
