#ifndef EQUIPOISE_TESTS_BENCH_TELEMETRY_COST_H_
#define EQUIPOISE_TESTS_BENCH_TELEMETRY_COST_H_

#include <cstdint>
#include <cstdio>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "parallel/train_step.h"
#include "tests/bench/world.h"

namespace equipoise::bench {

// Measures by itself what a training step does for telemetry and for nothing else: in each router,
// the histogram of the chosen experts and the entropies of the tokens; after the step, load
// statistics and their sampling floors, and a line of metrics.jsonl. (There is no switch that
// leaves them out: this is what one could save.) One per rank; belongs to its thread.
class TelemetryCost {
 public:
  // `tokens` of this rank, E experts, K of them active. `memory` outlives it.
  static absl::StatusOr<std::unique_ptr<TelemetryCost>> Create(RankMemory& memory, int64_t tokens,
                                                               int num_experts, int top_k);

  // Does it once for a step of `layers` MoE layers.
  absl::Status Measure(const parallel::StepResult& result, int layers,
                       const routing::ExpertPlacement& placement);

  // Seconds of the fastest measurement.
  double statistics_seconds() const { return static_cast<double>(statistics_) * 1e-9; }
  double report_seconds() const { return static_cast<double>(report_) * 1e-9; }

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  TelemetryCost(RankMemory& memory, int num_experts, int top_k)
      : memory_(&memory), num_experts_(num_experts), top_k_(top_k) {}
  int64_t MeasureStatistics(int layers);

  RankMemory* memory_;
  const int num_experts_;
  const int top_k_;
  Tensor logits_;  // [T, E]
  Tensor ids_;     // I32 [T, K]
  std::unique_ptr<std::FILE, CloseFile> file_;
  int64_t statistics_ = INT64_MAX;
  int64_t report_ = INT64_MAX;
};

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_TELEMETRY_COST_H_
