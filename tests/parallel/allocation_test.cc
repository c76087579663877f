// From the second step on a training step takes no large piece of memory from the heap, however
// many rows the routers send where: buffers are workspaces and tensors made at the start.

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "comm/backends/self/communicator.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/collectives.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "tests/parallel/allocation_counter.h"
#include "tests/parallel/tiny_model.h"

namespace equipoise::parallel {
namespace {

using testing_support::AllocationCount;

constexpr int kFirstStep = 3;
constexpr int kLastStep = 6;

// Large enough that every activation of the whole micro-batch, and every weight, is large.
TrainOptions Options() {
  TrainOptions options = testing_support::TinyOptions(DType::kF32, /*sequences=*/16);
  options.batch.sequence_length = 64;
  options.model.vocabulary = 1009;
  options.model.hidden = 96;
  options.model.head_dim = 24;
  options.model.dense_width = 200;
  options.model.moe.expert_width = 200;
  options.model.moe.shared_expert_width = 190;
  options.layout.bucket_elements = 50000;
  return options;
}

struct Outcome {
  AllocationCount count;
  std::vector<std::vector<double>> loads;  // copies of each expert, layer after layer, by step
};

absl::Status RunRank(const TrainOptions& options, comm::Communicator& world, Outcome& outcome) {
  const std::unique_ptr<Device> device = MakeCpuDevice();
  EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, world, options, 2));
  const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, 2);
  std::vector<StepResult> results;
  results.reserve(kLastStep);
  for (int i = 1; i <= kLastStep; ++i) {
    if (i == kFirstStep) {
      // No rank may be on its way out of the second step, or into the third.
      EQ_RETURN_IF_ERROR(comm::Barrier(world, step->context()));
      if (world.rank() == 0) testing_support::StartCountingAllocations();
      EQ_RETURN_IF_ERROR(comm::Barrier(world, step->context()));
    }
    EQ_ASSIGN_OR_RETURN(StepResult result, step->Run(source, i));
    results.push_back(std::move(result));
  }
  EQ_RETURN_IF_ERROR(comm::Barrier(world, step->context()));
  if (world.rank() != 0) return absl::OkStatus();
  outcome.count = testing_support::StopCountingAllocations();
  for (const StepResult& result : results) {
    std::vector<double>& load = outcome.loads.emplace_back();
    for (const MoeLayerResult& layer : result.layers) {
      load.insert(load.end(), layer.sums.begin(), layer.sums.begin() + 8);
    }
  }
  return absl::OkStatus();
}

struct Layout {
  int ranks = 1;
  int accumulation = 1;
  bool recompute = false;
};

void ExpectNoLargeAllocation(const Layout& layout) {
  TrainOptions options = Options();
  options.batch.accumulation_steps = layout.accumulation;
  options.layout.recompute = layout.recompute;
  Outcome outcome;
  const absl::Status status = comm::RunRanks(
      layout.ranks, [&](comm::Communicator& world) { return RunRank(options, world, outcome); });
  ASSERT_TRUE(status.ok()) << status;
  for (size_t step = 1; step < outcome.loads.size(); ++step) {
    EXPECT_NE(outcome.loads[step], outcome.loads[step - 1]) << "routing did not change";
  }
  const auto steps = static_cast<int64_t>(layout.ranks) * (kLastStep - kFirstStep + 1);
  std::printf(
      "%d ranks, %d micro-batches%s: %lld large allocations, %lld inside oneDNN; a step of a rank "
      "makes %lld small ones of %lld bytes in all\n",
      layout.ranks, layout.accumulation, layout.recompute ? ", recompute" : "",
      static_cast<long long>(outcome.count.large),
      static_cast<long long>(outcome.count.large_in_onednn),
      static_cast<long long>(outcome.count.small / steps),
      static_cast<long long>(outcome.count.small_bytes / steps));
  EXPECT_EQ(outcome.count.large, 0)
      << "the largest has " << outcome.count.largest_bytes << " bytes";
  EXPECT_GT(outcome.count.small, 0) << "nothing is counted at all";
}

int64_t MinorPageFaults() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

class AllocationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing_support::CountsAllocations()) {
      GTEST_SKIP() << "the sanitizer of this build has replaced malloc itself";
    }
  }
};

TEST_F(AllocationTest, CounterSeesEveryWayIntoTheHeap) {
  testing_support::StartCountingAllocations();
  const auto by_new = std::make_unique<std::vector<char>>(100000);
  void* const by_malloc = std::malloc(70000);
  void* const by_aligned = std::aligned_alloc(64, 1 << 20);
  const auto small = std::make_unique<int>(by_malloc != nullptr && by_aligned != nullptr ? 1 : 0);
  // Clang leaves out an allocation whose address nobody sees.
  for (const void* address : std::initializer_list<const void*>{
           by_new.get(), by_new->data(), by_malloc, by_aligned, small.get()}) {
    [[maybe_unused]] const void* volatile seen = address;
  }
  const AllocationCount count = testing_support::StopCountingAllocations();
  std::free(by_malloc);
  std::free(by_aligned);
  EXPECT_EQ(*small + static_cast<int>(by_new->size()), 100001);
  EXPECT_EQ(count.large, 3);
  EXPECT_EQ(count.largest_bytes, 1 << 20);
  EXPECT_EQ(count.small, 2);
}

TEST_F(AllocationTest, OneRank) { ExpectNoLargeAllocation({1, 1, false}); }
TEST_F(AllocationTest, TwoRanksAndMicroBatches) { ExpectNoLargeAllocation({2, 2, false}); }
TEST_F(AllocationTest, ThreeRanksAndRecompute) { ExpectNoLargeAllocation({3, 1, true}); }

// oneDNN takes its packing buffers from the heap in every call; glibc keeps them there from call to
// call, so that they cost no new pages.
TEST_F(AllocationTest, AStepTouchesNoNewPages) {
  const TrainOptions options = Options();
  const std::unique_ptr<Device> device = MakeCpuDevice();
  const std::unique_ptr<comm::Communicator> world = comm::MakeSelfCommunicator();
  const auto step = TrainStep::Create(*device, *world, options, 2);
  ASSERT_TRUE(step.ok()) << step.status();
  const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, 2);
  constexpr int kWarmUp = 5;
  constexpr int kCounted = 20;
  int64_t before = 0;
  for (int i = 1; i <= kWarmUp + kCounted; ++i) {
    if (i == kWarmUp + 1) before = MinorPageFaults();
    ASSERT_TRUE((*step)->Run(source, i).ok());
  }
  const double faults = static_cast<double>(MinorPageFaults() - before) / kCounted;
  std::printf("page faults of a step: %.1f\n", faults);
  // A step moves some thousand pages; a run of rows that is longer than any before may need a few.
  EXPECT_LT(faults, 32.0);
}

}  // namespace
}  // namespace equipoise::parallel
