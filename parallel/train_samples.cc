#include "parallel/train_samples.h"

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "routing/locality.h"

namespace equipoise::parallel {

absl::StatusOr<TrainSamples> TrainSamples::Create(const TokenDataset& data,
                                                  const TrainOptions& options, int nodes) {
  TrainSamples samples(data, options.batch.sequences, nodes);
  if (!options.data_by_node || nodes == 1) return samples;
  // The weights themselves: what a mixture's blocks round them to would give a node a sliver of a
  // domain that ends where the node does.
  std::vector<double> shares;
  for (const DataSource& source : options.data.sources) shares.push_back(source.weight);
  EQ_CHECK_EQ(shares.size(), static_cast<size_t>(data.num_domains()));
  std::vector<int64_t> sequences(static_cast<size_t>(nodes), 0);
  for (int64_t i = 0; i < samples.batch_; ++i) {
    ++sequences[static_cast<size_t>(routing::NodeOfSequence(i, samples.batch_, nodes))];
  }
  samples.first_.push_back(0);
  for (const int64_t count : sequences) samples.first_.push_back(samples.first_.back() + count);
  EQ_ASSIGN_OR_RETURN(samples.mixture_, NodeMixture::Create(shares, sequences, options.data.seed));
  return samples;
}

absl::Status TrainSamples::Get(int64_t samples_seen, int64_t sequence, std::span<int32_t> tokens,
                               int* domain) const {
  if (!mixture_.has_value()) {
    return data_->GetSample(static_cast<uint64_t>(samples_seen + sequence), tokens, domain);
  }
  const int node = routing::NodeOfSequence(sequence, batch_, nodes_);
  const int64_t first = first_[static_cast<size_t>(node)];
  const int64_t count = first_[static_cast<size_t>(node) + 1] - first;
  // The node's samples so far: its part of every batch, also if batches had another size once.
  const int64_t seen = samples_seen / batch_ * count + samples_seen % batch_ * count / batch_;
  const Mixture::Draw draw = mixture_->At(node, static_cast<uint64_t>(seen + sequence - first));
  *domain = draw.domain;
  return data_->GetSampleOf(draw.domain, draw.ordinal, tokens);
}

int TrainSamples::HomeOfHeldOut(uint64_t index, int domain) const {
  const int home = mixture_.has_value() ? mixture_->HomeOfHeldOut(domain, index) : -1;
  return home >= 0 ? home : static_cast<int>(index % static_cast<uint64_t>(nodes_));
}

}  // namespace equipoise::parallel
