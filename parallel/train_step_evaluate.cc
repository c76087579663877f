// The part of TrainStep that runs samples without training on them.

#include <algorithm>

#include "core/base/status_macros.h"
#include "parallel/train_step.h"

namespace equipoise::parallel {

absl::StatusOr<EvaluationResult> TrainStep::Evaluate(const SampleSource& source, int64_t count,
                                                     const HomeOfSample& home) {
  const HomeOfSample in_turn = [this](uint64_t index, int) {
    return static_cast<int>(index % static_cast<uint64_t>(locality().num_nodes));
  };
  std::fill(host_domain_sums_.begin(), host_domain_sums_.end(), 0.0);
  domain_loads_->Clear();
  exchange_->BeginStep();
  const StepContext step_context = {context_, nullptr, nullptr, &*domain_loads_, nullptr};
  const comm::WaitPlace place = {.step = last_step_, .validation = true};
  const int64_t capacity = layout_.MaxMicroBatchSequences();
  // All ranks run the same number of forward passes, the last ones perhaps without sequences.
  for (int64_t begin = 0; begin < count; begin += capacity * world_.size()) {
    SequenceRange range;
    range.begin = std::min(count, begin + world_.rank() * capacity);
    range.end = std::min(count, range.begin + capacity);
    EQ_RETURN_IF_ERROR(Read(source, home ? home : in_turn, 0, range, place));
    MicroBatch batch = Upload(range, range);
    batch.training = false;
    batch.place = place;
    const int64_t tokens = batch.tokens.dim(0);
    EQ_RETURN_IF_ERROR(model_->Evaluate(step_context, batch, losses_.view().Rows(0, tokens)));
    Collect(range, range);
  }
  EQ_RETURN_IF_ERROR(ReduceDomains(place));
  EQ_RETURN_IF_ERROR(domain_loads_->Reduce(
      context_, world_, {.name = "all-reduce of the held-out load", .place = place}));
  return DescribeEvaluation();
}

EvaluationResult TrainStep::DescribeEvaluation() const {
  EvaluationResult result;
  double total = 0.0;
  double tokens = 0.0;
  for (size_t d = 0; d < static_cast<size_t>(num_domains_); ++d) {
    const double domain_tokens = host_domain_sums_[static_cast<size_t>(num_domains_) + d];
    total += host_domain_sums_[d];
    tokens += domain_tokens;
    result.domain_cross_entropy.push_back(host_domain_sums_[d]);
    result.domain_tokens.push_back(static_cast<int64_t>(domain_tokens));
  }
  result.cross_entropy = tokens > 0.0 ? total / tokens : 0.0;
  const std::vector<int> positions = model_->moe_layers();
  for (int index = 0; index < static_cast<int>(positions.size()); ++index) {
    EvaluatedLayer layer;
    layer.layer = positions[static_cast<size_t>(index)];
    for (int domain = 0; domain < num_domains_; ++domain) {
      const std::span<const double> counts = domain_loads_->Counts(index, domain);
      layer.domain_counts.emplace_back(counts.begin(), counts.end());
    }
    result.layers.push_back(std::move(layer));
  }
  return result;
}

}  // namespace equipoise::parallel
