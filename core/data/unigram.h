#ifndef EQUIPOISE_CORE_DATA_UNIGRAM_H_
#define EQUIPOISE_CORE_DATA_UNIGRAM_H_

#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"

namespace equipoise {

// What a model would score that knows how often each token occurs and nothing else. A language
// model that has learnt anything has a validation loss below it.
struct UnigramStats {
  std::vector<int64_t> counts;  // [V]
  int64_t total = 0;            // tokens counted
  // Shannon entropy of the counts, nats per token: the loss of the best unigram model of this very
  // text, hence a lower bound on the loss of any unigram model.
  double entropy_nats = 0.0;
  double entropy_bits() const { return entropy_nats / std::numbers::ln2; }
};

// Entropy of `counts` in nats per token; 0 for no counts. Terms are added in index order.
double EntropyNats(std::span<const int64_t> counts);

// Counts every token that is a target in `windows` of `domain` (tokens 1..S of each window): the
// tokens over which that domain's validation loss is averaged.
absl::StatusOr<UnigramStats> CountUnigrams(const ValidationWindows& windows,
                                           const TokenDataset& dataset, int domain);

// Counts the whole packed stream of `domain`, separators included.
absl::StatusOr<UnigramStats> CountUnigrams(const TokenDataset& dataset, int domain);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_UNIGRAM_H_
