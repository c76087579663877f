#include <memory>
#include <numeric>
#include <utility>

#include "comm/collectives.h"
#include "core/base/status_macros.h"
#include "tests/conformance/cases.h"
#include "tests/conformance/expect.h"

namespace equipoise::conformance {
namespace {

using comm::Communicator;
using comm::Work;
using testing_support::TestContext;

double SumOfRanks(int size) { return size * (size - 1) / 2.0; }

// Four collectives under way at once, waited for in the opposite order.
absl::Status SeveralInFlight(Communicator& world) {
  TestContext memory;
  const Context& context = memory.context();
  const auto rank = [&](int64_t) { return static_cast<double>(world.rank()); };
  const TensorView sum = MakeBy(memory, DType::kF64, {1021}, rank);
  const TensorView mine = MakeBy(memory, DType::kI32, {17}, rank);
  const TensorView all = memory.Zeros(DType::kI32, {world.size() * 17});
  const TensorView out = MakeBy(memory, DType::kU8, {world.size()}, rank);
  const TensorView in = memory.Zeros(DType::kU8, {world.size()});
  const std::vector<int64_t> ones(static_cast<size_t>(world.size()), 1);

  EQ_ASSIGN_OR_RETURN(Work reduce, comm::StartAllReduce(world, context, sum));
  EQ_ASSIGN_OR_RETURN(Work gather, comm::StartAllGather(world, context, mine, all));
  EQ_ASSIGN_OR_RETURN(Work exchange, comm::StartAllToAllRows(world, context, out, ones, in, ones));
  EQ_ASSIGN_OR_RETURN(Work barrier, world.Barrier(context));
  EQ_RETURN_IF_ERROR(barrier.Wait());
  EQ_RETURN_IF_ERROR(exchange.Wait());
  EQ_RETURN_IF_ERROR(gather.Wait());
  EQ_RETURN_IF_ERROR(reduce.Wait());
  EQ_RETURN_IF_ERROR(ExpectBy("sum", sum, [&](int64_t) { return SumOfRanks(world.size()); }));
  const auto sender = [](int64_t i) { return i / 17; };
  EQ_RETURN_IF_ERROR(
      ExpectBy("gather", all, [&](int64_t i) { return static_cast<double>(sender(i)); }));
  return ExpectBy("exchange", in, [](int64_t i) { return static_cast<double>(i); });
}

// Work on two communicators, which even and odd ranks wait for in different orders.
absl::Status WaitsInDifferentOrders(Communicator& world) {
  TestContext memory;
  EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Communicator> twin, world.Split(0, 0, "twin"));
  const TensorView a = MakeBy(memory, DType::kF32, {31}, [](int64_t) { return 1.0; });
  const TensorView b = MakeBy(memory, DType::kF32, {31}, [](int64_t) { return 2.0; });
  EQ_ASSIGN_OR_RETURN(Work on_world, comm::StartAllReduce(world, memory.context(), a));
  EQ_ASSIGN_OR_RETURN(Work on_twin, comm::StartAllReduce(*twin, memory.context(), b));
  Work& first = world.rank() % 2 == 0 ? on_world : on_twin;
  Work& second = world.rank() % 2 == 0 ? on_twin : on_world;
  EQ_RETURN_IF_ERROR(first.Wait());
  EQ_RETURN_IF_ERROR(second.Wait());
  EQ_RETURN_IF_ERROR(ExpectBy("world", a, [&](int64_t) { return 1.0 * world.size(); }));
  return ExpectBy("twin", b, [&](int64_t) { return 2.0 * world.size(); });
}

absl::Status WorkIsMovableAndRemembers(Communicator& world) {
  TestContext memory;
  const TensorView data = MakeBy(memory, DType::kI64, {3}, [](int64_t i) { return i * 1.0; });
  EQ_ASSIGN_OR_RETURN(Work started, comm::StartAllReduce(world, memory.context(), data));
  Work work = std::move(started);
  while (!work.Test()) {
  }
  EQ_RETURN_IF_ERROR(ExpectTrue("a complete work stays so", work.Test()));
  EQ_RETURN_IF_ERROR(work.Wait());
  EQ_RETURN_IF_ERROR(work.Wait());
  EQ_ASSIGN_OR_RETURN(work, comm::StartAllReduce(world, memory.context(), data));
  EQ_RETURN_IF_ERROR(work.Wait());
  const double squared = 1.0 * world.size() * world.size();
  return ExpectBy("twice", data, [&](int64_t i) { return squared * static_cast<double>(i); });
}

// Groups of uneven size whose ranks run against the world's order, and groups within them.
absl::Status SplitsIntoOddGroups(Communicator& world) {
  TestContext memory;
  const int color = world.rank() % 3;
  EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Communicator> third,
                      world.Split(color, -world.rank(), "third"));
  const int members = (world.size() - color + 2) / 3;
  EQ_RETURN_IF_ERROR(ExpectTrue("size of a third", third->size() == members));
  EQ_RETURN_IF_ERROR(
      ExpectTrue("keys order ranks", third->rank() == members - 1 - world.rank() / 3));
  EQ_RETURN_IF_ERROR(ExpectTrue("name", third->name() == "third"));
  EQ_RETURN_IF_ERROR(ExpectTrue("host", third->host() == world.host()));

