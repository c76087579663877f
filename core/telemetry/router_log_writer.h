#ifndef EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_WRITER_H_
#define EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/file_system.h"
#include "core/telemetry/append_file.h"
#include "core/telemetry/router_log.h"
#include "core/telemetry/step_gaps.h"
#include "core/telemetry/step_sink.h"

namespace equipoise {

// Appends to router.bin and router.idx, a record for each step with MoE layers. Not thread-safe.
class RouterLogWriter final : public StepSink {
 public:
  // Opens the files in `directory`. Of what is there, the records up to `resumed_step` stay, and
  // damaged ones before them; -1 keeps none. FailedPrecondition for a file of a newer version.
  // `gaps`, unless null: what is missing of the records that stay.
  static absl::StatusOr<std::unique_ptr<StepSink>> Open(FileSystem& file_system,
                                                        const std::string& directory,
                                                        int64_t resumed_step,
                                                        StepGaps* gaps = nullptr);

  absl::Status Write(const StepRecord& record) override;
  absl::Status WriteValidation(int64_t, int64_t, const ValidationRecord&) override {
    return absl::OkStatus();
  }

 private:
  RouterLogWriter(std::unique_ptr<AppendFile> log, std::unique_ptr<AppendFile> index)
      : log_(std::move(log)), index_(std::move(index)) {}

  std::unique_ptr<AppendFile> log_;
  std::unique_ptr<AppendFile> index_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_WRITER_H_
