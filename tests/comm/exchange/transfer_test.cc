// Chains of collectives under way together, in any order of polling.

#include "comm/exchange/transfer.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/collectives.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::comm {
namespace {

constexpr int kLanes = 3;
constexpr int kTransfers = 12;

// A transfer that adds up every rank's number once on each lane, in an order of its own.
TransferSteps SumOnEachLane(const Context& context, TensorView value, int transfer) {
  TransferSteps steps;
  for (int i = 0; i < kLanes; ++i) {
    steps.Add((transfer + i) % kLanes, [context, value](Communicator& lane) {
      return StartAllReduce(lane, context, value);
    });
    steps.AddLocal([value] { value.cpu<double>()[0] += 1.0; });
  }
  return steps;
}

double ExpectedSum(int ranks, int transfer) {
  double value = 0.0;
  for (int rank = 0; rank < ranks; ++rank) value += rank + 10 * transfer;
  for (int i = 1; i < kLanes; ++i) value = (value + 1.0) * ranks;
  return value + 1.0;
}

// Ranks poll, test and wait as their own dice say: whatever they do, lanes stay in step.
absl::Status RunInAnyOrder(Communicator& world, uint64_t seed) {
  testing_support::TestContext memory(size_t{1} << 20);
  EQ_ASSIGN_OR_RETURN(const auto queue, TransferQueue::Create(world, kLanes));
  const Philox random(StreamKey(seed, absl::StrCat("rank ", world.rank())));
  std::vector<TensorView> values;
  std::vector<TransferQueue::Ticket> tickets;
  for (int i = 0; i < kTransfers; ++i) {
    const double value = world.rank() + 10 * i;
    values.push_back(memory.context().activations->Allocate(DType::kF64, {1}));
    values.back().cpu<double>()[0] = value;
    EQ_ASSIGN_OR_RETURN(const TransferQueue::Ticket ticket,
                        queue->Begin(SumOnEachLane(memory.context(), values.back(), i),
                                     {.name = "a test's transfer"}));
    tickets.push_back(ticket);
    const auto draw = static_cast<uint64_t>(4 * i);
    for (uint64_t poll = random.Below(3, draw); poll > 0; --poll) queue->Poll();
    const size_t other = random.Below(static_cast<uint64_t>(i) + 1, draw + 1);
    if (random.Below(2, draw + 2) == 0) {
      EQ_RETURN_IF_ERROR(queue->Wait(tickets[other]));
      EXPECT_TRUE(queue->Test(tickets[other]));
      EXPECT_EQ(values[other].cpu<double>()[0], ExpectedSum(world.size(), static_cast<int>(other)));
    }
  }
  EQ_RETURN_IF_ERROR(queue->Drain());
  for (int i = 0; i < kTransfers; ++i) {
    EXPECT_EQ(values[static_cast<size_t>(i)].cpu<double>()[0], ExpectedSum(world.size(), i));
  }
  const TransferTimes times = queue->TakeTimes();
  EXPECT_GE(times.in_flight, 0.0);
  EXPECT_GE(times.blocked, 0.0);
  EXPECT_EQ(queue->TakeTimes().in_flight, 0.0);
  return absl::OkStatus();
}

TEST(TransferQueue, LanesStayInStepHoweverRanksPollAndWait) {
  for (const int ranks : {1, 2, 4, 7}) {
    for (uint64_t seed = 0; seed < 8; ++seed) {
      const absl::Status status =
          RunRanks(ranks, [seed](Communicator& world) { return RunInAnyOrder(world, seed); });
      EXPECT_TRUE(status.ok()) << ranks << " ranks: " << status;
    }
  }
}

void SpendMilliseconds(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

TEST(TransferQueue, ItsOwnWorkIsNoComputation) {
  const absl::Status status = RunRanks(1, [](Communicator& world) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(const auto queue, TransferQueue::Create(world, kLanes));
    const auto start = std::chrono::steady_clock::now();
    {
      const TransferQueue::Computation computation(*queue);
      TransferSteps steps;
      steps.AddLocal([] { SpendMilliseconds(50); });
      EQ_RETURN_IF_ERROR(queue->Begin(std::move(steps), {}).status());
      SpendMilliseconds(10);
    }
    const TransferTimes times = queue->TakeTimes();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    EXPECT_GE(times.alone, 0.010);
    EXPECT_LE(times.alone, elapsed.count() - 0.050);
    return queue->Drain();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// A transfer that starts slowly and then waits for rank 1, who comes late.
TEST(TransferQueue, HiddenIsComputationBehindATransferAndNothingElse) {
  const absl::Status status = RunRanks(2, [](Communicator& world) -> absl::Status {
    testing_support::TestContext memory(size_t{1} << 20);
    EQ_ASSIGN_OR_RETURN(const auto queue, TransferQueue::Create(world, kLanes));
    const TensorView value = memory.Zeros(DType::kF64, {1});
    const auto begin = [&] {
      TransferSteps steps;
      steps.Add(0, [&](Communicator& lane) {
        SpendMilliseconds(20);
        return StartAllReduce(lane, memory.context(), value);
      });
      return queue->Begin(std::move(steps), {});
    };
    {
      const TransferQueue::Computation nothing_is_under_way(*queue);
      SpendMilliseconds(10);
    }
    const TransferTimes alone = queue->TakeTimes();
    EXPECT_EQ(alone.hidden, 0.0);
    EXPECT_GE(alone.alone, 0.010);
    if (world.rank() == 1) SpendMilliseconds(150);
    EQ_ASSIGN_OR_RETURN(const TransferQueue::Ticket ticket, begin());
    if (world.rank() == 0) {
      SpendMilliseconds(30);  // rows of another transfer, say
      EXPECT_EQ(queue->TakeTimes().hidden, 0.0);
      {
        const TransferQueue::Computation computation(*queue);
        SpendMilliseconds(10);
        queue->Poll();
        SpendMilliseconds(10);
      }
      SpendMilliseconds(10);
    }
    EQ_RETURN_IF_ERROR(queue->Wait(ticket));
    const TransferTimes times = queue->TakeTimes();
    if (world.rank() == 0) {
      EXPECT_GE(times.hidden, 0.020);
      EXPECT_EQ(times.alone, 0.0) << "a transfer was under way";
      EXPECT_LE(times.hidden, times.in_flight - times.blocked - 0.010);
    } else {
      EXPECT_EQ(times.hidden, 0.0);
      EXPECT_EQ(times.alone, 0.0);
    }
    return queue->Drain();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(TransferQueue, AResultNeedNotWaitForTheRest) {
  const absl::Status status = RunRanks(2, [](Communicator& world) -> absl::Status {
    testing_support::TestContext memory(size_t{1} << 20);
    EQ_ASSIGN_OR_RETURN(const auto queue, TransferQueue::Create(world, kLanes));
    const TensorView late = memory.Zeros(DType::kF64, {1});
    bool result = false;
    TransferSteps steps;
    steps.AddLocal([&result] { result = true; });
    steps.EndResult();
    steps.Add(0, [&](Communicator& lane) {
      late.cpu<double>()[0] = 1.0;
      return StartAllReduce(lane, memory.context(), late);
    });
    EQ_ASSIGN_OR_RETURN(const TransferQueue::Ticket ticket, queue->Begin(std::move(steps), {}));
    EXPECT_TRUE(queue->Test(ticket));
    EQ_RETURN_IF_ERROR(queue->Wait(ticket));
    EXPECT_TRUE(result);
    EQ_RETURN_IF_ERROR(queue->Drain());
    EXPECT_EQ(late.cpu<double>()[0], 2.0);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(TransferQueue, AFailureIsWhatEveryLaterCallReturns) {
  const absl::Status status = RunRanks(1, [](Communicator& world) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(const auto queue, TransferQueue::Create(world, kLanes));
    TransferSteps steps;
    steps.Add(0, [](Communicator&) -> absl::StatusOr<Work> {
      return absl::UnavailableError("the cable is gone");
    });
    EXPECT_EQ(queue->Begin(std::move(steps), {}).status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(queue->Wait(1).code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(queue->Drain().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(queue->Begin({}, {}).status().code(), absl::StatusCode::kUnavailable);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace equipoise::comm
