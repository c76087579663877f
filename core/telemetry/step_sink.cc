#include "core/telemetry/step_sink.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace equipoise {

absl::Status StepSink::Finish() { return absl::OkStatus(); }

void StepSinks::Add(std::string name, absl::StatusOr<std::unique_ptr<StepSink>> sink) {
  if (sink.ok()) {
    sinks_.push_back({std::move(name), *std::move(sink)});
    return;
  }
  warn_(absl::StrCat("no ", name, " of this run; training goes on: ", sink.status().message()));
}

void StepSinks::Write(const StepRecord& record) {
  for (Named& named : sinks_) Note(named, named.sink->Write(record));
}

void StepSinks::WriteValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record) {
  for (Named& named : sinks_) {
    Note(named, named.sink->WriteValidation(step, tokens_seen, record));
  }
}

void StepSinks::Finish() {
  for (Named& named : sinks_) Note(named, named.sink->Finish());
}

void StepSinks::Note(Named& sink, const absl::Status& status) {
  if (status.ok()) return;
  ++num_lost_;
  if (std::exchange(sink.warned, true)) return;
  warn_(absl::StrCat(sink.name,
                     " loses steps until this is mended; training goes on: ", status.message()));
}

}  // namespace equipoise
