// What the thread world does when a rank is late, leaves, fails or throws: nobody hangs, and
// messages name the culprit.

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/collectives.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::comm {
namespace {

using testing_support::TestContext;

// Far above what any of these tests takes, far below the default stop time.
constexpr std::chrono::seconds kAtOnce(60);

bool Contains(const absl::Status& status, const std::string& part) {
  return absl::StrContains(status.message(), part);
}

TEST(ThreadFailure, TimeoutsNameTheMissingRanks) {
  std::atomic<int> gave_up = 0;
  std::vector<absl::Status> outcomes;
  const absl::Status status = RunRanks(
      5,
      [&](Communicator& world) -> absl::Status {
        TestContext memory;
        const TensorView data = memory.Zeros(DType::kF32, {8});
        if (world.rank() == 1 || world.rank() == 4) {
          while (gave_up < 3) std::this_thread::yield();
          return absl::OkStatus();
        }
        const absl::Status late = AllReduce(world, memory.context(), data, ReduceOp::kSum,
                                            {.name = "gradients of step 9",
                                             .warn_after = absl::Seconds(60),
                                             .stop_after = absl::Milliseconds(50)});
        ++gave_up;
        while (gave_up < 3) std::this_thread::yield();
        EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
        EXPECT_TRUE(
            Contains(late, absl::StrCat("gradients of step 9: AllReduce #0 on 'world', rank ",
                                        world.rank(), " of 5, has waited ")))
            << late;
        EXPECT_TRUE(Contains(late, "; ranks that have not entered it: 1, 4")) << late;
        return late;
      },
      &outcomes);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(outcomes[1].ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(outcomes[3]));
}

TEST(ThreadFailure, PatienceIsTheWorldsInGroupsToo) {
  ThreadWorld::Options options;
  options.num_ranks = 2;
  options.patience.stop_after = absl::Milliseconds(20);
  std::atomic<bool> gave_up = false;
  const absl::Status status = RunRanks(options, [&](Communicator& world) -> absl::Status {
    TestContext memory;
    EQ_ASSIGN_OR_RETURN(const auto group, world.Split(0, 0, "pair"));
    if (world.rank() == 1) {
      while (!gave_up) std::this_thread::yield();
      return absl::OkStatus();
    }
    const absl::Status late = Barrier(*group, memory.context());
    EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
    EXPECT_TRUE(Contains(late, "; ranks that have not entered it: 1")) << late;
    gave_up = true;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ThreadFailure, LatecomerLearnsWhoGaveUp) {
  std::atomic<bool> gave_up = false;
  const absl::Status status = RunRanks(2, [&](Communicator& world) -> absl::Status {
    TestContext memory;
    if (world.rank() == 0) {
      const absl::Status late =
          Barrier(world, memory.context(), {.name = "start", .stop_after = absl::Milliseconds(20)});
      EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
      gave_up = true;
      return absl::OkStatus();
    }
    while (!gave_up) std::this_thread::yield();
    const absl::Status late = Barrier(world, memory.context());
    EXPECT_TRUE(absl::IsAborted(late)) << late;
    EXPECT_TRUE(Contains(late, "rank 0 ")) << late;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ThreadFailure, AbortWakesEveryoneWithTheReason) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<absl::Status> outcomes;
  const absl::Status status = RunRanks(
      4,
      [](Communicator& world) -> absl::Status {
        TestContext memory;
        EQ_ASSIGN_OR_RETURN(const auto half, world.Split(world.rank() / 2, 0, "half"));
        if (world.rank() == 3) {
          world.Abort(absl::DataLossError("checkpoint is torn"));
          return absl::DataLossError("checkpoint is torn");
        }
        Communicator& group = world.rank() == 2 ? *half : world;
        const absl::Status woken = Barrier(group, memory.context());
        EXPECT_TRUE(absl::IsAborted(woken)) << woken;
        EXPECT_TRUE(Contains(woken, "rank 3 of 'world'")) << woken;
        EXPECT_TRUE(Contains(woken, "checkpoint is torn")) << woken;
        const absl::Status later = Barrier(world, memory.context());
        EXPECT_TRUE(absl::IsAborted(later)) << later;
        return woken;
      },
      &outcomes);
  EXPECT_FALSE(status.ok());
  for (const absl::Status& outcome : outcomes) EXPECT_FALSE(outcome.ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, kAtOnce);
}

TEST(ThreadFailure, EarlyErrorOfOneRankIsTheResult) {
  const absl::Status status = RunRanks(4, [](Communicator& world) -> absl::Status {
    TestContext memory;
    if (world.rank() == 2) return absl::NotFoundError("no such corpus");
    return Barrier(world, memory.context());
  });
  EXPECT_EQ(status, absl::NotFoundError("rank 2: no such corpus"));
}

TEST(ThreadFailure, ExceptionOfOneRankIsTheResult) {
  const absl::Status status = RunRanks(3, [](Communicator& world) -> absl::Status {
    TestContext memory;
    if (world.rank() == 1) throw std::runtime_error("unexpected");
    return Barrier(world, memory.context());
  });
  EXPECT_EQ(status, absl::InternalError("rank 1: threw: unexpected"));
}

// A rank that returns without an error, but too early, is dead to the others as well.
TEST(ThreadFailure, RankThatLeavesIsNotWaitedFor) {
  const auto start = std::chrono::steady_clock::now();
  const absl::Status status = RunRanks(3, [](Communicator& world) -> absl::Status {
    TestContext memory;
    EQ_RETURN_IF_ERROR(Barrier(world, memory.context()));
    if (world.rank() == 0) return absl::OkStatus();
    return Barrier(world, memory.context());
  });
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_TRUE(Contains(status, "rank 0 has left")) << status;
  EXPECT_LT(std::chrono::steady_clock::now() - start, kAtOnce);
}

// An error while work is in flight: the tensors outlive it because Work's destructor waits.
TEST(ThreadFailure, ErrorWithWorkInFlight) {
  const absl::Status status = RunRanks(4, [](Communicator& world) -> absl::Status {
    TestContext memory;
    const TensorView data = memory.Zeros(DType::kF64, {4097});
    if (world.rank() == 1) return absl::DataLossError("first");
    EQ_ASSIGN_OR_RETURN(Work work, StartAllReduce(world, memory.context(), data));
    if (world.rank() == 2) return absl::DataLossError("second");
    return work.Wait();
  });
  EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsAborted(status)) << status;
}

TEST(ThreadFailure, DifferentCollectivesAreReportedToAll) {
  std::vector<absl::Status> outcomes;
  const absl::Status status = RunRanks(
      3,
      [](Communicator& world) -> absl::Status {
        TestContext memory;
        const int64_t count = world.rank() == 2 ? 5 : 4;
        const absl::Status mine =
            AllReduce(world, memory.context(), memory.Zeros(DType::kF32, {count}));
        EXPECT_TRUE(Contains(mine, "rank 0 AllReduce F32 [4]")) << mine;
        EXPECT_TRUE(Contains(mine, "rank 2 AllReduce F32 [5]")) << mine;
        return mine;
      },
      &outcomes);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  for (const absl::Status& outcome : outcomes) EXPECT_FALSE(outcome.ok());
}

TEST(ThreadWorld, TwoWorldsInOneProcess) {
  absl::Status outer = RunRanks(2, [](Communicator& outer_world) -> absl::Status {
    TestContext memory;
    // Each rank of the outer world is host to a world of its own, one of which dies.
    const bool fails = outer_world.rank() == 1;
    const absl::Status inner = RunRanks(3, [&](Communicator& world) -> absl::Status {
      TestContext inner_memory;
      const TensorView data = inner_memory.Make(DType::kI32, {1}, std::vector<double>{1});
      if (fails && world.rank() == 0) return absl::DataLossError("inner");
      EQ_RETURN_IF_ERROR(AllReduce(world, inner_memory.context(), data));
      EXPECT_EQ(data.cpu<int32_t>()[0], 3);
      return absl::OkStatus();
    });
    EXPECT_EQ(inner.ok(), !fails) << inner;
    const TensorView data = memory.Make(DType::kI32, {1}, std::vector<double>{5});
    EQ_RETURN_IF_ERROR(AllReduce(outer_world, memory.context(), data));
    EXPECT_EQ(data.cpu<int32_t>()[0], 10);
    return absl::OkStatus();
  });
  EXPECT_TRUE(outer.ok()) << outer;
}

TEST(ThreadWorld, RejectsWrongOptions) {
  EXPECT_TRUE(absl::IsInvalidArgument(ThreadWorld::Create({.num_ranks = 0}).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(ThreadWorld::Create({.num_ranks = 2, .node_of_rank = {0}}).status()));
}

// Sums are taken in rank order, which only a formula of that order reproduces.
TEST(ThreadWorld, AddsInRankOrder) {
  const absl::Status status = RunRanks(7, [](Communicator& world) -> absl::Status {
    TestContext memory;
    const auto value = [](int rank, size_t i) {
      return 1.0f / static_cast<float>(1 + rank * 3 + static_cast<int>(i));
    };
    constexpr size_t kCount = 16385;
    std::vector<double> mine(kCount);
    for (size_t i = 0; i < kCount; ++i) mine[i] = value(world.rank(), i);
    const TensorView data = memory.Make(DType::kF32, {kCount}, mine);
    EQ_RETURN_IF_ERROR(AllReduce(world, memory.context(), data));
    size_t wrong = 0;
    for (size_t i = 0; i < kCount; ++i) {
      float expected = value(0, i);
      for (int rank = 1; rank < world.size(); ++rank) expected += value(rank, i);
      wrong += data.cpu<float>()[i] == expected ? 0 : 1;
    }
    EXPECT_EQ(wrong, 0u);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace equipoise::comm
