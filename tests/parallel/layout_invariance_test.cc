// Layout is not allowed to matter: the losses of 30 steps are the same for every number of ranks,
// every way to shard the experts, every exchange, every number of accumulation steps, and with
// recompute.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "parallel/train_options.h"
#include "tests/parallel/layout_cases.h"

namespace equipoise::parallel {
namespace {

using testing_support::TrainLayout;
using testing_support::TrainTrace;
using testing_support::WorstRelative;

// Every layout but the reference, which is one rank, one micro-batch, no recompute.
std::vector<TrainLayout> Layouts() {
  std::vector<TrainLayout> layouts;
  for (const int ranks : {1, 2, 3, 4, 7}) {
    for (const TrainLayout& layout : testing_support::LayoutsOf(ranks)) layouts.push_back(layout);
  }
  return layouts;
}

TrainTrace Train(const TrainLayout& layout, DType dtype, LoadSource load_source) {
  absl::StatusOr<TrainTrace> trace = testing_support::TraceOnThreads(layout, dtype, load_source);
  EXPECT_TRUE(trace.ok()) << layout.ToString() << ": " << trace.status();
  return trace.ok() ? *std::move(trace) : TrainTrace();
}

// Compares all layouts to the reference; `tolerance` is relative, for losses.
void ExpectInvariant(DType dtype, LoadSource load_source, double tolerance) {
  const TrainTrace reference = Train({}, dtype, load_source);
  ASSERT_FALSE(reference.losses.empty());
  EXPECT_LT(reference.losses.back(), 0.95 * reference.losses.front()) << "nothing was learnt";
  double worst = 0.0;
  double worst_norm = 0.0;
  std::string worst_layout = "none";
  for (const TrainLayout& layout : Layouts()) {
    if (load_source == LoadSource::kCurrentStep && layout.accumulation > 1) continue;
    const TrainTrace run = Train(layout, dtype, load_source);
    ASSERT_EQ(run.losses.size(), reference.losses.size()) << layout.ToString();
    const double difference = WorstRelative(run.losses, reference.losses);
    EXPECT_LE(difference, tolerance) << layout.ToString();
    if (dtype == DType::kF64) {
      EXPECT_EQ(run.counts, reference.counts) << layout.ToString();
    }
    worst_norm = std::max(worst_norm, WorstRelative(run.gradient_norms, reference.gradient_norms));
    if (difference >= worst) {
      worst = difference;
      worst_layout = layout.ToString();
    }
  }
  std::printf("%s: worst relative difference of a loss %.3g (%s), of a gradient norm %.3g\n",
              Name(dtype), worst, worst_layout.c_str(), worst_norm);
}

TEST(LayoutInvariance, LossesOfThePreviousStepsLoadInFloat) {
  ExpectInvariant(DType::kF32, LoadSource::kPreviousStep, 1e-5);
}

TEST(LayoutInvariance, LossesOfTheCurrentLoadInFloat) {
  ExpectInvariant(DType::kF32, LoadSource::kCurrentStep, 1e-5);
}

TEST(LayoutInvariance, LossesOfThePreviousStepsLoadInDouble) {
  ExpectInvariant(DType::kF64, LoadSource::kPreviousStep, 1e-12);
}

TEST(LayoutInvariance, LossesOfTheCurrentLoadInDouble) {
  ExpectInvariant(DType::kF64, LoadSource::kCurrentStep, 1e-12);
}

TEST(LayoutInvariance, SameLayoutGivesTheSameBits) {
  const TrainLayout layout = {
      .ranks = 4, .expert_parallel = 2, .accumulation = 2, .recompute = true};
  const TrainTrace first = Train(layout, DType::kF32, LoadSource::kAuto);
  const TrainTrace second = Train(layout, DType::kF32, LoadSource::kAuto);
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.gradient_norms, second.gradient_norms);
}

TEST(LayoutInvariance, RecomputeChangesNoBit) {
  TrainLayout layout = {.ranks = 2, .expert_parallel = 2};
  const TrainTrace plain = Train(layout, DType::kF32, LoadSource::kAuto);
  layout.recompute = true;
  const TrainTrace again = Train(layout, DType::kF32, LoadSource::kAuto);
  EXPECT_EQ(plain.losses, again.losses);
  EXPECT_EQ(plain.gradient_norms, again.gradient_norms);
}

// Rows inside a node are the same rows, however they get there; also where memory for it runs out
// on the way.
TEST(LayoutInvariance, SharedMemoryChangesNoBit) {
  for (const std::vector<int>& nodes :
       std::vector<std::vector<int>>{{0, 0}, {0, 0, 1, 1}, {0, 0, 0, 1}, {0, 1, 0, 1, 2, 0, 2}}) {
    for (const char* exchange : {"flat", "two_level", "two_level_dedup"}) {
      const int ranks = static_cast<int>(nodes.size());
      TrainLayout layout = {.ranks = ranks,
                            .expert_parallel = ranks,
                            .recompute = ranks == 4,
                            .exchange = exchange,
                            .chunks = ranks % 3,
                            .inside_nodes = comm::NodeTransport::kMessages,
                            .nodes = nodes};
      const TrainTrace messages = Train(layout, DType::kF32, LoadSource::kAuto);
      layout.inside_nodes = comm::NodeTransport::kSharedMemory;
      for (const size_t bytes : {SIZE_MAX, size_t{40000}, size_t{10}}) {
        layout.shared_bytes = bytes;
        const TrainTrace shared = Train(layout, DType::kF32, LoadSource::kAuto);
        EXPECT_EQ(messages.losses, shared.losses) << layout.ToString() << ", bytes " << bytes;
        EXPECT_EQ(messages.gradient_norms, shared.gradient_norms) << layout.ToString();
      }
    }
  }
}

}  // namespace
}  // namespace equipoise::parallel
