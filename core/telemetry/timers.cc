#include "core/telemetry/timers.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/check.h"

namespace equipoise {
namespace {

int64_t SteadyNanoseconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace

PhaseTimers::PhaseTimers() : PhaseTimers(SteadyNanoseconds) {}

PhaseTimers::PhaseTimers(Clock clock)
    : clock_(std::move(clock)), last_(clock_()), nanoseconds_(kNumPhases, 0) {
  open_.reserve(16);
}

void PhaseTimers::Charge() {
  const int64_t now = clock_();
  const Phase phase = open_.empty() ? Phase::kOther : open_.back();
  nanoseconds_[static_cast<size_t>(phase)] += now - last_;
  last_ = now;
}

void PhaseTimers::Enter(Phase phase) {
  Charge();
  open_.push_back(phase);
}

void PhaseTimers::Leave() {
  EQ_CHECK(!open_.empty());
  Charge();
  open_.pop_back();
}

void PhaseTimers::StartStep() {
  last_ = clock_();
  std::fill(nanoseconds_.begin(), nanoseconds_.end(), 0);
}

PhaseSeconds PhaseTimers::FinishStep() {
  Charge();
  PhaseSeconds result;
  for (int i = 0; i < kNumPhases; ++i) {
    int64_t& spent = nanoseconds_[static_cast<size_t>(i)];
    result[static_cast<Phase>(i)] = static_cast<double>(std::exchange(spent, 0)) * 1e-9;
  }
  return result;
}

}  // namespace equipoise
