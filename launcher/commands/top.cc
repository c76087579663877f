#include "launcher/commands/top.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/sweep/signal_watch.h"
#include "launcher/sweep/trial_store.h"
#include "launcher/top/run_watch.h"
#include "launcher/top/screen.h"
#include "launcher/top/terminal.h"

ABSL_FLAG(double, every, 1.0, "Seconds between two looks at the run.");
ABSL_FLAG(bool, once, false, "Print one screen as plain text, and end.");

namespace equipoise::launcher {
namespace {

std::vector<FlagUse> FlagUses() { return {{"every", "SECONDS"}, {"once", ""}}; }

// The run as it is, without escape sequences and as long as it takes.
void PrintOnce(const RunNow& run) {
  ScreenOptions options;
  options.columns = isatty(STDOUT_FILENO) == 1 ? GetWindowSize().columns : 120;
  options.rows = 1000;
  options.unicode = WantsUtf8();
  for (const std::string& line : DrawScreen(run, options)) std::printf("%s\n", line.c_str());
}

// Until the user leaves or the run has ended; what it came to then stays on the terminal.
absl::Status Follow(RunWatch& watch, absl::Duration every) {
  SignalWatch signals;
  absl::Status status;
  {
    Terminal terminal;
    do {
      status = watch.Update();
      if (!status.ok() || HasEnded(watch.now())) break;
      const WindowSize window = GetWindowSize();
      ScreenOptions options;
      options.columns = window.columns;
      options.rows = window.rows - 1;
      options.unicode = WantsUtf8();
      options.colour = true;
      std::vector<std::string> lines = DrawScreen(watch.now(), options);
      lines.resize(static_cast<size_t>(options.rows));
      lines.emplace_back("q: leave; the run goes on");
      terminal.Show(lines);
    } while (!terminal.WaitForQuit(every) && !signals.WaitForStop(absl::ZeroDuration()));
  }
  if (status.ok() && HasEnded(watch.now())) PrintOnce(watch.now());
  return status;
}

// The trial of the sweep to name: one that runs, else the first that has begun; empty if none has.
std::string TrialOf(const TrialStore& store) {
  const absl::StatusOr<SweepPlan> plan = store.ReadPlan();
  if (!plan.ok()) return "";
  std::string begun;
  for (const PlannedTrial& trial : plan->trials) {
    const std::string state = store.ReadRunStatus(trial.id).state;
    if (state == "running") return store.trial_path(trial.id);
    if (begun.empty() && !state.empty()) begun = store.trial_path(trial.id);
  }
  return begun;
}

absl::Status CheckIsNoSweep(const std::string& path) {
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  if (!files->Exists(JoinPath(path, kSweepPlanFile))) return absl::OkStatus();
  const std::string trial = TrialOf(TrialStore(*files, path));
  const std::string advice =
      trial.empty() ? "none of its trials has begun yet" : absl::StrCat("equipoise top ", trial);
  return absl::InvalidArgumentError(
      absl::StrCat("'", path, "' is the directory of a sweep, and top shows one run: ", advice,
                   "; `equipoise sweep status ", path, "` shows all of them"));
}

absl::Status Top(const std::vector<std::string>& arguments) {
  std::vector<std::string> paths;
  EQ_RETURN_IF_ERROR(ParseFlags(arguments, FlagUses(), &paths));
  if (paths.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("equipoise top needs one run directory, not ", paths.size()));
  }
  const double every = absl::GetFlag(FLAGS_every);
  if (!(every >= 0.05 && every <= 3600.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--every is ", every, ", but must be from 0.05 to 3600 seconds"));
  }
  EQ_RETURN_IF_ERROR(CheckIsNoSweep(paths[0]));
  RunWatch watch(paths[0]);
  EQ_RETURN_IF_ERROR(watch.Update());
  const bool on_terminal = isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1;
  if (on_terminal && !absl::GetFlag(FLAGS_once) && !HasEnded(watch.now())) {
    return Follow(watch, absl::Seconds(every));
  }
  PrintOnce(watch.now());
  return absl::OkStatus();
}

}  // namespace

std::string TopHelp() {
  return absl::StrCat(
      "Usage: equipoise top RUN_DIR [--every=SECONDS] [--once]\n\n"
      "Shows a run on the terminal while it goes on, from the files it writes: losses, speed, MFU\n"
      "and what it is lost to, the load of every expert, the busiest rank, warnings. It can be\n"
      "called from any machine that sees the directory, as often as you like; q leaves, and so "
      "does\n"
      "the end of the run, also when its job is killed. Into a pipe, or of a run that has ended, "
      "it prints one "
      "screen.\n\nFlags:\n",
      DescribeFlags(FlagUses()));
}

int RunTopCommand(const Invocation& invocation) {
  if (invocation.launch.rank != 0) return static_cast<int>(ExitCode::kDone);
  const absl::Status status = WithExitCode(Top(invocation.arguments), ExitCode::kConfig);
  if (status.ok()) return static_cast<int>(ExitCode::kDone);
  return FailJob(invocation.launch,
                 absl::StrCat(status.message(), "\nequipoise top --help says more."),
                 ExitCodeOf(status));
}

}  // namespace equipoise::launcher
