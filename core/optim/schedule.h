#ifndef EQUIPOISE_CORE_OPTIM_SCHEDULE_H_
#define EQUIPOISE_CORE_OPTIM_SCHEDULE_H_

#include <cstdint>

#include "absl/status/status.h"

namespace equipoise {

enum class ScheduleKind : uint8_t { kConstant, kCosine, kWsd };

// The learning rate as a function of the step.
struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kCosine;
  double peak = 3e-4;
  // Floor, as a share of the peak.
  double final_ratio = 0.1;
  // Linear from peak/warmup_steps (at step 1) to the peak (at step warmup_steps).
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  // kWsd (warm-up, stable, decay; Hu et al., MiniCPM, 2024): steps of the final linear decay.
  int64_t decay_steps = 0;
};

// InvalidArgument naming the field, for negative values or phases longer than total_steps.
absl::Status Validate(const ScheduleOptions& options);
// The rate for `step`, which counts from 1. From total_steps on it stays at the floor (kConstant
// has none: it stays at the peak). REQUIRES: step >= 1, options that Validate accepts.
double LearningRate(const ScheduleOptions& options, int64_t step);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPTIM_SCHEDULE_H_
