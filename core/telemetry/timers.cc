#include "core/telemetry/timers.h"

#include <numeric>

namespace equipoise {

const char* Name(Phase phase) {
  switch (phase) {
    case Phase::kData:
      return "data";
    case Phase::kAttention:
      return "attention";
    case Phase::kRoute:
      return "route";
    case Phase::kDispatch:
      return "dispatch";
    case Phase::kExperts:
      return "experts";
    case Phase::kCombine:
      return "combine";
    case Phase::kHead:
      return "head";
    case Phase::kGradientSync:
      return "gradient_sync";
    case Phase::kOptimizer:
      return "optimizer";
    case Phase::kOther:
      return "other";
  }
  return "?";
}

void PhaseTimers::Start() {
  seconds_.fill(0.0);
  current_ = Phase::kOther;
  since_ = std::chrono::steady_clock::now();
}

double PhaseTimers::total_seconds() const {
  return std::accumulate(seconds_.begin(), seconds_.end(), 0.0);
}

Phase PhaseTimers::Enter(Phase phase) {
  const auto now = std::chrono::steady_clock::now();
  seconds_[static_cast<size_t>(current_)] += std::chrono::duration<double>(now - since_).count();
  since_ = now;
  const Phase outer = current_;
  current_ = phase;
  return outer;
}

}  // namespace equipoise
