#ifndef EQUIPOISE_PARALLEL_TRAIN_SAMPLES_H_
#define EQUIPOISE_PARALLEL_TRAIN_SAMPLES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "core/data/node_mixture.h"
#include "parallel/train_options.h"

namespace equipoise::parallel {

// What each sequence of a step's batch is: a function of the data, the options and the sequence's
// number alone, so the same on any layout and after a resume. The data outlives it.
class TrainSamples {
 public:
  // `nodes`: logical ones, at most as many as the batch has sequences. With options.data_by_node
  // each reads its own domains (NodeMixture), else all read the one mixture.
  static absl::StatusOr<TrainSamples> Create(const TokenDataset& data, const TrainOptions& options,
                                             int nodes);

  // Sequence `sequence` of the batch after `samples_seen` samples; as TokenDataset::GetSample.
  absl::Status Get(int64_t samples_seen, int64_t sequence, std::span<int32_t> tokens,
                   int* domain) const;

  // The home node of held-out sample `index`, of the training data's `domain` or any other: those
  // that train on it, by how much they do; without data_by_node all nodes in turn.
  int HomeOfHeldOut(uint64_t index, int domain) const;

 private:
  TrainSamples(const TokenDataset& data, int64_t batch, int nodes)
      : data_(&data), batch_(batch), nodes_(nodes) {}

  const TokenDataset* data_;
  int64_t batch_;  // sequences
  int nodes_;
  std::optional<NodeMixture> mixture_;  // none: that of the data
  std::vector<int64_t> first_;          // [N + 1] sequence of each node
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_TRAIN_SAMPLES_H_
