#ifndef EQUIPOISE_CORE_TELEMETRY_PROMETHEUS_WRITER_H_
#define EQUIPOISE_CORE_TELEMETRY_PROMETHEUS_WRITER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/io/file_system.h"
#include "core/telemetry/step_sink.h"

namespace equipoise {

// The newest step's scalars as a text file for the textfile collector of Prometheus' node_exporter:
// gauges equipoise_FAMILY{run="...",LABEL="..."}. Replaced by a rename, so that a scrape never sees
// half of it; at most every `interval`, because nobody scrapes more often, and at the end. Not
// thread-safe.
class PrometheusWriter final : public StepSink {
 public:
  struct Options {
    std::string directory;  // made if it is not there
    std::string run;        // the label, and part of the file's name: equipoise_RUN.prom
    absl::Duration interval = absl::Seconds(5);
    std::function<absl::Time()> now;
  };
  static absl::StatusOr<std::unique_ptr<StepSink>> Open(FileSystem& file_system,
                                                        const Options& options);

  absl::Status Write(const StepRecord& record) override;
  // Kept, and part of every file from then on.
  absl::Status WriteValidation(int64_t step, int64_t tokens_seen,
                               const ValidationRecord& record) override;
  absl::Status Finish() override;

 private:
  PrometheusWriter(FileSystem& file_system, const Options& options)
      : file_system_(file_system), options_(options) {}
  absl::Status Replace(const StepRecord& record, absl::Time now);
  std::string Format(const StepRecord& record, absl::Time now) const;

  FileSystem& file_system_;
  const Options options_;
  std::optional<ValidationRecord> validation_;
  std::optional<StepRecord> newest_;  // while the file has an older step
  absl::Time written_ = absl::InfinitePast();
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_PROMETHEUS_WRITER_H_
