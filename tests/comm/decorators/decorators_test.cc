#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/collectives.h"
#include "comm/decorators/counting.h"
#include "comm/decorators/faulty.h"
#include "comm/decorators/timing.h"
#include "comm/decorators/validating.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/conformance/cases.h"
#include "tests/support/test_context.h"

namespace equipoise::comm {
namespace {

using testing_support::TestContext;

bool Contains(const absl::Status& status, const std::string& part) {
  return absl::StrContains(status.message(), part);
}

// A decorated communicator is a communicator: the conformance suite holds.
class DecoratedConformance : public ::testing::TestWithParam<conformance::Case> {};

TEST_P(DecoratedConformance, Holds) {
  const absl::Status status = RunRanks(3, [](Communicator& world) -> absl::Status {
    TestContext memory;
    EQ_ASSIGN_OR_RETURN(Topology topology, Topology::Discover(world, memory.context()));
    ByteCounts counts(std::move(topology), world.rank());
    VerbTimes times;
    EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Communicator> counting,
                        MakeCounting(world, memory.context(), counts));
    const std::unique_ptr<Communicator> timing = MakeTiming(*counting, times);
    const std::unique_ptr<Communicator> faulty = MakeFaulty(*timing, {.call = int64_t{1} << 40});
    const std::unique_ptr<Communicator> validating = MakeValidating(*faulty, memory.context());
    return GetParam().body(*validating);
  });
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(All, DecoratedConformance, ::testing::ValuesIn(conformance::AllCases()),
                         [](const auto& info) { return info.param.name; });

// Runs `body` on every rank with a validating communicator; every rank must get the same error.
void ExpectSameError(const std::string& part,
                     const std::function<absl::Status(Communicator&, TestContext&)>& body) {
  std::vector<absl::Status> outcomes;
  const absl::Status status = RunRanks(
      4,
      [&](Communicator& world) {
        TestContext memory;
        return body(*MakeValidating(world, memory.context()), memory);
      },
      &outcomes);
  for (const absl::Status& outcome : outcomes) {
    EXPECT_TRUE(absl::IsInvalidArgument(outcome)) << outcome;
    EXPECT_TRUE(Contains(outcome, part)) << outcome;
  }
}

TEST(Validating, NamesBothVerbs) {
  ExpectSameError("rank 0 AllReduce of 12 F32 by sum, rank 2 Barrier",
                  [](Communicator& world, TestContext& memory) {
                    if (world.rank() == 2) return Barrier(world, memory.context());
                    return AllReduce(world, memory.context(), memory.Zeros(DType::kF32, {12}));
                  });
}

TEST(Validating, NamesBothSizesTypesRootsAndOperations) {
  ExpectSameError("rank 0 AllReduce of 12 F32 by sum, rank 1 AllReduce of 12 F32 by max",
                  [](Communicator& world, TestContext& memory) {
                    return AllReduce(world, memory.context(), memory.Zeros(DType::kF32, {12}),
                                     world.rank() == 0 ? ReduceOp::kSum : ReduceOp::kMax);
                  });
  ExpectSameError("rank 0 Broadcast of 3 I64 from root 0, rank 1 Broadcast of 3 I64 from root 1",
                  [](Communicator& world, TestContext& memory) {
                    return Broadcast(world, memory.context(), memory.Zeros(DType::kI64, {3}),
                                     world.rank() % 2);
                  });
  ExpectSameError("rank 0 AllGather of 8 U8, rank 3 AllGather of 8 I32", [](Communicator& world,
                                                                            TestContext& memory) {
    const DType dtype = world.rank() == 3 ? DType::kI32 : DType::kU8;
    return AllGather(world, memory.context(), memory.Zeros(dtype, {2}), memory.Zeros(dtype, {8}));
  });
}

TEST(Validating, NamesRowCountsThatDisagree) {
  ExpectSameError("rank 3 sends 2 rows to rank 1, which expects 1", [](Communicator& world,
                                                                       TestContext& memory) {
    std::vector<int64_t> send(4, 1);
    const std::vector<int64_t> receive(4, 1);
    if (world.rank() == 3) send[1] = 2;
    const int64_t rows = world.rank() == 3 ? 5 : 4;
    return AllToAllRows(world, memory.context(), memory.Zeros(DType::kF32, {rows, 2}), send,
                        memory.Zeros(DType::kF32, {4, 2}), receive);
  });
}

TEST(Validating, SeesSplits) {
  ExpectSameError("rank 0 Split, rank 1 Barrier",
                  [](Communicator& world, TestContext& memory) -> absl::Status {
                    if (world.rank() == 1) return Barrier(world, memory.context());
                    return world.Split(0, 0, "all").status();
                  });
}

TEST(Counting, CountsBytesByPeerAndLink) {
  ThreadWorld::Options options;
  options.num_ranks = 4;
  options.node_of_rank = {0, 1, 0, 1};
  const absl::Status status = RunRanks(options, [](Communicator& world) -> absl::Status {
    TestContext memory;
    const Context& context = memory.context();
    EQ_ASSIGN_OR_RETURN(Topology topology, Topology::Discover(world, context));
    ByteCounts counts(std::move(topology), world.rank());
    EQ_ASSIGN_OR_RETURN(const auto counted, MakeCounting(world, context, counts));
    // Rank r sends r + peer rows of three floats to each peer.
    std::vector<int64_t> send;
    std::vector<int64_t> receive;
    int64_t total = 0;
    for (int peer = 0; peer < 4; ++peer) {
      send.push_back(world.rank() + peer);
      receive.push_back(peer + world.rank());
      total += send.back();
    }
    EQ_RETURN_IF_ERROR(AllToAllRows(*counted, context, memory.Zeros(DType::kF32, {total, 3}), send,
                                    memory.Zeros(DType::kF32, {total, 3}), receive));
    for (int peer = 0; peer < 4; ++peer) EXPECT_EQ(counts.to(peer), 12 * (world.rank() + peer));
    EXPECT_EQ(counts.over(LinkClass::kSelf), 12 * 2 * world.rank());
    const int neighbour = (world.rank() + 2) % 4;
    EXPECT_EQ(counts.over(LinkClass::kNode), 12 * (world.rank() + neighbour));
    EXPECT_EQ(counts.over(LinkClass::kRemote),
              12 * total - counts.over(LinkClass::kSelf) - counts.over(LinkClass::kNode));

    // On a group split off, peers are still counted under their world ranks.
    const int64_t before = counts.to(neighbour);
    EQ_ASSIGN_OR_RETURN(const auto node, counted->Split(world.rank() % 2, 0, "node"));
    const int64_t remote = counts.over(LinkClass::kRemote);
    EQ_RETURN_IF_ERROR(AllReduce(*node, context, memory.Zeros(DType::kF64, {10})));
    EXPECT_EQ(counts.to(neighbour), before + 2 * 5 * 8);
    EXPECT_EQ(counts.over(LinkClass::kRemote), remote);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(Counting, RejectsAnotherWorldsTopology) {
  const absl::Status status = RunRanks(2, [](Communicator& world) -> absl::Status {
    TestContext memory;
    ByteCounts counts(*Topology::FromNodes({0, 0, 0}), world.rank());
    return MakeCounting(world, memory.context(), counts).status();
  });
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST(Timing, BillsWaitsToTheirVerb) {
  const absl::Status status = RunRanks(2, [](Communicator& world) -> absl::Status {
    TestContext memory;
    VerbTimes times;
    const auto timed = MakeTiming(world, times);
    // Rank 1 comes 30 ms late, and rank 0 waits for it.
    const auto late = MakeFaulty(
        *timed, {.kind = Fault::Kind::kDelay, .delay = absl::Milliseconds(world.rank() * 30)});
    EQ_RETURN_IF_ERROR(Barrier(*late, memory.context()));
    EQ_RETURN_IF_ERROR(AllReduce(*late, memory.context(), memory.Zeros(DType::kF32, {1})));
    EXPECT_EQ(times[Verb::kBarrier].calls, 1);
    EXPECT_EQ(times[Verb::kAllReduce].calls, 1);
    EXPECT_EQ(times[Verb::kBroadcast].calls, 0);
    if (world.rank() == 0) {
      EXPECT_GT(times[Verb::kBarrier].wait_seconds, 0.010);
    }
    EXPECT_GE(times.total_seconds(), times[Verb::kBarrier].wait_seconds);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(Faulty, FailsTheChosenCall) {
  const absl::Status status = RunRanks(2, [](Communicator& world) -> absl::Status {
    TestContext memory;
    const int64_t call = world.rank() == 1 ? 2 : 1000;
    const auto faulty =
        MakeFaulty(world, {.kind = Fault::Kind::kFail, .call = call, .verb = Verb::kAllReduce});
    const TensorView data = memory.Zeros(DType::kF32, {3});
    for (int i = 0; i < 5; ++i) {
      EQ_RETURN_IF_ERROR(Barrier(*faulty, memory.context()));
      const absl::Status sum = AllReduce(*faulty, memory.context(), data);
      EXPECT_EQ(sum.ok(), i < 2) << i << ": " << sum;
      EQ_RETURN_IF_ERROR(sum);
    }
    return absl::OkStatus();
  });
  EXPECT_EQ(status, absl::UnavailableError("rank 1: injected fault"));
}

TEST(Faulty, DroppedCallTimesOutOnBothSidesNamingTheRank) {
  std::atomic<int> gave_up = 0;
  const absl::Status status = RunRanks(3, [&](Communicator& world) -> absl::Status {
    TestContext memory;
    const int64_t call = world.rank() == 1 ? 0 : 1000;
    const auto faulty = MakeFaulty(world, {.kind = Fault::Kind::kDrop, .call = call});
    const absl::Status late = Barrier(*faulty, memory.context(),
                                      {.name = "meeting", .stop_after = absl::Milliseconds(50)});
    EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
    EXPECT_TRUE(Contains(late, "have not entered it: 1")) << late;
    ++gave_up;
    while (gave_up < 3) std::this_thread::yield();
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace equipoise::comm
