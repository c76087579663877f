#ifndef EQUIPOISE_LAUNCHER_COMMANDS_RUN_REPORTER_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_RUN_REPORTER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/log.h"
#include "core/io/file_system.h"
#include "core/telemetry/console.h"
#include "core/telemetry/metrics_writer.h"
#include "core/telemetry/run_directory.h"
#include "launcher/config/run_options.h"
#include "parallel/trainer.h"

namespace equipoise::launcher {

// Brings what happens in a run to its sinks: console, metrics.jsonl, log and STATUS.json. On the
// reporting rank only. A sink that fails never stops training. All references outlive it.
class RunReporter final : public parallel::TrainObserver {
 public:
  RunReporter(FileSystem& files, const RunDirectory& directory, Logger& logger,
              const RunOptions& options);

  void OnStart(int64_t step, const std::string& checkpoint) override;
  void OnStep(const StepRecord& record) override;
  void OnValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record) override;
  void OnCheckpoint(int64_t step, const std::string& path, double seconds) override;
  void OnWarning(const std::string& text) override;

  // The last step that was reported.
  int64_t step() const { return step_; }

 private:
  // Keeps the rows of an earlier run in this directory from one that starts over on purpose.
  absl::Status KeepEarlierRows();
  // The writer of a run that goes on after `step`.
  absl::StatusOr<std::unique_ptr<MetricsWriter>> OpenMetrics(int64_t step);
  void Announce(int64_t step, const ValidationRecord& record);
  // STATUS.json: running, at the last step.
  void WriteStatus();

  FileSystem& files_;
  const RunDirectory& directory_;
  Logger& logger_;
  const bool starts_over_;  // checkpoint.resume: "never"
  std::optional<Console> console_;
  std::unique_ptr<MetricsWriter> metrics_;  // null if the file could not be opened
  int64_t step_ = 0;
  absl::Time status_time_ = absl::InfinitePast();
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_RUN_REPORTER_H_
