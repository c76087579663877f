#include "launcher/sweep/trial_runner.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "core/telemetry/console.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/run_lock.h"

namespace equipoise::launcher {
namespace {

// Between looks at what does not announce itself: the STOP file, time limits, the judge.
constexpr absl::Duration kTick = absl::Milliseconds(250);

// With which mpirun frames what it adds to the output of a job.
constexpr char kMpirunsRule[] = "----------";

// mpirun refuses root unless told otherwise; that is the user's decision when the command is.
std::vector<std::string> MpirunOf(const SweepTrialOptions& options) {
  std::vector<std::string> words = absl::StrSplit(options.mpirun, ' ', absl::SkipEmpty());
  if (geteuid() == 0 && words[0] == "mpirun") words.push_back("--allow-run-as-root");
  words.push_back("-np");
  words.push_back(absl::StrCat(options.ranks));
  return words;
}

// The first sentence of a reason. What follows is advice, which is told once, at the end.
std::string FactOf(const std::string& reason) { return reason.substr(0, reason.find(". ")); }

std::streamoff SizeOf(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<std::streamoff>(size);
}

std::string NameOf(ExitCode code) {
  switch (code) {
    case ExitCode::kConfig:
      return " (configuration)";
    case ExitCode::kData:
      return " (data)";
    case ExitCode::kCheckpoint:
      return " (checkpoint)";
    case ExitCode::kNumerics:
      return " (numbers that are not finite)";
    case ExitCode::kRetry:
      return " (a rank is gone or hangs)";
    case ExitCode::kStopped:
      return " (somebody else asked it to end)";
    default:
      return "";
  }
}

}  // namespace

std::string DescribeEnd(const ProcessEnd& end) {
  if (end.signal != 0) {
    return absl::StrCat("killed by signal ", end.signal, " (", strsignal(end.signal), ")");
  }
  return absl::StrCat("exit code ", end.exit_code, NameOf(static_cast<ExitCode>(end.exit_code)));
}

bool IsPermanent(const ProcessEnd& end) {
  if (end.signal != 0) return false;
  const ExitCode code = static_cast<ExitCode>(end.exit_code);
  return code == ExitCode::kConfig || code == ExitCode::kData || code == ExitCode::kCheckpoint ||
         code == ExitCode::kNumerics || end.exit_code == kCannotStart;
}

absl::Status CheckMpirun(const SweepTrialOptions& options) {
  if (options.ranks <= 1) return absl::OkStatus();
  const std::string program = MpirunOf(options)[0];
  if (CanStart(program)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      options.mpirun_place, options.mpirun_place.empty() ? "" : ": ", "trial.mpirun starts '",
      program, "', which is ",
      absl::StrContains(program, '/') ? "no file that can be executed" : "in no folder of PATH",
      ": correct it, install it, or set trial.ranks to 1. No trial was started."));
}

std::string TrialRunner::Describe(const Trial& trial) const {
  return absl::StrCat(DescribeTrial(axes_, trial.labels), " (", trial.id, ")");
}

int TrialRunner::num_done() const {
  return result_.finished + result_.stopped + static_cast<int>(result_.failed.size());
}

absl::StatusOr<RunnerResult> TrialRunner::Run(const std::vector<Trial>& trials,
                                              const std::map<std::string, int>& attempts) {
  SignalWatch signals;
  num_trials_ = trials.size();
  for (const Trial& trial : trials) {
    const auto found = attempts.find(trial.id);
    const int before = found == attempts.end() ? 0 : found->second;
    waiting_.push_back({&trial, before + 1, options_.trial.retries});
  }
  while (!running_.empty() || (!waiting_.empty() && !result_.asked_to_stop)) {
    if (!result_.asked_to_stop) EQ_RETURN_IF_ERROR(StartSome());
    if (running_.empty() && GaveUpOnBusy()) break;
    const bool signalled = signals.WaitForStop(kTick);
    if (signalled || files_.Exists(store_.stop_path())) StopAll();
    EQ_RETURN_IF_ERROR(ReapEnded());
    EndOverdue();
  }
  result_.unfinished += static_cast<int>(waiting_.size());
  return std::move(result_);
}

