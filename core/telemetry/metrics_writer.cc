#include "core/telemetry/metrics_writer.h"

#include <algorithm>
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

uint64_t BytesUpToStep(std::string_view text, int64_t resumed_step, StepGaps* gaps) {
  StepGaps found;
  size_t position = 0;
  while (position < text.size() && resumed_step >= 0) {
    const size_t end = text.find('\n', position);
    if (end == std::string_view::npos) break;
    const int64_t step = StepOf(text.substr(position, end - position));
    if (step > resumed_step) break;
    if (step < 0) {
      found.Damage();
    } else {
      found.See(step);
    }
    position = end + 1;
  }
  found.End(std::max<int64_t>(resumed_step - found.last().value_or(0), 0));
  if (gaps != nullptr) *gaps = std::move(found);
  return position;
}

absl::StatusOr<std::unique_ptr<StepSink>> MetricsWriter::Open(FileSystem& file_system,
                                                              const std::string& path,
                                                              int64_t resumed_step,
                                                              StepGaps* gaps) {
  uint64_t size = 0;
  if (file_system.Exists(path)) {
    EQ_ASSIGN_OR_RETURN(const auto view, file_system.Map(path));
    size = BytesUpToStep(view->text(), resumed_step, gaps);
  } else {
    BytesUpToStep("", resumed_step, gaps);
  }
  EQ_ASSIGN_OR_RETURN(auto file, AppendFile::Open(file_system, path, size));
  return std::unique_ptr<StepSink>(new MetricsWriter(std::move(file)));
}

}  // namespace equipoise
