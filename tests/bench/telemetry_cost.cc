#include "tests/bench/telemetry_cost.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "core/telemetry/metrics_writer.h"
#include "parallel/step_report.h"
#include "routing/scores.h"
#include "routing/selection.h"
#include "routing/statistics.h"

namespace equipoise::bench {
namespace {

// As routers take them.
constexpr int64_t kTileTokens = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<TelemetryCost>> TelemetryCost::Create(RankMemory& memory,
                                                                     int64_t tokens,
                                                                     int num_experts, int top_k) {
  std::unique_ptr<TelemetryCost> cost(new TelemetryCost(memory, num_experts, top_k));
  EQ_ASSIGN_OR_RETURN(cost->logits_,
                      Tensor::Create(memory.device(), DType::kF32, {tokens, num_experts}));
  EQ_ASSIGN_OR_RETURN(cost->ids_, Tensor::Create(memory.device(), DType::kI32, {tokens, top_k}));
  const Philox random(StreamKey(1, "logits"));
  uint64_t counter = 0;
  for (float& logit : cost->logits_.view().cpu<float>()) {
    logit = static_cast<float>(random.Normal(counter++));
  }
  routing::SelectTopK(memory.context(), cost->logits_.view(), cost->ids_.view());
  cost->file_.reset(std::tmpfile());
  if (cost->file_ == nullptr) return absl::UnavailableError("no temporary file");
  return cost;
}

int64_t TelemetryCost::MeasureStatistics(int layers) {
  const Context& context = memory_->context();
  const int64_t tokens = logits_.view().dim(0);
  const WorkspaceFrame frame(*context.scratch);
  routing::ScoreTile largest =
      routing::AllocateScoreTile(*context.scratch, DType::kF32, routing::ScoreFunction::kSoftmax,
                                 kTileTokens, num_experts_, /*with_softmax=*/true);
  int64_t nanoseconds = 0;
  double entropies = 0.0;
  std::vector<double> counts(static_cast<size_t>(num_experts_), 0.0);
  for (int64_t row = 0; row < tokens; row += kTileTokens) {
    const int64_t end = std::min(row + kTileTokens, tokens);
    routing::ScoreTile tile = routing::FirstRows(largest, end - row);
    tile.logits = logits_.view().Rows(row, end);
    routing::ComputeScores(context, tile);  // a router has them anyway
    const int64_t start = Now();
    for (int layer = 0; layer < layers; ++layer) {
      entropies += routing::SumOfEntropies(context, tile);
      routing::CountCopies(ids_.view().Rows(row, end).cpu<int32_t>(), counts);
    }
    nanoseconds += Now() - start;
  }
  EQ_CHECK(entropies > 0.0 && counts[0] >= 0.0);
  return nanoseconds;
}

absl::Status TelemetryCost::Measure(const parallel::StepResult& result, int layers,
                                    const routing::ExpertPlacement& placement) {
  statistics_ = std::min(statistics_, MeasureStatistics(layers));
  const int64_t start = Now();
  const std::string line =
      StepRecordToJson(parallel::ReportStep(result, num_experts_, top_k_, placement));
  const bool written = std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size() &&
                       std::fflush(file_.get()) == 0;
  report_ = std::min(report_, Now() - start);
  return written ? absl::OkStatus() : absl::UnavailableError("the temporary file is full");
}

}  // namespace equipoise::bench
