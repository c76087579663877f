#include "parallel/batch_layout.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace equipoise::parallel {
namespace {

BatchOptions Options(int64_t sequences, int accumulation) {
  BatchOptions options;
  options.sequences = sequences;
  options.sequence_length = 5;
  options.accumulation_steps = accumulation;
  return options;
}

// All parts in order cover [0, B) without gap or overlap; sizes differ by at most one.
void ExpectPartition(int64_t sequences, int accumulation, int ranks) {
  SCOPED_TRACE(absl::StrCat(sequences, " sequences, ", ranks, " ranks, ", accumulation, " steps"));
  const BatchLayout layout(Options(sequences, accumulation), ranks);
  int64_t position = 0;
  int64_t largest = 0;
  int64_t smallest_rank = sequences, largest_rank = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const SequenceRange own = layout.OfRank(rank);
    EXPECT_EQ(own.begin, position);
    smallest_rank = std::min(smallest_rank, own.size());
    largest_rank = std::max(largest_rank, own.size());
    int64_t smallest_part = sequences, largest_part = 0;
    for (int m = 0; m < accumulation; ++m) {
      const SequenceRange part = layout.OfMicroBatch(rank, m);
      EXPECT_EQ(part.begin, position);
      EXPECT_GE(part.size(), 0);
      position = part.end;
      smallest_part = std::min(smallest_part, part.size());
      largest_part = std::max(largest_part, part.size());
    }
    EXPECT_LE(largest_part - smallest_part, 1);
    EXPECT_EQ(own.end, position);
    largest = std::max(largest, largest_part);
  }
  EXPECT_EQ(position, sequences);
  EXPECT_LE(largest_rank - smallest_rank, 1);
  EXPECT_EQ(layout.MaxMicroBatchSequences(), largest);
  int64_t tokens = 0;
  for (int m = 0; m < accumulation; ++m) tokens += layout.MicroBatchTokens(m);
  EXPECT_EQ(tokens, layout.StepTokens());
  EXPECT_EQ(layout.StepTokens(), sequences * 5);
}

TEST(BatchLayout, CutsEveryBatchIntoRunsOfEqualSize) {
  for (const int64_t sequences : {1, 2, 7, 12, 28, 101}) {
    for (const int ranks : {1, 2, 3, 4, 7}) {
      for (const int accumulation : {1, 2, 3, 4, 9})
        ExpectPartition(sequences, accumulation, ranks);
    }
  }
}

TEST(BatchLayout, OrderDoesNotDependOnTheLayout) {
  // Sequence i of the step is sample i on every layout: ranks are runs, micro-batches runs of runs.
  const BatchLayout one(Options(11, 1), 1);
  const BatchLayout many(Options(11, 2), 4);
  EXPECT_EQ(one.OfMicroBatch(0, 0).end, many.OfMicroBatch(3, 1).end);
  EXPECT_EQ(many.OfRank(1).begin, 2);
  EXPECT_EQ(many.OfMicroBatch(1, 0).size() + many.OfMicroBatch(1, 1).size(), 3);
}

TEST(BatchLayout, AMicroBatchMayBeEmpty) {
  const BatchLayout layout(Options(2, 4), 2);
  int64_t sequences = 0;
  for (int m = 0; m < 4; ++m) sequences += layout.OfMicroBatch(1, m).size();
  EXPECT_EQ(sequences, 1);
  EXPECT_EQ(layout.MaxMicroBatchSequences(), 1);
}

}  // namespace
}  // namespace equipoise::parallel
