#ifndef EQUIPOISE_CORE_TELEMETRY_EVENT_LOG_H_
#define EQUIPOISE_CORE_TELEMETRY_EVENT_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/io/file_system.h"
#include "core/telemetry/append_file.h"

namespace equipoise {

inline constexpr char kEventLogName[] = "events.jsonl";

enum class RunEvent {
  kStart,       // of training, after the step it resumes from
  kCheckpoint,  // one was written
  kWarning,
  kEnd,
};
const char* Name(RunEvent event);

// Appends to events.jsonl, what happens to a run besides steps: an object a line with `time`,
// `step` (the last one before), `event` and `text`. Nothing is ever cut from it. Not thread-safe.
class EventLog {
 public:
  // The file system must outlive it.
  static absl::StatusOr<EventLog> Open(FileSystem& file_system, const std::string& directory);

  absl::Status Write(RunEvent event, absl::Time time, int64_t step, std::string_view text);

 private:
  explicit EventLog(std::unique_ptr<AppendFile> file) : file_(std::move(file)) {}
  std::unique_ptr<AppendFile> file_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_EVENT_LOG_H_
