#ifndef EQUIPOISE_CORE_TELEMETRY_STEP_SINK_H_
#define EQUIPOISE_CORE_TELEMETRY_STEP_SINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/telemetry/step_record.h"

namespace equipoise {

// Somewhere a step's record goes: a file format. What it has written is whole at any time, and an
// error leaves what was there before readable; the next call tries again. Not thread-safe.
class StepSink {
 public:
  virtual ~StepSink() = default;

  virtual absl::Status Write(const StepRecord& record) = 0;
  // A validation outside a training step. Sinks that have no use for it do nothing.
  virtual absl::Status WriteValidation(int64_t step, int64_t tokens_seen,
                                       const ValidationRecord& record) = 0;
  // The run has ended, well or not. Sinks that keep nothing back do nothing.
  virtual absl::Status Finish();
};

// The sinks of a run. Telemetry never stops training: the first failure of each sink is a warning,
// the others are only counted. Not thread-safe.
class StepSinks {
 public:
  // `warn` brings a text to people.
  explicit StepSinks(std::function<void(const std::string& text)> warn) : warn_(std::move(warn)) {}

  // `name`: for the warning, such as "metrics.jsonl". A sink that could not be opened is warned of
  // and left out.
  void Add(std::string name, absl::StatusOr<std::unique_ptr<StepSink>> sink);

  void Write(const StepRecord& record);
  void WriteValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record);
  void Finish();

  // Records that some sink lost.
  int64_t num_lost() const { return num_lost_; }

 private:
  struct Named {
    std::string name;
    std::unique_ptr<StepSink> sink;
    bool warned = false;
  };
  void Note(Named& sink, const absl::Status& status);

  std::function<void(const std::string& text)> warn_;
  std::vector<Named> sinks_;
  int64_t num_lost_ = 0;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_STEP_SINK_H_
