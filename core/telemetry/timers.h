#ifndef EQUIPOISE_CORE_TELEMETRY_TIMERS_H_
#define EQUIPOISE_CORE_TELEMETRY_TIMERS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "core/telemetry/phase.h"

namespace equipoise {

// Splits the wall clock of one thread over phases. Every moment since StartStep counts for exactly
// one phase: the innermost one open, or kOther if none is, so the phases add up to the step. Not
// thread-safe: one a rank, used by its training thread. Scopes must not outlive it.
//
//   timers.StartStep();
//   { PhaseTimers::Scope scope(timers, Phase::kExperts); ... }
//   record.time = timers.FinishStep();
class PhaseTimers {
 public:
  // Nanoseconds that never go back, from any origin.
  using Clock = std::function<int64_t()>;

  PhaseTimers();  // std::chrono::steady_clock
  explicit PhaseTimers(Clock clock);

  // Opens a phase until the end of the scope; scopes nest like the blocks they live in.
  class Scope {
   public:
    Scope(PhaseTimers& timers, Phase phase) : timers_(timers) { timers_.Enter(phase); }
    ~Scope() { timers_.Leave(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PhaseTimers& timers_;
  };

  // Forgets all time so far. Scopes may be open, and stay so.
  void StartStep();
  // Seconds of a phase since StartStep, up to the last time a scope was opened or closed.
  double Spent(Phase phase) const {
    return static_cast<double>(nanoseconds_[static_cast<size_t>(phase)]) * 1e-9;
  }
  // Seconds of each phase since StartStep; starts the next step.
  PhaseSeconds FinishStep();

 private:
  void Enter(Phase phase);
  void Leave();
  // Gives the time since the last call to the innermost open phase.
  void Charge();

  const Clock clock_;
  int64_t last_;
  std::vector<Phase> open_;
  std::vector<int64_t> nanoseconds_;  // indexed by Phase
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_TIMERS_H_
