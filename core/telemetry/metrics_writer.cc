#include "core/telemetry/metrics_writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/status_macros.h"

namespace equipoise {
namespace {

// The row's step; -1 for a line that is no row.
int64_t StepOf(std::string_view line) {
  const nlohmann::json row =
      nlohmann::json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return -1;
  const auto step = row.find("step");
  return step != row.end() && step->is_number_integer() ? step->get<int64_t>() : -1;
}

}  // namespace

uint64_t BytesUpToStep(std::string_view text, int64_t resumed_step) {
  if (resumed_step < 0) return 0;
  size_t position = 0;
  while (position < text.size()) {
    const size_t end = text.find('\n', position);
    if (end == std::string_view::npos) break;
    if (StepOf(text.substr(position, end - position)) > resumed_step) break;
    position = end + 1;
  }
  return position;
}

absl::StatusOr<std::unique_ptr<StepSink>> MetricsWriter::Open(FileSystem& file_system,
                                                              const std::string& path,
                                                              int64_t resumed_step) {
  uint64_t size = 0;
  if (file_system.Exists(path)) {
    EQ_ASSIGN_OR_RETURN(const auto view, file_system.Map(path));
    size = BytesUpToStep(view->text(), resumed_step);
  }
  EQ_ASSIGN_OR_RETURN(auto file, AppendFile::Open(file_system, path, size));
  return std::unique_ptr<StepSink>(new MetricsWriter(std::move(file)));
}

}  // namespace equipoise