absl::Status TrialRunner::StartSome() {
  for (size_t i = 0; i < waiting_.size() && running_.size() < static_cast<size_t>(options_.jobs);) {
    const Waiting next = waiting_[i];
    EQ_RETURN_IF_ERROR(store_.PrepareTrial(*next.trial));
    if (IsBusy(*next.trial)) {
      if (!std::exchange(waiting_[i].told_busy, true)) {
        options_.say(
            absl::StrCat("waiting   ", Describe(*next.trial), ": another job is training it"));
      }
      ++i;
      continue;
    }
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    if (IsDoneByAnother(next)) continue;
    EQ_RETURN_IF_ERROR(Start(next));
  }
  return absl::OkStatus();
}

// Nothing finished is given to this runner but what goes on: whatever is now, another job has done
// since.
bool TrialRunner::IsDoneByAnother(const Waiting& waiting) {
  const TrialStore::RunStatus run = store_.ReadRunStatus(waiting.trial->id);
  if (run.state != "finished") return false;
  if (run.step <= waiting.trial->goes_on_from) return false;
  ++result_.finished;
  idle_since_ = absl::InfiniteFuture();
  options_.say(absl::StrFormat("finished  %s by another job, %d of %d done",
                               Describe(*waiting.trial), num_done(), num_trials_));
  return true;
}

// Whether a process that this runner did not start is training in the trial's directory: what is
// left of a sweep that was killed, or a job on another machine.
bool TrialRunner::IsBusy(const Trial& trial) const {
  const absl::StatusOr<RunLock> lock = RunLock::Take(JoinPath(store_.trial_path(trial.id), "LOCK"));
  return lock.status().code() == absl::StatusCode::kFailedPrecondition;
}

bool TrialRunner::GaveUpOnBusy() {
  if (waiting_.empty() || result_.asked_to_stop) return false;
  idle_since_ = std::min(idle_since_, absl::Now());
  if (absl::Now() - idle_since_ < options_.busy_patience) return false;
  for (const Waiting& waiting : waiting_) {
    options_.say(
        absl::StrCat("left alone, because another job is training it: ", Describe(*waiting.trial)));
  }
  return true;
}

std::vector<std::string> TrialRunner::CommandOf(const Trial& trial) const {
  std::vector<std::string> command;
  if (options_.trial.ranks > 1) command = MpirunOf(options_.trial);
  command.insert(command.end(), options_.program.begin(), options_.program.end());
  const std::string path = store_.trial_path(trial.id);
  command.insert(command.end(),
                 {"train", "--config", JoinPath(path, "config.textproto"), "--run_dir", path});
  return command;
}

absl::Status TrialRunner::Start(const Waiting& waiting) {
  const std::streamoff console_begin = SizeOf(store_.console_path(waiting.trial->id));
  EQ_ASSIGN_OR_RETURN(
      ChildProcess process,
      ChildProcess::Start(CommandOf(*waiting.trial), store_.console_path(waiting.trial->id)));
  TrialEvent event;
  event.id = waiting.trial->id;
  event.state = TrialState::kRunning;
  event.attempt = waiting.attempt;
  event.pid = process.pid();
  running_.push_back({waiting, std::move(process), absl::Now(), EndAsked::kNo,
                      absl::InfiniteFuture(), "", console_begin});
  idle_since_ = absl::InfiniteFuture();
  options_.say(
      absl::StrCat("started   ", Describe(*waiting.trial),
                   waiting.attempt > 1 ? absl::StrCat(", attempt ", waiting.attempt) : ""));
  return store_.Append(event);
}

absl::Status TrialRunner::ReapEnded() {
  for (auto running = running_.begin(); running != running_.end();) {
    const std::optional<ProcessEnd> end = running->process.Poll();
    if (!end.has_value()) {
      ++running;
      continue;
    }
    EQ_RETURN_IF_ERROR(Conclude(*running, *end));
    running = running_.erase(running);
  }
  return absl::OkStatus();
}

