// Memory of nodes over its life: it grows, is reused, becomes one piece, or cannot be had; and
// ranks that do not write are named.

#include "comm/exchange/node_memory.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/collectives.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::comm {
namespace {

using testing_support::TestContext;

// One rank of a world, with its memory.
struct Rank {
  explicit Rank(Communicator& ranks) : world(ranks), context(size_t{1} << 20) {}
  absl::Status Open() {
    EQ_ASSIGN_OR_RETURN(Topology topology, Topology::Discover(world, context.context()));
    EQ_ASSIGN_OR_RETURN(memory, NodeMemory::Create(world, std::move(topology), context.context(),
                                                   /*num_lanes=*/2));
    return absl::OkStatus();
  }
  // As a layer does: `bytes` for rank 0, one line more for each rank after it.
  absl::StatusOr<std::shared_ptr<const NodeMemory::Block>> Allocate(size_t bytes) {
    memory->Settle();
    EQ_RETURN_IF_ERROR(Barrier(world, context.context()));
    std::vector<size_t> all;
    for (int rank = 0; rank < world.size(); ++rank) {
      all.push_back(bytes + static_cast<size_t>(rank) * 64);
    }
    return memory->Allocate(context.context(), all, {});
  }

  Communicator& world;
  TestContext context;
  std::unique_ptr<NodeMemory> memory;
};

absl::Status OnNodes(std::vector<int> nodes, const std::function<absl::Status(Rank&)>& body,
                     size_t shared_bytes = SIZE_MAX, Patience patience = {}) {
  ThreadWorld::Options options;
  options.num_ranks = static_cast<int>(nodes.size());
  options.node_of_rank = std::move(nodes);
  options.shared_bytes = shared_bytes;
  options.patience = patience;
  return RunRanks(options, [&](Communicator& world) -> absl::Status {
    Rank rank(world);
    EQ_RETURN_IF_ERROR(rank.Open());
    return body(rank);
  });
}

TEST(NodeMemory, GrowsAndIsReused) {
  const absl::Status status = OnNodes({0, 0, 0, 1}, [](Rank& rank) -> absl::Status {
    const int me = rank.world.rank();
    EQ_ASSIGN_OR_RETURN(auto first, rank.Allocate(1000));
    std::fill_n(first->of(me), 1000, std::byte{7});
    // More than there is: the first one stays where it is.
    EQ_ASSIGN_OR_RETURN(auto second, rank.Allocate(5000));
    std::fill_n(second->of(me), 5000, std::byte{8});
    EQ_RETURN_IF_ERROR(Barrier(rank.world, rank.context.context()));
    if (me == 1) {
      for (const int mate : {0, 1, 2}) {
        EXPECT_EQ(first->of(mate)[999], std::byte{7});
        EXPECT_EQ(second->of(mate)[4999], std::byte{8});
      }
    }
    const size_t two_slabs = rank.memory->bytes();
    first = nullptr;
    second = nullptr;
    // One after another, and the same each time: nothing grows any more.
    std::vector<std::byte*> places;
    for (int step = 0; step < 4; ++step) {
      EQ_ASSIGN_OR_RETURN(first, rank.Allocate(1000));
      EQ_ASSIGN_OR_RETURN(second, rank.Allocate(5000));
      places.push_back(first->of(me));
      places.push_back(second->of(me));
      EXPECT_EQ(places.back(), places[1]);
      EXPECT_EQ(first->of(me), places[0]);
      EXPECT_LE(rank.memory->bytes(), two_slabs);
      first = nullptr;
      second = nullptr;
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(NodeMemory, IsNotReusedBeforeAllRanksKnow) {
  const absl::Status status = OnNodes({0, 0}, [](Rank& rank) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(auto block, rank.Allocate(1 << 16));
    const std::byte* place = block->of(0);
    block = nullptr;
    // Without Settle: what was given back may still be read elsewhere.
    EQ_ASSIGN_OR_RETURN(
        block, rank.memory->Allocate(rank.context.context(), std::vector<size_t>{64, 64}, {}));
    EXPECT_NE(block->of(0), place);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(NodeMemory, IsNotThereWhereNobodyShares) {
  const absl::Status status = OnNodes({0, 1, 2}, [](Rank& rank) {
    EXPECT_EQ(rank.memory, nullptr);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(NodeMemory, AllRanksDoWithoutWhenOneHasNone) {
  // Rank 3 is alone on its node and asks for the most.
  const absl::Status status = OnNodes(
      {0, 0, 0, 1},
      [](Rank& rank) -> absl::Status {
        EQ_ASSIGN_OR_RETURN(const auto small, rank.Allocate(1000));
        EXPECT_NE(small, nullptr);
        for (int again = 0; again < 3; ++again) {
          EQ_ASSIGN_OR_RETURN(const auto large, rank.Allocate(10000 - 3 * 64));
          EXPECT_EQ(large, nullptr);
          EXPECT_FALSE(rank.memory->available());
        }
        small->of(rank.world.rank())[0] = std::byte{1};  // still there
        return absl::OkStatus();
      },
      /*shared_bytes=*/11200);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(NodeMemory, IsNotThereWithoutRoomForFlags) {
  const absl::Status status = OnNodes(
      {0, 0},
      [](Rank& rank) {
        EXPECT_EQ(rank.memory, nullptr);
        return absl::OkStatus();
      },
      /*shared_bytes=*/16);
  EXPECT_TRUE(status.ok()) << status;
}

// What rank 0 says when it waits for rows of all, and rank 1 does not write.
absl::Status WaitForSilent(Rank& rank, absl::Status* said) {
  if (rank.world.rank() == 1) {
    // Long enough for the others to give up, if they do.
    absl::SleepFor(absl::Seconds(2));
    return absl::OkStatus();
  }
  const std::vector<int64_t> bytes(3, 8);
  const std::vector<int> sources = {0, 1, 2};
  EQ_ASSIGN_OR_RETURN(Work work,
                      rank.world.ExchangeWrites(rank.memory->NextStep(1, bytes, sources)));
  const absl::Status outcome = work.Wait({.name = "dispatch", .place = {.step = 7, .layer = 3}});
  if (rank.world.rank() == 0) *said = outcome;
  return outcome;
}

TEST(NodeMemory, ARankThatDoesNotWriteIsNamed) {
  absl::Status said;
  const absl::Status status =
      OnNodes({0, 0, 0}, [&](Rank& rank) { return WaitForSilent(rank, &said); }, SIZE_MAX,
              {.stop_after = absl::Milliseconds(300)});
  EXPECT_FALSE(status.ok());
  if (absl::IsAborted(said)) return;  // rank 2 gave up before it
  EXPECT_EQ(said.code(), absl::StatusCode::kDeadlineExceeded) << said;
  EXPECT_TRUE(absl::StartsWith(said.message(), "dispatch of layer 3, step 7: ExchangeWrites #"))
      << said;
  EXPECT_TRUE(absl::StrContains(said.message(), "ranks that have not entered it: 1")) << said;
}

TEST(NodeMemory, ARankThatEndsIsNotWaitedFor) {
  const absl::Status status = OnNodes({0, 0}, [](Rank& rank) -> absl::Status {
    if (rank.world.rank() == 1) return absl::DataLossError("the disk is gone");
    const std::vector<int64_t> bytes(2, 8);
    EQ_ASSIGN_OR_RETURN(
        Work work, rank.world.ExchangeWrites(rank.memory->NextStep(0, bytes, std::vector<int>{1})));
    const absl::Status outcome = work.Wait({.name = "dispatch"});
    EXPECT_TRUE(absl::IsAborted(outcome)) << outcome;
    return outcome;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

}  // namespace
}  // namespace equipoise::comm
