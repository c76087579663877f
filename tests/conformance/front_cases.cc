#include <memory>
#include <numeric>
#include <vector>

#include "absl/strings/match.h"
#include "comm/collectives.h"
#include "comm/exchange/row_exchange.h"
#include "comm/topology.h"
#include "core/base/status_macros.h"
#include "tests/conformance/cases.h"
#include "tests/conformance/expect.h"

namespace equipoise::conformance {
namespace {

using comm::Communicator;
using testing_support::TestContext;

absl::Status ExpectInvalid(const std::string& what, const absl::Status& status,
                           const std::string& part) {
  return ExpectTrue(
      absl::StrCat(what, " is InvalidArgument with '", part, "', was: ", status.ToString()),
      absl::IsInvalidArgument(status) && absl::StrContains(status.message(), part));
}

// Every rank gets its error at once: nothing is started, so nobody waits.
absl::Status WrongArgumentsAreNamed(Communicator& world) {
  TestContext memory;
  const Context& context = memory.context();
  const int64_t size = world.size();
  const std::vector<int64_t> ones(static_cast<size_t>(size), 1);
  std::vector<int64_t> negative = ones;
  negative.back() = -1;
  const TensorView blocks = memory.Zeros(DType::kF32, {size * 3});
  const TensorView block = memory.Zeros(DType::kF32, {3});
  const TensorView odd = memory.Zeros(DType::kF32, {4});
  const TensorView other_type = memory.Zeros(DType::kI32, {3});
  const TensorView rows = memory.Zeros(DType::kF32, {size, 2});
  const TensorView wide = memory.Zeros(DType::kF32, {size, 3});

  EQ_RETURN_IF_ERROR(ExpectInvalid("absent", comm::AllReduce(world, context, {}), "absent"));
  EQ_RETURN_IF_ERROR(
      ExpectInvalid("root", comm::Broadcast(world, context, block, world.size()), "root is"));
  EQ_RETURN_IF_ERROR(
      ExpectInvalid("blocks", comm::AllGather(world, context, odd, blocks), "blocks of F32 [4]"));
  EQ_RETURN_IF_ERROR(
      ExpectInvalid("type", comm::ReduceScatter(world, context, blocks, other_type), "types"));
  EQ_RETURN_IF_ERROR(ExpectInvalid(
      "overlap", comm::ReduceScatter(world, context, blocks, blocks.Rows(0, 3)), "overlap"));
  EQ_RETURN_IF_ERROR(ExpectInvalid(
      "negative", comm::AllToAllRows(world, context, rows, negative, rows, ones), "is -1"));
  EQ_RETURN_IF_ERROR(ExpectInvalid(
      "sum", comm::AllToAllRows(world, context, blocks, ones, blocks, ones), "sum to"));
  EQ_RETURN_IF_ERROR(ExpectInvalid(
      "width", comm::AllToAllRows(world, context, rows, ones, wide, ones), "rows differ"));
  EQ_RETURN_IF_ERROR(ExpectInvalid(
      "in place", comm::AllToAllRows(world, context, rows, ones, rows, ones), "overlap"));
  return ExpectInvalid("short", comm::AllToAllRows(world, context, rows, {}, rows, ones),
                       "0 send counts");
}

absl::Status RanksAgreeOnStatus(Communicator& world) {
  TestContext memory;
  const Context& context = memory.context();
  EQ_RETURN_IF_ERROR(comm::AgreeOnStatus(world, context, absl::OkStatus()));
  const int last = world.size() - 1;
  const absl::Status one_failed = comm::AgreeOnStatus(
      world, context,
      world.rank() == last ? absl::NotFoundError("no such file") : absl::OkStatus());
  EQ_RETURN_IF_ERROR(
      ExpectTrue(one_failed.ToString(),
                 one_failed == absl::NotFoundError(absl::StrCat("rank ", last, ": no such file"))));
  const absl::Status all_failed = comm::AgreeOnStatus(
      world, context, absl::UnavailableError(absl::StrCat("mine is ", world.rank())));
  EQ_RETURN_IF_ERROR(
      ExpectTrue(all_failed.ToString(), all_failed == absl::UnavailableError("rank 0: mine is 0")));
  const absl::Status no_text = comm::AgreeOnStatus(world, context, absl::CancelledError(""));
  return ExpectTrue(no_text.ToString(), no_text == absl::CancelledError("rank 0: "));
}

absl::Status TopologyIsDiscovered(Communicator& world) {
  TestContext memory;
  EQ_ASSIGN_OR_RETURN(const comm::Topology topology,
                      comm::Topology::Discover(world, memory.context()));
  EQ_RETURN_IF_ERROR(ExpectTrue("all ranks", topology.num_ranks() == world.size()));
  const int node = topology.node_of(world.rank());
  EQ_RETURN_IF_ERROR(ExpectTrue("own node's name", topology.node_name(node) == world.host()));
  const std::vector<int>& neighbours = topology.ranks_of(node);
  const size_t local = static_cast<size_t>(topology.local_rank(world.rank()));
  return ExpectTrue("local rank", neighbours[local] == world.rank());
}

// Every algorithm delivers what a flat all-to-all does, and rows come back to where they were when
// it is followed by its transpose.
absl::Status ExchangesThereAndBack(Communicator& world) {
  TestContext memory;
  const int me = world.rank();
  comm::RowMatrix rows(world.size());
  for (int from = 0; from < world.size(); ++from) {
    for (int to = 0; to < world.size(); ++to) rows.set(from, to, (from + 2 * to) % 4);
  }
  const auto formula = [&](int64_t i) { return Value(me, i); };
  const TensorView here = MakeBy(memory, DType::kF32, {rows.TotalFrom(me), 5}, formula);
  const TensorView expected = memory.Zeros(DType::kF32, {rows.TotalTo(me), 5});
  EQ_RETURN_IF_ERROR(
      comm::AllToAllRows(world, memory.context(), here, rows.From(me), expected, rows.To(me)));
  EQ_ASSIGN_OR_RETURN(const comm::Topology topology,
                      comm::Topology::Discover(world, memory.context()));
  std::vector<std::unique_ptr<comm::RowExchange>> exchanges;
  exchanges.push_back(comm::MakeFlatRowExchange(world));
  exchanges.push_back(comm::MakeTwoLevelRowExchange(world, topology));
  for (const auto& exchange : exchanges) {
    const TensorView there = memory.Zeros(DType::kF32, {rows.TotalTo(me), 5});
    const TensorView back = memory.Zeros(DType::kF32, {rows.TotalFrom(me), 5});
    EQ_RETURN_IF_ERROR(exchange->Run(memory.context(), rows, here, there, {}));
    EQ_RETURN_IF_ERROR(
        ExpectTrue(exchange->name() + " delivers what flat does",
                   testing_support::ToDoubles(there) == testing_support::ToDoubles(expected)));
    EQ_RETURN_IF_ERROR(exchange->Run(memory.context(), rows.Transposed(), there, back, {}));
    EQ_RETURN_IF_ERROR(ExpectBy(exchange->name() + ": rows come back", back, formula));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Case> FrontCases() {
  return {
      {"WrongArgumentsAreNamed", WrongArgumentsAreNamed},
      {"RanksAgreeOnStatus", RanksAgreeOnStatus},
      {"TopologyIsDiscovered", TopologyIsDiscovered},
      {"ExchangesThereAndBack", ExchangesThereAndBack},
  };
}

}  // namespace equipoise::conformance