  const TensorView mine =
      MakeBy(memory, DType::kI32, {1}, [&](int64_t) { return static_cast<double>(world.rank()); });
  const TensorView all = memory.Zeros(DType::kI32, {members});
  EQ_RETURN_IF_ERROR(comm::AllGather(*third, memory.context(), mine, all));
  EQ_RETURN_IF_ERROR(ExpectBy("members", all, [&](int64_t i) {
    return static_cast<double>(color + 3 * (members - 1 - i));
  }));

  EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Communicator> half,
                      third->Split(third->rank() % 2, 0, "half of a third"));
  const TensorView one = MakeBy(memory, DType::kF32, {5}, [](int64_t) { return 1.0; });
  EQ_RETURN_IF_ERROR(comm::AllReduce(*half, memory.context(), one));
  const int expected = (members - third->rank() % 2 + 1) / 2;
  EQ_RETURN_IF_ERROR(ExpectBy("half", one, [&](int64_t) { return 1.0 * expected; }));
  return comm::Barrier(world, memory.context());
}

// More communicators than a node's progress board has slots.
absl::Status SplitsOftenAndAlone(Communicator& world) {
  TestContext memory;
  for (int repeat = 0; repeat < 70; ++repeat) {
    EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Communicator> alone,
                        world.Split(world.rank(), 0, "alone"));
    EQ_RETURN_IF_ERROR(ExpectTrue("alone", alone->size() == 1 && alone->rank() == 0));
    EQ_ASSIGN_OR_RETURN(Work work, alone->Barrier(memory.context()));
    EQ_RETURN_IF_ERROR(work.Wait());
  }
  return absl::OkStatus();
}

// The verbs themselves on a group of one, which collectives.h would not call.
absl::Status VerbsOfOneRank(Communicator& world) {
  TestContext memory;
  const Context& context = memory.context();
  EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Communicator> alone,
                      world.Split(world.rank(), 0, "alone"));
  const auto formula = [&](int64_t i) { return Value(world.rank(), i); };
  const TensorView send = MakeBy(memory, DType::kF32, {67, 3}, formula);
  const TensorView receive = memory.Zeros(DType::kF32, {67, 3});
  const std::vector<int64_t> rows = {67};
  EQ_ASSIGN_OR_RETURN(Work work, alone->AllReduce(context, send, comm::ReduceOp::kSum));
  EQ_RETURN_IF_ERROR(work.Wait());
  EQ_ASSIGN_OR_RETURN(work, alone->Broadcast(context, send, 0));
  EQ_RETURN_IF_ERROR(work.Wait());
  EQ_ASSIGN_OR_RETURN(work, alone->ReduceScatter(context, send, receive));
  EQ_RETURN_IF_ERROR(work.Wait());
  EQ_RETURN_IF_ERROR(ExpectBy("ReduceScatter alone", receive, formula));
  context.device->Zero(receive.raw(), receive.num_bytes());
  EQ_ASSIGN_OR_RETURN(work, alone->AllGather(context, send, receive));
  EQ_RETURN_IF_ERROR(work.Wait());
  EQ_RETURN_IF_ERROR(ExpectBy("AllGather alone", receive, formula));
  context.device->Zero(receive.raw(), receive.num_bytes());
  EQ_ASSIGN_OR_RETURN(work, alone->AllToAllRows(context, send, rows, receive, rows));
  EQ_RETURN_IF_ERROR(work.Wait());
  return ExpectBy("AllToAllRows alone", receive, formula);
}

}  // namespace

std::vector<Case> OrderCases() {
  return {
      {"SeveralInFlight", SeveralInFlight},
      {"WaitsInDifferentOrders", WaitsInDifferentOrders},
      {"WorkIsMovableAndRemembers", WorkIsMovableAndRemembers},
      {"SplitsIntoOddGroups", SplitsIntoOddGroups},
      {"SplitsOftenAndAlone", SplitsOftenAndAlone},
      {"VerbsOfOneRank", VerbsOfOneRank},
  };
}

}  // namespace equipoise::conformance
