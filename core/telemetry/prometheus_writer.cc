#include "core/telemetry/prometheus_writer.h"

#include <cmath>
#include <map>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/base/status_macros.h"
#include "core/telemetry/scalars.h"

namespace equipoise {
namespace {

// As the text exposition format asks of label values.
std::string Escape(std::string_view text) {
  return absl::StrReplaceAll(absl::string_view(text.data(), text.size()),
                             {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}});
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return absl::StrFormat("%.17g", value);
}

std::string FilePath(const PrometheusWriter::Options& options) {
  return JoinPath(options.directory, absl::StrCat("equipoise_", options.run, ".prom"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<StepSink>> PrometheusWriter::Open(FileSystem& file_system,
                                                                 const Options& options) {
  EQ_RETURN_IF_ERROR(file_system.CreateDirectories(options.directory));
  return std::unique_ptr<StepSink>(new PrometheusWriter(file_system, options));
}

std::string PrometheusWriter::Format(const StepRecord& record, absl::Time now) const {
  std::vector<Scalar> scalars = ScalarsOf(record);
  scalars.push_back({"step", {}, {}, static_cast<double>(record.step)});
  scalars.push_back(
      {"last_step_timestamp_seconds", {}, {}, absl::ToDoubleSeconds(now - absl::UnixEpoch())});
  if (validation_.has_value() && !record.validation.has_value()) {
    for (Scalar& scalar : ScalarsOf(*validation_)) scalars.push_back(std::move(scalar));
  }
  // The lines of a family must stand together.
  std::map<std::string_view, std::string> families;
  for (const Scalar& scalar : scalars) {
    std::string& lines = families[scalar.family];
    absl::StrAppend(&lines, "equipoise_", std::string(scalar.family), "{run=\"",
                    Escape(options_.run), "\"");
    if (!scalar.label_name.empty()) {
      absl::StrAppend(&lines, ",", std::string(scalar.label_name), "=\"", Escape(scalar.label),
                      "\"");
    }
    absl::StrAppend(&lines, "} ", Number(scalar.value), "\n");
  }
  std::string text;
  for (const auto& [family, lines] : families) {
    absl::StrAppend(&text, "# TYPE equipoise_", std::string(family), " gauge\n", lines);
  }
  return text;
}

absl::Status PrometheusWriter::Write(const StepRecord& record) {
  if (record.validation.has_value()) validation_ = record.validation;
  const absl::Time now = options_.now();
  if (now - written_ < options_.interval) {
    newest_ = record;
    return absl::OkStatus();
  }
  return Replace(record, now);
}

absl::Status PrometheusWriter::Finish() {
  return newest_.has_value() ? Replace(*newest_, options_.now()) : absl::OkStatus();
}

absl::Status PrometheusWriter::Replace(const StepRecord& record, absl::Time now) {
  written_ = now;
  // Not synced: a scrape that misses one is no loss, a disk that waits would be.
  const std::string path = FilePath(options_);
  const std::string temporary = absl::StrCat(path, ".tmp");
  EQ_ASSIGN_OR_RETURN(const auto file, file_system_.Create(temporary));
  EQ_RETURN_IF_ERROR(file->Append(Format(record, now)));
  EQ_RETURN_IF_ERROR(file->Close());
  EQ_RETURN_IF_ERROR(file_system_.Rename(temporary, path));
  newest_.reset();
  return absl::OkStatus();
}

absl::Status PrometheusWriter::WriteValidation(int64_t, int64_t, const ValidationRecord& record) {
  validation_ = record;
  return absl::OkStatus();
}

}  // namespace equipoise
