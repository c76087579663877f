#include "core/telemetry/event_log.h"

#include <array>
#include <nlohmann/json.hpp>

#include "core/base/status_macros.h"

namespace equipoise {

const char* Name(RunEvent event) {
  constexpr std::array<const char*, 4> kNames = {"start", "checkpoint", "warning", "end"};
  return kNames[static_cast<size_t>(event)];
}

absl::StatusOr<EventLog> EventLog::Open(FileSystem& file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, kEventLogName);
  uint64_t size = 0;
  if (file_system.Exists(path)) {
    EQ_ASSIGN_OR_RETURN(const auto view, file_system.Map(path));
    // A last line that was cut off goes.
    const size_t end = view->text().rfind('\n');
    size = end == std::string_view::npos ? 0 : end + 1;
  }
  EQ_ASSIGN_OR_RETURN(auto file, AppendFile::Open(file_system, path, size));
  return EventLog(std::move(file));
}

absl::Status EventLog::Write(RunEvent event, absl::Time time, int64_t step, std::string_view text) {
  nlohmann::ordered_json row;
  row["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
  row["step"] = step;
  row["event"] = Name(event);
  row["text"] = std::string(text);
  return file_->Append(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace equipoise
