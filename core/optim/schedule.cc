#include "core/optim/schedule.h"

#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace equipoise {
namespace {

// Share of the way from the peak (0) to the floor (1) after the warm-up.
double Descent(const ScheduleOptions& options, int64_t step) {
  int64_t begin = options.total_steps;
  switch (options.kind) {
    case ScheduleKind::kConstant:
      return 0.0;
    case ScheduleKind::kCosine:
      begin = options.warmup_steps;
      break;
    case ScheduleKind::kWsd:
      begin = options.total_steps - options.decay_steps;
      break;
  }
  if (step >= options.total_steps) return 1.0;
  if (step <= begin) return 0.0;
  const double progress =
      static_cast<double>(step - begin) / static_cast<double>(options.total_steps - begin);
  if (options.kind == ScheduleKind::kWsd) return progress;
  return 0.5 * (1.0 - std::cos(std::numbers::pi * progress));
}

}  // namespace

absl::Status Validate(const ScheduleOptions& options) {
  // Written so that NaN is refused too.
  if (!(options.peak >= 0.0) || std::isinf(options.peak)) {
    return absl::InvalidArgumentError(
        absl::StrCat("peak must be a finite number >= 0, got ", options.peak));
  }
  if (!(options.final_ratio >= 0.0 && options.final_ratio <= 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("final_ratio must be in [0, 1], got ", options.final_ratio));
  }
  if (options.warmup_steps < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("warmup_steps must be >= 0, got ", options.warmup_steps));
  }
  if (options.decay_steps < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("decay_steps must be >= 0, got ", options.decay_steps));
  }
  if (options.total_steps < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("total_steps must be >= 1, got ", options.total_steps));
  }
  const int64_t decay = options.kind == ScheduleKind::kWsd ? options.decay_steps : 0;
  if (options.warmup_steps > options.total_steps ||
      decay > options.total_steps - options.warmup_steps) {
    return absl::InvalidArgumentError(
        absl::StrCat("warmup_steps (", options.warmup_steps, ") plus decay_steps (", decay,
                     ") exceed total_steps (", options.total_steps, ")"));
  }
  return absl::OkStatus();
}

double LearningRate(const ScheduleOptions& options, int64_t step) {
  EQ_CHECK_GE(step, 1);
  if (step < options.warmup_steps) {
    return options.peak * static_cast<double>(step) / static_cast<double>(options.warmup_steps);
  }
  return options.peak * std::lerp(1.0, options.final_ratio, Descent(options, step));
}

}  // namespace equipoise
