#ifndef EQUIPOISE_TESTS_BENCH_TELEMETRY_COST_H_
#define EQUIPOISE_TESTS_BENCH_TELEMETRY_COST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/file_system.h"
#include "core/telemetry/event_log.h"
#include "core/telemetry/step_sink.h"
#include "parallel/route_counts.h"
#include "parallel/train_step.h"
#include "tests/bench/world.h"

namespace equipoise::bench {

// Measures by itself what a training step does for telemetry and for nothing else: in each MoE
// layer, the counts of the chosen experts, the entropies of the tokens and the histograms; after
// the step, load statistics and their sampling floors, and every sink of a run, written to a run
// directory of its own as training writes it. (Most of it has no switch: this is what one could
// save.) One per rank; belongs to its thread; removes its directory.
class TelemetryCost {
 public:
  // `tokens` of this rank, E experts, K of them active. `memory` outlives it.
  static absl::StatusOr<std::unique_ptr<TelemetryCost>> Create(RankMemory& memory, int64_t tokens,
                                                               int num_experts, int top_k);
  ~TelemetryCost();

  // Does it once for a step of `layers` MoE layers.
  absl::Status Measure(const parallel::StepResult& result, int layers,
                       const routing::ExpertPlacement& placement);

  // A part of it and how long it took, for each call of Measure.
  struct Part {
    std::string name;
    std::vector<int64_t> nanoseconds;
  };
  const std::vector<Part>& parts() const { return parts_; }

 private:
  TelemetryCost(RankMemory& memory, int num_experts, int top_k)
      : memory_(&memory), num_experts_(num_experts), top_k_(top_k) {}
  absl::Status OpenSinks();
  void Add(const std::string& name, int64_t nanoseconds);
  int64_t MeasureStatistics(int layers);
  int64_t MeasureHistograms(int layers);

  RankMemory* memory_;
  const int num_experts_;
  const int top_k_;
  Tensor logits_;  // [T, E]
  Tensor ids_;     // I32 [T, K]
  Tensor gates_;   // [T, K]
  std::optional<parallel::RouteCounts> counts_;
  std::unique_ptr<FileSystem> files_;
  std::string directory_;
  std::vector<std::pair<std::string, std::unique_ptr<StepSink>>> sinks_;
  std::optional<EventLog> events_;
  std::vector<Part> parts_;
};

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_TELEMETRY_COST_H_
