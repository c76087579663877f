#ifndef EQUIPOISE_PARALLEL_MICRO_BATCH_H_
#define EQUIPOISE_PARALLEL_MICRO_BATCH_H_

#include <cstdint>
#include <optional>

#include "comm/work.h"
#include "core/device/context.h"
#include "core/telemetry/phase.h"
#include "core/telemetry/timers.h"
#include "core/tensor/tensor_view.h"
#include "parallel/domain_loads.h"
#include "parallel/route_counts.h"
#include "parallel/router_statistics.h"

namespace equipoise::parallel {

// Whole sequences that one rank runs through the model at a time. May hold none: the rank then
// still takes part in every collective.
struct MicroBatch {
  ConstTensorView tokens;   // I32 [T], the inputs
  ConstTensorView targets;  // I32 [T], kIgnoredTarget for no loss
  ConstTensorView domains;  // I32 [T], where the tokens come from; absent: one domain
  ConstTensorView nodes;    // I32 [T], home nodes; absent: all of node 0
  int64_t sequence_length = 1;
  int64_t first_token = 0;  // index of row 0 among all tokens of the step
  int64_t step = 0;
  bool training = true;  // false: evaluation
  // Step and micro-batch, for the names of waits.
  comm::WaitPlace place = {};
};

class ExchangeLog;

// What a layer needs besides its tensors. Borrowed pointers, cheap to copy.
struct StepContext {
  Context device;
  PhaseTimers* timers = nullptr;
  // Null: nothing is recorded (validation, or a layer that runs for the second time).
  RouterStatistics* statistics = nullptr;
  // Null: copies are not counted by domain. Only validation counts them.
  DomainLoads* domain_loads = nullptr;
  // Null where statistics are: nothing is recorded. Wants timers.
  ExchangeLog* exchange_log = nullptr;
  // Null: telemetry counts nothing. Nor does it where nothing is recorded.
  RouteCounts* route_counts = nullptr;
};

// Counts its lifetime for `phase`, if there are timers.
class ScopedPhase {
 public:
  ScopedPhase(PhaseTimers* timers, Phase phase) {
    if (timers != nullptr) scope_.emplace(*timers, phase);
  }

 private:
  std::optional<PhaseTimers::Scope> scope_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_MICRO_BATCH_H_
