#include "launcher/commands/run_reporter.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"

namespace equipoise::launcher {
namespace {

// STATUS.json is replaced at most this often, besides checkpoints.
constexpr absl::Duration kStatusInterval = absl::Seconds(10);

// mpirun gives every rank a pseudo-terminal, wherever its own output goes: a person looks on only
// if that of the parent process is a terminal too.
bool ParentWritesToTerminal() {
  char target[64] = {};
  const std::string link = absl::StrCat("/proc/", getppid(), "/fd/1");
  if (readlink(link.c_str(), target, sizeof(target) - 1) < 0) return false;
  const absl::string_view path(target);
  return absl::StartsWith(path, "/dev/pts/") || absl::StartsWith(path, "/dev/tty");
}

bool ProgressBarOf(ProgressBar choice) {
  if (choice != ProgressBar::kAuto) return choice == ProgressBar::kOn;
  return isatty(STDOUT_FILENO) == 1 && ParentWritesToTerminal();
}

std::string DescribeValidation(const ValidationRecord& record) {
  std::string text = absl::StrFormat("loss %.4f nats", record.loss);
  if (record.bits_per_byte.has_value()) {
    absl::StrAppendFormat(&text, ", %.4f bits per byte", *record.bits_per_byte);
  }
  for (const DomainLoss& domain : record.domains) {
    absl::StrAppendFormat(&text, "  %s %.3f", domain.domain, domain.loss);
  }
  return text;
}

}  // namespace

RunReporter::RunReporter(FileSystem& files, const RunDirectory& directory, Logger& logger,
                         const RunOptions& options)
    : files_(files),
      directory_(directory),
      logger_(logger),
      starts_over_(options.train.checkpoint.resume == "never") {
  ConsoleOptions console;
  console.out = stdout;
  console.progress_bar = ProgressBarOf(options.telemetry.progress);
  console.every_steps = options.telemetry.console_every_steps;
  console.total_steps = options.train.steps;
  console_.emplace(console);
}

absl::Status RunReporter::KeepEarlierRows() {
  EQ_ASSIGN_OR_RETURN(const std::string kept,
                      MetricsWriter::SetAside(files_, directory_.metrics_path()));
  if (!kept.empty()) {
    OnWarning(absl::StrCat("starting over in the directory of an earlier run, as ",
                           "checkpoint.resume is \"never\"; its metrics are now ", kept));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MetricsWriter>> RunReporter::OpenMetrics(int64_t step) {
  if (starts_over_) EQ_RETURN_IF_ERROR(KeepEarlierRows());
  const int64_t kept = step == 0 ? MetricsWriter::kFreshStart : step;
  return MetricsWriter::Open(files_, directory_.metrics_path(), kept, logger_);
}

void RunReporter::OnStart(int64_t step, const std::string& checkpoint) {
  step_ = step;
  absl::StatusOr<std::unique_ptr<MetricsWriter>> metrics = OpenMetrics(step);
  if (metrics.ok()) {
    metrics_ = *std::move(metrics);
  } else {
    OnWarning(absl::StrCat("no metrics of this run: ", metrics.status().message()));
  }
  if (!checkpoint.empty()) {
    console_->Print(absl::StrCat("resumed after step ", step, " from ", checkpoint));
    logger_.Info(absl::StrCat("resumed after step ", step, " from ", checkpoint));
  }
}

void RunReporter::OnStep(const StepRecord& record) {
  step_ = record.step;
  console_->Show(record);
  if (metrics_ != nullptr) metrics_->Write(record);
  if (record.validation.has_value()) Announce(record.step, *record.validation);
  if (absl::Now() - status_time_ >= kStatusInterval) WriteStatus();
}

void RunReporter::WriteStatus() {
  status_time_ = absl::Now();
  const absl::Status written = directory_.WriteStatus({RunState::kRunning, "", step_});
  if (!written.ok()) logger_.Warning(std::string(written.message()));
}

void RunReporter::OnValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record) {
  Announce(step, record);
  // A resumed run has that row already, with the step it resumes from.
  if (metrics_ != nullptr && step == 0) metrics_->WriteValidation(step, tokens_seen, record);
}

void RunReporter::Announce(int64_t step, const ValidationRecord& record) {
  const std::string text =
      absl::StrCat("validation at step ", step, ": ", DescribeValidation(record));
  console_->Print(text);
  logger_.Info(text);
}

void RunReporter::OnCheckpoint(int64_t step, const std::string& path, double seconds) {
  const std::string text =
      absl::StrFormat("checkpoint of step %d in %s (%.1f s)", step, path, seconds);
  console_->Print(text);
  logger_.Info(text);
  WriteStatus();
}

void RunReporter::OnWarning(const std::string& text) {
  console_->Print(absl::StrCat("warning: ", text));
  logger_.Warning(text);
}

}  // namespace equipoise::launcher
