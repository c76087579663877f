#ifndef EQUIPOISE_CORE_TELEMETRY_METRICS_WRITER_H_
#define EQUIPOISE_CORE_TELEMETRY_METRICS_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/log.h"
#include "core/io/file_system.h"
#include "core/telemetry/step_record.h"

namespace equipoise {

// One line of metrics.jsonl (without the line's end): a JSON object whose keys are in
// docs/telemetry.md. A number that is not finite becomes null, and `non_finite` maps its JSON
// pointer to "nan", "inf" or "-inf".
std::string StepRecordToJson(const StepRecord& record);
// A line for a validation outside a training step: `step`, `tokens` and `validation` only.
std::string ValidationToJson(int64_t step, int64_t tokens_seen, const ValidationRecord& record);

// Appends to metrics.jsonl, one object a step, each line handed to the system before Write
// returns. Telemetry never stops training: a failing write is warned of once, the file is cut back
// to its last whole line, and the next step tries again. Not thread-safe.
class MetricsWriter {
 public:
  // Drops every row.
  static constexpr int64_t kFreshStart = -1;

  // Opens `path`, first cutting what a run resumed at `resumed_step` will write again: everything
  // from the first row with a greater step on, and a last line without an end. A file that cannot
  // be read, cut or opened is an error (a run directory that is unusable from the start should
  // stop the run). `file_system` and `logger` must outlive the writer.
  static absl::StatusOr<std::unique_ptr<MetricsWriter>> Open(FileSystem& file_system,
                                                             const std::string& path,
                                                             int64_t resumed_step, Logger& logger);

  // Gives the file at `path`, if it has rows, the first free name of path.1, path.2, ...: that
  // name, or nothing if there was no row to keep.
  static absl::StatusOr<std::string> SetAside(FileSystem& file_system, const std::string& path);

  void Write(const StepRecord& record) { WriteLine(StepRecordToJson(record)); }
  void WriteValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record) {
    WriteLine(ValidationToJson(step, tokens_seen, record));
  }

  // Rows lost to failing writes.
  int64_t num_lost() const { return num_lost_; }

 private:
  MetricsWriter(FileSystem& file_system, std::string path, Logger& logger,
                std::unique_ptr<WritableFile> file, uint64_t size);
  void WriteLine(std::string line);
  absl::Status TryWrite(const std::string& line);

  FileSystem& file_system_;
  const std::string path_;
  Logger& logger_;
  std::unique_ptr<WritableFile> file_;
  uint64_t size_;      // of the whole lines in the file
  bool torn_ = false;  // the file may hold more than `size_` bytes
  bool warned_ = false;
  int64_t num_lost_ = 0;
};

// Bytes of metrics.jsonl to keep for a run resumed at `resumed_step`; see MetricsWriter::Open.
uint64_t BytesUpToStep(std::string_view text, int64_t resumed_step);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_METRICS_WRITER_H_
