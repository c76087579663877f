#include <algorithm>
#include <numeric>

#include "comm/collectives.h"
#include "core/base/status_macros.h"
#include "tests/conformance/cases.h"
#include "tests/conformance/expect.h"

namespace equipoise::conformance {
namespace {

using comm::Communicator;
using comm::ReduceOp;
using testing_support::TestContext;

absl::Status BarrierReturns(Communicator& world) {
  TestContext memory;
  for (int i = 0; i < 10; ++i) EQ_RETURN_IF_ERROR(comm::Barrier(world, memory.context()));
  return absl::OkStatus();
}

absl::Status BroadcastFromEveryRoot(Communicator& world) {
  for (const DType dtype : kAllTypes) {
    for (const int64_t count : kCounts) {
      for (int root = 0; root < world.size(); ++root) {
        TestContext memory;
        TensorView data =
            MakeBy(memory, dtype, {count}, [&](int64_t i) { return Value(world.rank(), i); });
        EQ_RETURN_IF_ERROR(comm::Broadcast(world, memory.context(), data, root));
        EQ_RETURN_IF_ERROR(ExpectBy("Broadcast", data, [&](int64_t i) { return Value(root, i); }));
      }
    }
  }
  return absl::OkStatus();
}

// `op` over all ranks' Value(rank, index).
double Reduced(ReduceOp op, int num_ranks, int64_t index) {
  double result = Value(0, index);
  for (int rank = 1; rank < num_ranks; ++rank) {
    const double value = Value(rank, index);
    if (op == ReduceOp::kSum) result += value;
    if (op == ReduceOp::kMax) result = std::max(result, value);
    if (op == ReduceOp::kMin) result = std::min(result, value);
  }
  return result;
}

absl::Status AllReduceWithEveryOperation(Communicator& world) {
  for (const DType dtype : kAllTypes) {
    for (const int64_t count : kCounts) {
      for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
        TestContext memory;
        TensorView data =
            MakeBy(memory, dtype, {count}, [&](int64_t i) { return Value(world.rank(), i); });
        EQ_RETURN_IF_ERROR(comm::AllReduce(world, memory.context(), data, op));
        EQ_RETURN_IF_ERROR(
            ExpectBy("AllReduce", data, [&](int64_t i) { return Reduced(op, world.size(), i); }));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ReduceScatterGivesOwnBlock(Communicator& world) {
  for (const DType dtype : kAllTypes) {
    for (const int64_t count : kCounts) {
      TestContext memory;
      const TensorView send = MakeBy(memory, dtype, {world.size() * count, 1},
                                     [&](int64_t i) { return Value(world.rank(), i); });
      TensorView receive = memory.Zeros(dtype, {count, 1});
      EQ_RETURN_IF_ERROR(comm::ReduceScatter(world, memory.context(), send, receive));
      EQ_RETURN_IF_ERROR(ExpectBy("ReduceScatter", receive, [&](int64_t i) {
        return Reduced(ReduceOp::kSum, world.size(), world.rank() * count + i);
      }));
    }
  }
  return absl::OkStatus();
}

absl::Status AllGatherApartAndInPlace(Communicator& world) {
  for (const DType dtype : kAllTypes) {
    for (const int64_t count : kCounts) {
      TestContext memory;
      const auto mine = [&](int64_t i) { return Value(world.rank(), i); };
      const auto all = [&](int64_t i) { return Value(i / count, i % count); };
      TensorView receive = memory.Zeros(dtype, {world.size() * count});
      EQ_RETURN_IF_ERROR(
          comm::AllGather(world, memory.context(), MakeBy(memory, dtype, {count}, mine), receive));
      EQ_RETURN_IF_ERROR(ExpectBy("AllGather", receive, all));

      TensorView in_place = MakeBy(memory, dtype, {world.size() * count}, [&](int64_t i) {
        return mine(i % std::max(count, int64_t{1}));
      });
      const TensorView own = in_place.Rows(world.rank() * count, (world.rank() + 1) * count);
      EQ_RETURN_IF_ERROR(comm::AllGather(world, memory.context(), own, in_place));
      EQ_RETURN_IF_ERROR(ExpectBy("AllGather in place", in_place, all));
    }
  }
  return absl::OkStatus();
}

// Rows that `from` sends to `to`.
using RowFormula = int64_t (*)(int from, int to, int size);

int64_t UnevenRows(int from, int to, int) { return (from * 3 + to) % 5; }
int64_t NoRows(int, int, int) { return 0; }
int64_t OneHotRank(int from, int to, int size) { return to == size - 1 ? from + 1 : 0; }
int64_t OneSender(int from, int to, int) { return from == 0 ? to + 2 : 0; }
// Ranks that have nothing to do must stay in step with the others.
int64_t FirstKeepsItsOwn(int from, int to, int) { return from == 0 && to == 0 ? 3 : 0; }
int64_t FirstToLast(int from, int to, int size) { return from == 0 && to == size - 1 ? 2 : 0; }
int64_t OnePastABlock(int from, int to, int) { return from == to ? 0 : 4097; }

// Row `row` of those that `from` sends to `to`, element `column`.
double Payload(int from, int to, int64_t row, int64_t column) {
  return static_cast<double>((from * 59 + to * 17 + row * 5 + column) % 251);
}

absl::Status CheckAllToAll(Communicator& world, DType dtype, int64_t width, RowFormula rows) {
  TestContext memory;
  const int self = world.rank();
  const int size = world.size();
  std::vector<int64_t> send_rows;
  std::vector<int64_t> receive_rows;
  std::vector<double> sent;
  std::vector<double> expected;
  for (int peer = 0; peer < size; ++peer) {
    send_rows.push_back(rows(self, peer, size));
    receive_rows.push_back(rows(peer, self, size));
    for (int64_t i = 0; i < send_rows.back() * width; ++i) {
      sent.push_back(Payload(self, peer, i / width, i % width));
    }
    for (int64_t i = 0; i < receive_rows.back() * width; ++i) {
      expected.push_back(Payload(peer, self, i / width, i % width));
    }
  }
  const int64_t total_out = std::accumulate(send_rows.begin(), send_rows.end(), int64_t{0});
  const int64_t total_in = std::accumulate(receive_rows.begin(), receive_rows.end(), int64_t{0});
  const TensorView send = memory.Make(dtype, {total_out, width}, sent);
  TensorView receive = memory.Zeros(dtype, {total_in, width});
  EQ_RETURN_IF_ERROR(
      comm::AllToAllRows(world, memory.context(), send, send_rows, receive, receive_rows));
  return ExpectBy("AllToAllRows", receive,
                  [&](int64_t i) { return expected[static_cast<size_t>(i)]; });
}

absl::Status AllToAllWithEveryShape(Communicator& world) {
  for (const DType dtype : kAllTypes) {
    for (const int64_t width : {0, 1, 3, 127}) {
      for (const RowFormula rows :
           {UnevenRows, NoRows, OneHotRank, OneSender, FirstKeepsItsOwn, FirstToLast}) {
        EQ_RETURN_IF_ERROR(CheckAllToAll(world, dtype, width, rows));
      }
    }
  }
  return CheckAllToAll(world, DType::kF32, 1, OnePastABlock);
}

// 1/(1 + rank + i) is rounded, so the order of summation shows in the last bits.
TensorView RoundedValues(TestContext& memory, DType dtype, const Shape& shape, int rank) {
  return MakeBy(memory, dtype, shape,
                [&](int64_t i) { return 1.0 / static_cast<double>(1 + rank + i); });
}

absl::Status ReductionsRepeatBitForBit(Communicator& world) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    TestContext memory;
    const Shape shape = {world.size() * int64_t{1021}};
    const TensorView first = RoundedValues(memory, dtype, shape, world.rank());
    const TensorView block = memory.Zeros(dtype, {1021});
    EQ_RETURN_IF_ERROR(comm::ReduceScatter(world, memory.context(), first, block));
    EQ_RETURN_IF_ERROR(comm::AllReduce(world, memory.context(), first));
    const std::vector<double> expected = testing_support::ToDoubles(first);
    const std::vector<double> expected_block = testing_support::ToDoubles(block);
    for (int repeat = 0; repeat < 3; ++repeat) {
      const TensorView again = RoundedValues(memory, dtype, shape, world.rank());
      EQ_RETURN_IF_ERROR(comm::ReduceScatter(world, memory.context(), again, block));
      EQ_RETURN_IF_ERROR(ExpectBy("ReduceScatter again", block, [&](int64_t i) {
        return expected_block[static_cast<size_t>(i)];
      }));
      EQ_RETURN_IF_ERROR(comm::AllReduce(world, memory.context(), again));
      EQ_RETURN_IF_ERROR(ExpectBy("AllReduce again", again,
                                  [&](int64_t i) { return expected[static_cast<size_t>(i)]; }));
    }
  }
  return absl::OkStatus();
}

absl::Status AllReduceGivesEveryRankTheSameBits(Communicator& world) {
  TestContext memory;
  constexpr int64_t kCount = 4099;
  const TensorView mine = RoundedValues(memory, DType::kF32, {kCount}, world.rank());
  EQ_RETURN_IF_ERROR(comm::AllReduce(world, memory.context(), mine));
  const TensorView all = memory.Zeros(DType::kF32, {world.size() * kCount});
  EQ_RETURN_IF_ERROR(comm::AllGather(world, memory.context(), mine, all));
  const std::vector<double> expected = testing_support::ToDoubles(mine);
  return ExpectBy("another rank's sum", all,
                  [&](int64_t i) { return expected[static_cast<size_t>(i % kCount)]; });
}

// What rank order gives, computed here; also the same bits in every backend.
absl::Status SumsAreInRankOrder(Communicator& world) {
  TestContext memory;
  constexpr int64_t kCount = 1021;
  const auto expected = [&](int64_t i) {
    float sum = 1.0f / static_cast<float>(1 + i);
    for (int rank = 1; rank < world.size(); ++rank) {
      sum += 1.0f / static_cast<float>(1 + rank + i);
    }
    return static_cast<double>(sum);
  };
  const TensorView blocks =
      RoundedValues(memory, DType::kF32, {world.size() * kCount}, world.rank());
  const TensorView block = memory.Zeros(DType::kF32, {kCount});
  EQ_RETURN_IF_ERROR(comm::ReduceScatter(world, memory.context(), blocks, block));
  EQ_RETURN_IF_ERROR(ExpectBy("ReduceScatter", block,
                              [&](int64_t i) { return expected(world.rank() * kCount + i); }));
  const TensorView small = RoundedValues(memory, DType::kF32, {kCount}, world.rank());
  EQ_RETURN_IF_ERROR(comm::AllReduce(world, memory.context(), small));
  return ExpectBy("AllReduce", small, expected);
}

}  // namespace

std::vector<Case> VerbCases() {
  return {
      {"BarrierReturns", BarrierReturns},
      {"BroadcastFromEveryRoot", BroadcastFromEveryRoot},
      {"AllReduceWithEveryOperation", AllReduceWithEveryOperation},
      {"ReduceScatterGivesOwnBlock", ReduceScatterGivesOwnBlock},
      {"AllGatherApartAndInPlace", AllGatherApartAndInPlace},
      {"AllToAllWithEveryShape", AllToAllWithEveryShape},
      {"ReductionsRepeatBitForBit", ReductionsRepeatBitForBit},
      {"SumsAreInRankOrder", SumsAreInRankOrder},
      {"AllReduceGivesEveryRankTheSameBits", AllReduceGivesEveryRankTheSameBits},
  };
}

}  // namespace equipoise::conformance
