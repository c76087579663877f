#ifndef EQUIPOISE_CORE_TELEMETRY_TENSORBOARD_WRITER_H_
#define EQUIPOISE_CORE_TELEMETRY_TENSORBOARD_WRITER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/io/file_system.h"
#include "core/telemetry/append_file.h"
#include "core/telemetry/scalars.h"
#include "core/telemetry/step_sink.h"

namespace equipoise {

inline constexpr char kTensorboardFolder[] = "tb";

// Writes TensorBoard's event files: a new one for each start of a run, an event a step with the
// step's scalars, tags FAMILY or FAMILY/LABEL. Only their few protobuf fields are needed, so they
// are written here without the library. Not thread-safe.
class TensorboardWriter final : public StepSink {
 public:
  struct Options {
    std::string directory;            // made if it is not there
    int64_t resumed_step = -1;        // what earlier files hold of later steps is cut off
    std::string host;                 // part of the file's name
    std::function<absl::Time()> now;  // the wall time of events
  };
  static absl::StatusOr<std::unique_ptr<StepSink>> Open(FileSystem& file_system,
                                                        const Options& options);

  absl::Status Write(const StepRecord& record) override {
    return WriteScalars(record.step, ScalarsOf(record));
  }
  absl::Status WriteValidation(int64_t step, int64_t, const ValidationRecord& record) override {
    return WriteScalars(step, ScalarsOf(record));
  }

 private:
  TensorboardWriter(std::unique_ptr<AppendFile> file, std::function<absl::Time()> now)
      : file_(std::move(file)), now_(std::move(now)) {}
  absl::Status WriteScalars(int64_t step, const std::vector<Scalar>& scalars);

  std::unique_ptr<AppendFile> file_;
  std::function<absl::Time()> now_;
};

// The step of a serialised Event; 0 where it has none, as protocol buffers have it.
int64_t StepOfEvent(std::string_view event);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_TENSORBOARD_WRITER_H_
