#include "launcher/commands/sweep_stop.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/io/file_system.h"
#include "launcher/commands/run_lock.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {
namespace {

// A little more than a trial has to end in good order before it is killed.
constexpr absl::Duration kPatience = absl::Seconds(90);

bool IsAtWork(const TrialStore& store) {
  return RunLock::Take(store.lock_path()).status().code() == absl::StatusCode::kFailedPrecondition;
}

}  // namespace

absl::Status StopSweep(const std::string& directory) {
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  const TrialStore store(*files, directory);
  EQ_ASSIGN_OR_RETURN(const SweepPlan plan, store.ReadPlan());
  EQ_ASSIGN_OR_RETURN(const auto statuses, store.ReadStatus(plan));
  const bool has_running = std::any_of(statuses.begin(), statuses.end(), [](const auto& entry) {
    return entry.second.state == TrialState::kRunning;
  });
  if (!IsAtWork(store) && !has_running) {
    std::printf("no sweep is at work in %s\n", directory.c_str());
    return absl::OkStatus();
  }
  EQ_RETURN_IF_ERROR(WriteFileAtomically(*files, store.stop_path(), "asked to end\n"));
  const absl::Time deadline = absl::Now() + kPatience;
  while (IsAtWork(store)) {
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("the sweep in ", directory, " was asked to end ",
                       absl::FormatDuration(kPatience), " ago, and is still at work"));
    }
    absl::SleepFor(absl::Milliseconds(100));
  }
  std::printf("stopped; `equipoise sweep run` with the same file goes on\n");
  return absl::OkStatus();
}

}  // namespace equipoise::launcher
