#ifndef EQUIPOISE_PARALLEL_BATCH_LAYOUT_H_
#define EQUIPOISE_PARALLEL_BATCH_LAYOUT_H_

#include <cstdint>

#include "parallel/train_options.h"

namespace equipoise::parallel {

// A run of whole sequences of a step's batch.
struct SequenceRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// Which sequences of a step each rank runs in which micro-batch. Every rank has a run of the B
// sequences, cut into A micro-batches; sizes differ by at most one, so neither the ranks nor A need
// divide B, and a micro-batch of a rank may be empty. A value.
class BatchLayout {
 public:
  BatchLayout(const BatchOptions& options, int ranks) : options_(options), ranks_(ranks) {}

  SequenceRange OfRank(int rank) const { return Part(0, options_.sequences, rank, ranks_); }
  SequenceRange OfMicroBatch(int rank, int micro_batch) const {
    const SequenceRange own = OfRank(rank);
    return Part(own.begin, own.size(), micro_batch, options_.accumulation_steps);
  }
  // Tokens of a micro-batch over all ranks, of the step, and of a rank's largest micro-batch.
  int64_t MicroBatchTokens(int micro_batch) const {
    int64_t sequences = 0;
    for (int rank = 0; rank < ranks_; ++rank) sequences += OfMicroBatch(rank, micro_batch).size();
    return sequences * options_.sequence_length;
  }
  int64_t StepTokens() const { return options_.sequences * options_.sequence_length; }
  int64_t MaxMicroBatchSequences() const {
    const int64_t per_rank = (options_.sequences + ranks_ - 1) / ranks_;
    return (per_rank + options_.accumulation_steps - 1) / options_.accumulation_steps;
  }

 private:
  static SequenceRange Part(int64_t begin, int64_t size, int64_t part, int64_t parts) {
    return {begin + size * part / parts, begin + size * (part + 1) / parts};
  }

  BatchOptions options_;
  int ranks_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_BATCH_LAYOUT_H_
