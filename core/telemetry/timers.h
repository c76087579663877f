#ifndef EQUIPOISE_CORE_TELEMETRY_TIMERS_H_
#define EQUIPOISE_CORE_TELEMETRY_TIMERS_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace equipoise {

// What a training step spends its time on. kOther is the rest of the step.
enum class Phase : uint8_t {
  kData,
  kAttention,
  kRoute,
  kDispatch,
  kExperts,
  kCombine,
  kHead,  // final norm, language-model head and cross entropy
  kGradientSync,
  kOptimizer,
  kOther,
};
inline constexpr size_t kNumPhases = 10;

// "data", "attention", ...: as in telemetry.
const char* Name(Phase phase);

// Seconds per phase of one rank. Phases nest: time inside an inner phase counts for the inner one
// alone, so that all phases add up to the time between Start and Stop. Belongs to one thread.
class PhaseTimers {
 public:
  // All phases to zero; time runs for kOther from now on.
  void Start();
  // Books the time up to now.
  void Stop() { Enter(Phase::kOther); }
  double seconds(Phase phase) const { return seconds_[static_cast<size_t>(phase)]; }
  double total_seconds() const;

 private:
  friend class ScopedPhase;
  // Books the time since the last change to the phase under way; returns that phase.
  Phase Enter(Phase phase);

  std::array<double, kNumPhases> seconds_ = {};
  Phase current_ = Phase::kOther;
  std::chrono::steady_clock::time_point since_;
};

// Counts its lifetime for `phase`. `timers` may be null.
class ScopedPhase {
 public:
  ScopedPhase(PhaseTimers* timers, Phase phase)
      : timers_(timers), outer_(timers == nullptr ? Phase::kOther : timers->Enter(phase)) {}
  ~ScopedPhase() {
    if (timers_ != nullptr) timers_->Enter(outer_);
  }
  ScopedPhase(const ScopedPhase&) = delete;
  ScopedPhase& operator=(const ScopedPhase&) = delete;

 private:
  PhaseTimers* timers_;
  Phase outer_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_TIMERS_H_
