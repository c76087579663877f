// Misbehaves in the way its argument says, for failure_test.sh to look at from outside.

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "comm/collectives.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/multiprocess/rank_test.h"
#include "tests/support/test_context.h"

namespace equipoise::multiprocess {
namespace {

using comm::Communicator;
using testing_support::TestContext;

// Ranks 1 and 3 stay away from the group's second collective for longer than the others wait.
absl::Status SomeRanksAreLate(Communicator& world) {
  TestContext memory;
  EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Communicator> group, world.Split(0, 0, "expert"));
  EQ_RETURN_IF_ERROR(comm::Barrier(*group, memory.context()));
  if (world.rank() % 2 == 1) sleep(30);
  return comm::AllReduce(
      *group, memory.context(), memory.Zeros(DType::kF32, {1021}), comm::ReduceOp::kSum,
      {.name = "step 7", .warn_after = absl::Milliseconds(50), .stop_after = absl::Seconds(1)});
}

// Rank 2 is stopped when it has entered a collective but before its data has left.
absl::Status OneRankIsStopped(Communicator& world) {
  TestContext memory;
  EQ_RETURN_IF_ERROR(comm::Barrier(world, memory.context()));
  EQ_ASSIGN_OR_RETURN(
      comm::Work work,
      comm::StartAllReduce(world, memory.context(), memory.Zeros(DType::kF32, {int64_t{1} << 23})));
  if (world.rank() == 2) raise(SIGSTOP);
  return work.Wait(
      {.name = "step 9", .warn_after = absl::Milliseconds(50), .stop_after = absl::Seconds(3)});
}

// One rank gives up while the others wait for it.
absl::Status OneRankAborts(Communicator& world) {
  TestContext memory;
  EQ_RETURN_IF_ERROR(comm::Barrier(world, memory.context()));
  if (world.rank() == 1) world.Abort(absl::DataLossError("checkpoint is torn"));
  return comm::Barrier(world, memory.context());
}

// One rank's test fails while the others wait for it.
absl::Status OneRankFailsItsTest(Communicator& world) {
  TestContext memory;
  EXPECT_NE(world.rank(), 1) << "the culprit";
  if (world.rank() == 1) return absl::OkStatus();
  return comm::Barrier(world, memory.context());
}

}  // namespace

void RegisterRankTests(Communicator& world) {
  AddRankTest(world, "Failure", "late", SomeRanksAreLate);
  AddRankTest(world, "Failure", "stopped", OneRankIsStopped);
  AddRankTest(world, "Failure", "abort", OneRankAborts);
  AddRankTest(world, "Failure", "fail", OneRankFailsItsTest);
}

}  // namespace equipoise::multiprocess