absl::Status TrialRunner::Conclude(Running& running, const ProcessEnd& end) {
  const Trial& trial = *running.what.trial;
  TrialEvent event;
  event.id = trial.id;
  event.attempt = running.what.attempt;
  event.seconds = absl::ToDoubleSeconds(absl::Now() - running.start);
  const TrialStore::RunStatus run = store_.ReadRunStatus(trial.id);
  const bool finished = run.state == "finished";
  if (finished && (end.ok() || running.asked != EndAsked::kNo)) {
    event.state = TrialState::kFinished;
    ++result_.finished;
    const std::string early =
        run.step < trial.steps
            ? absl::StrFormat(" at step %d of %d (%s)", run.step, trial.steps, run.reason)
            : "";
    options_.say(absl::StrFormat("finished  %s%s in %s, %d of %d done", Describe(trial), early,
                                 FormatDuration(event.seconds), num_done(), num_trials_));
    return store_.Append(event);
  }
  event.reason = running.reason;
  if (running.asked == EndAsked::kStop) {
    event.state = TrialState::kInterrupted;
    ++result_.unfinished;
    options_.say(absl::StrCat("ended     ", Describe(trial)));
    return store_.Append(event);
  }
  if (running.asked == EndAsked::kJudge) {
    event.state = TrialState::kStopped;
    ++result_.stopped;
    options_.say(absl::StrCat("stopped   ", Describe(trial), ": ", event.reason));
    return store_.Append(event);
  }
  return ConcludeFailure(running, end, std::move(event));
}

std::string TrialRunner::LastWords(const Running& running) const {
  std::ifstream console(store_.console_path(running.what.trial->id));
  console.seekg(running.console_begin);
  std::string last;
  std::string line;
  while (std::getline(console, line)) {
    if (absl::StartsWith(line, kMpirunsRule)) break;
    // Configuration errors end with a line that points at a column.
    if (line.find_first_not_of(" ^\t\r") != std::string::npos) last = line;
  }
  return last;
}

absl::Status TrialRunner::ConcludeFailure(Running& running, const ProcessEnd& end,
                                          TrialEvent event) {
  const Trial& trial = *running.what.trial;
  const TrialStore::RunStatus run = store_.ReadRunStatus(trial.id);
  event.state = TrialState::kFailed;
  if (event.reason.empty()) {
    event.reason = end.ok() ? "it ended without having finished" : DescribeEnd(end);
    // What failed before there was a run directory is only on the console.
    // A refused start leaves what an earlier one wrote.
    const bool refused = end.exit_code == static_cast<int>(ExitCode::kCheckpoint);
    const std::string why = run.state == "failed" && !refused ? run.reason : LastWords(running);
    if (!why.empty()) absl::StrAppend(&event.reason, ": ", why);
  }
  EQ_RETURN_IF_ERROR(store_.Append(event));
  const bool for_good = running.asked != EndAsked::kNo || IsPermanent(end);
  const bool again = !for_good && running.what.retries_left > 0 && !result_.asked_to_stop;
  options_.say(absl::StrCat("failed    ", Describe(trial), ": ", FactOf(event.reason),
                            again ? "; will be tried again" : ""));
  if (again) {
    waiting_.push_back({&trial, running.what.attempt + 1, running.what.retries_left - 1});
  } else {
    result_.failed.emplace_back(&trial, event.reason);
    result_.failed_for_good += for_good ? 1 : 0;
  }
  return absl::OkStatus();
}

void TrialRunner::EndOverdue() {
  const absl::Time now = absl::Now();
  for (Running& running : running_) {
    if (now - running.asked_at > options_.grace) running.process.Signal(SIGKILL);
    if (running.asked != EndAsked::kNo) continue;
    const double minutes = options_.trial.max_minutes;
    if (minutes > 0.0 && now - running.start > absl::Minutes(minutes)) {
      AskToEnd(running, EndAsked::kTime,
               absl::StrCat("took longer than trial.max_minutes, ", minutes));
      continue;
    }
    if (options_.judge == nullptr) continue;
    const std::string reason = options_.judge->ReasonToStop(running.what.trial->id);
    if (!reason.empty()) AskToEnd(running, EndAsked::kJudge, reason);
  }
}

void TrialRunner::AskToEnd(Running& running, EndAsked why, const std::string& reason) {
  running.asked = why;
  running.asked_at = absl::Now();
  running.reason = reason;
  // mpirun gives its ranks no time after a SIGTERM, but passes SIGUSR1 on and waits for them.
  running.process.Signal(options_.trial.ranks > 1 ? SIGUSR1 : SIGTERM);
}

void TrialRunner::StopAll() {
  if (!result_.asked_to_stop) {
    options_.say(absl::StrCat("stopping; waiting for ", running_.size(), " running ",
                              running_.size() == 1 ? "trial" : "trials", " to end"));
  }
  result_.asked_to_stop = true;
  for (Running& running : running_) {
    if (running.asked == EndAsked::kNo) AskToEnd(running, EndAsked::kStop, "the sweep was stopped");
  }
}

}  // namespace equipoise::launcher
