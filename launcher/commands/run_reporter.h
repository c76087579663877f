#ifndef EQUIPOISE_LAUNCHER_COMMANDS_RUN_REPORTER_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_RUN_REPORTER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/base/log.h"
#include "core/io/file_system.h"
#include "core/telemetry/console.h"
#include "core/telemetry/event_log.h"
#include "core/telemetry/run_directory.h"
#include "core/telemetry/step_sink.h"
#include "launcher/config/run_options.h"
#include "parallel/trainer.h"

namespace equipoise::launcher {

// What a start finds of the run that it goes on with.
struct EarlierRun {
  // What is written into its directory once the start has passed every check, also those of the
  // checkpoint and its data; nothing: it is a new one, where it stands already.
  std::optional<RunDirectoryOptions> unwritten = std::nullopt;
  // What of it is lost; see StoredRun::damage.
  std::vector<std::string> damage = {};
};

// Brings what happens in a run to console, log, STATUS.json, events.jsonl and its sinks
// (docs/telemetry.md). On the reporting rank only. A sink that fails never stops training. All
// references outlive it.
class RunReporter final : public parallel::TrainObserver {
 public:
  RunReporter(FileSystem& files, const RunDirectory& directory, Logger& logger,
              const RunOptions& options, EarlierRun earlier);

  void OnStart(int64_t step, const std::string& checkpoint) override;
  void OnNetwork(const comm::Topology& topology, const comm::LinkModel& links,
                 const comm::LinkModel& given) override;
  void OnStep(const StepRecord& record) override;
  void OnValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record) override;
  void OnCheckpoint(int64_t step, const std::string& path, double seconds) override;
  void OnWarning(const std::string& text) override;

  // The last step that was reported; until OnStart that of the run that is there already.
  int64_t step() const { return step_; }
  // Whether this start is written in the run directory: a refused one is not.
  bool has_begun() const { return !earlier_.unwritten.has_value(); }
  // The run is over; `text`: how it came.
  void OnEnd(const std::string& text);

 private:
  // Keeps the files of an earlier run in this directory from one that starts over: on purpose, or
  // at step 0 as there is no checkpoint.
  absl::Status KeepEarlierFiles();
  // The sinks of a run that goes on after `step`. `lost`: what a file lacks of the steps before.
  void OpenSinks(int64_t step, std::vector<std::string>& lost);
  void OpenEvents();
  // Warnings from before the log of events is open wait for it.
  void Record(RunEvent event, const std::string& text);
  // One warning of all that is lost of the run that goes on.
  void WarnOfDamage();
  void Announce(int64_t step, const ValidationRecord& record);
  // STATUS.json: running, at the last step.
  void WriteStatus();

  FileSystem& files_;
  const RunDirectory& directory_;
  Logger& logger_;
  std::optional<Console> console_;
  StepSinks sinks_;
  const TelemetryOptions telemetry_;
  const bool starts_over_;          // checkpoint.resume: "never"
  std::optional<EventLog> events_;  // none if the file could not be opened, or not be written
  EarlierRun earlier_;
  std::vector<std::string> early_warnings_;  // from before OnStart
  bool has_started_ = false;
  bool was_finite_ = true;  // the last validation's loss
  int64_t step_ = 0;
  absl::Time status_time_ = absl::InfinitePast();
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_RUN_REPORTER_H_
