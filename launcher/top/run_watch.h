#ifndef EQUIPOISE_LAUNCHER_TOP_RUN_WATCH_H_
#define EQUIPOISE_LAUNCHER_TOP_RUN_WATCH_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "launcher/report/metrics_reader.h"
#include "launcher/report/metrics_row.h"
#include "launcher/report/run_history.h"

namespace equipoise::launcher {

// What is known of a run right now.
struct RunNow {
  std::string name;
  std::string state;  // as RunHistory::state
  std::string reason;
  absl::Duration silence = absl::ZeroDuration();  // as RunHistory::silence
  int64_t total_steps = 0;                        // 0: unknown
  MetricsRow row;  // of the newest step; its step is -1 if there is none yet
  // Of the last steps, oldest first.
  std::deque<double> losses;
  std::deque<double> speeds;  // tokens per second
  std::deque<double> step_seconds;
  int64_t validation_step = -1;  // -1: none seen
  ValidationRow validation;
  std::vector<HistoryEvent> events;  // warnings and restarts, newest last
};

// Whether its job is over: by what it says, or because it is gone.
bool HasEnded(const RunNow& run);

// Follows a run directory that some job writes to, or wrote to. Reads what is new at each Update.
// Not thread-safe.
class RunWatch {
 public:
  // Steps that RunNow::losses and its like hold.
  static constexpr size_t kHistory = 240;

  explicit RunWatch(std::string path) : path_(std::move(path)) {}

  // Errors as ReadRun: the path is no run, or a newer version wrote it.
  absl::Status Update();
  const RunNow& now() const { return now_; }

 private:
  absl::Status ReadMetrics();
  void Take(const MetricsRow& row);

  const std::string path_;
  RunNow now_;
  MetricsReader reader_;
  bool has_begun_ = false;
  uint64_t end_byte_ = 0;  // of what was read
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_TOP_RUN_WATCH_H_
