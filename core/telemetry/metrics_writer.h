#ifndef EQUIPOISE_CORE_TELEMETRY_METRICS_WRITER_H_
#define EQUIPOISE_CORE_TELEMETRY_METRICS_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/file_system.h"
#include "core/telemetry/append_file.h"
#include "core/telemetry/step_gaps.h"
#include "core/telemetry/step_record.h"
#include "core/telemetry/step_sink.h"

namespace equipoise {

// One line of metrics.jsonl (without the line's end): a JSON object whose keys are in
// docs/telemetry.md. A number that is not finite becomes null, and `non_finite` maps its JSON
// pointer to "nan", "inf" or "-inf".
std::string StepRecordToJson(const StepRecord& record);
// A line for a validation outside a training step: `step`, `tokens` and `validation` only.
std::string ValidationToJson(int64_t step, int64_t tokens_seen, const ValidationRecord& record);

// Appends to metrics.jsonl, one object a step, each line handed to the system before Write
// returns. After a failing write the file ends with a whole line. Not thread-safe.
class MetricsWriter final : public StepSink {
 public:
  // Drops every row.
  static constexpr int64_t kFreshStart = -1;

  // Opens `path`, first cutting what a run resumed at `resumed_step` will write again: everything
  // from the first row with a greater step on, and a last line without an end. A file that cannot
  // be read, cut or opened is an error. `file_system` must outlive the writer. `gaps`, unless
  // null: what is missing of the rows that stay.
  static absl::StatusOr<std::unique_ptr<StepSink>> Open(FileSystem& file_system,
                                                        const std::string& path,
                                                        int64_t resumed_step,
                                                        StepGaps* gaps = nullptr);

  absl::Status Write(const StepRecord& record) override {
    return file_->Append(StepRecordToJson(record) + "\n");
  }
  absl::Status WriteValidation(int64_t step, int64_t tokens_seen,
                               const ValidationRecord& record) override {
    return file_->Append(ValidationToJson(step, tokens_seen, record) + "\n");
  }

 private:
  explicit MetricsWriter(std::unique_ptr<AppendFile> file) : file_(std::move(file)) {}

  std::unique_ptr<AppendFile> file_;
};

// Bytes of metrics.jsonl to keep for a run resumed at `resumed_step`, and what is missing in them;
// see MetricsWriter::Open.
uint64_t BytesUpToStep(std::string_view text, int64_t resumed_step, StepGaps* gaps = nullptr);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_METRICS_WRITER_H_
