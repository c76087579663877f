#include "core/telemetry/metrics_writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
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

MetricsWriter::MetricsWriter(FileSystem& file_system, std::string path, Logger& logger,
                             std::unique_ptr<WritableFile> file, uint64_t size)
    : file_system_(file_system),
      path_(std::move(path)),
      logger_(logger),
      file_(std::move(file)),
      size_(size) {}

absl::StatusOr<std::unique_ptr<MetricsWriter>> MetricsWriter::Open(FileSystem& file_system,
                                                                   const std::string& path,
                                                                   int64_t resumed_step,
                                                                   Logger& logger) {
  uint64_t size = 0;
  if (file_system.Exists(path)) {
    uint64_t old_size = 0;
    {
      EQ_ASSIGN_OR_RETURN(const auto view, file_system.Map(path));
      old_size = view->bytes().size();
      size = BytesUpToStep(view->text(), resumed_step);
    }
    if (size < old_size) EQ_RETURN_IF_ERROR(file_system.Truncate(path, size));
  }
  EQ_ASSIGN_OR_RETURN(auto file, file_system.OpenAppend(path));
  return std::unique_ptr<MetricsWriter>(
      new MetricsWriter(file_system, path, logger, std::move(file), size));
}

absl::StatusOr<std::string> MetricsWriter::SetAside(FileSystem& file_system,
                                                    const std::string& path) {
  if (!file_system.Exists(path)) return std::string();
  EQ_ASSIGN_OR_RETURN(const uint64_t size, file_system.FileSize(path));
  if (size == 0) return std::string();
  int number = 1;
  while (file_system.Exists(absl::StrCat(path, ".", number))) ++number;
  const std::string kept = absl::StrCat(path, ".", number);
  EQ_RETURN_IF_ERROR(file_system.Rename(path, kept));
  return kept;
}

absl::Status MetricsWriter::TryWrite(const std::string& line) {
  if (torn_) {
    EQ_RETURN_IF_ERROR(file_system_.Truncate(path_, size_));
    torn_ = false;
  }
  torn_ = true;
  EQ_RETURN_IF_ERROR(file_->Append(line));
  torn_ = false;
  size_ += line.size();
  return absl::OkStatus();
}

void MetricsWriter::WriteLine(std::string line) {
  line += '\n';
  const absl::Status status = TryWrite(line);
  if (status.ok()) return;
  ++num_lost_;
  // Half a line must not stay if the run ends before a write succeeds again.
  if (torn_ && file_system_.Truncate(path_, size_).ok()) torn_ = false;
  if (std::exchange(warned_, true)) return;
  logger_.Warning(
      absl::StrCat("metrics are lost until this is mended; training goes on: ", status.message()));
}

}  // namespace equipoise
