#include "routing/capacity.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::routing {
namespace {

using testing_support::TestContext;
using testing_support::ToDoubles;

TEST(ExpertCapacityTest, RoundsUp) {
  EXPECT_EQ(ExpertCapacity({1.0}, 8, 4, 2), 4);
  EXPECT_EQ(ExpertCapacity({1.25}, 8, 4, 2), 5);
  EXPECT_EQ(ExpertCapacity({1.0}, 7, 4, 2), 4);
  EXPECT_EQ(ExpertCapacity({1e-6}, 8, 4, 2), 1);
  EXPECT_EQ(ExpertCapacity({1e300}, 8, 4, 2), 8);
}

struct Copies {
  std::vector<double> ids;
  std::vector<double> gates;
  int64_t dropped = 0;
};

// Copy by copy: it stays when fewer than `capacity` of its sequence and expert are ahead of it.
Copies DropByDefinition(const Copies& in, int64_t capacity, size_t copies_per_sequence) {
  Copies out = in;
  for (size_t i = 0; i < in.ids.size(); ++i) {
    if (in.ids[i] < 0) continue;
    const size_t begin = i / copies_per_sequence * copies_per_sequence;
    int64_t ahead = 0;
    for (size_t j = begin; j < begin + copies_per_sequence; ++j) {
      if (in.ids[j] != in.ids[i]) continue;
      if (in.gates[j] > in.gates[i] || (in.gates[j] == in.gates[i] && j < i)) ++ahead;
    }
    if (ahead < capacity) continue;
    out.ids[i] = -1;
    out.gates[i] = 0.0;
    ++out.dropped;
  }
  return out;
}

Copies RandomCopies(int64_t num_tokens, int num_experts, int top_k, uint64_t key) {
  const Philox philox(key);
  Copies copies;
  for (int64_t t = 0; t < num_tokens; ++t) {
    const uint64_t token_key = StreamKey(key, "token") + static_cast<uint64_t>(t);
    for (int k = 0; k < top_k; ++k) {
      copies.ids.push_back(static_cast<double>(
          PermutedIndex(token_key, static_cast<uint64_t>(k), static_cast<uint64_t>(num_experts))));
      // Few values, so that ties are many.
      copies.gates.push_back(0.25 * static_cast<double>(philox.Below(4, copies.gates.size())));
    }
  }
  return copies;
}

TEST(ApplyCapacityTest, MatchesItsDefinition) {
  TestContext context;
  uint64_t key = 0;
  for (const int num_experts : {1, 3, 8}) {
    for (const int top_k : {1, 2, 3}) {
      if (top_k > num_experts) continue;
      for (const int64_t sequence_length : {1, 4, 13}) {
        for (const double factor : {0.3, 1.0, 1.5, 100.0}) {
          SCOPED_TRACE(::testing::Message() << "E=" << num_experts << " K=" << top_k
                                            << " S=" << sequence_length << " factor=" << factor);
          const int64_t num_tokens = 3 * sequence_length;
          const Copies copies = RandomCopies(num_tokens, num_experts, top_k, ++key);
          const TensorView ids = context.Make(DType::kI32, {num_tokens, top_k}, copies.ids);
          const TensorView gates = context.Make(DType::kF32, {num_tokens, top_k}, copies.gates);
          const int64_t dropped =
              ApplyCapacity(context.context(), {factor}, sequence_length, num_experts, ids, gates);
          const Copies expected = DropByDefinition(
              copies, ExpertCapacity({factor}, sequence_length, num_experts, top_k),
              static_cast<size_t>(sequence_length * top_k));
          EXPECT_EQ(dropped, expected.dropped);
          EXPECT_EQ(ToDoubles(ids), expected.ids);
          EXPECT_EQ(ToDoubles(gates), expected.gates);
        }
      }
    }
  }
}

TEST(ApplyCapacityTest, FactorZeroDropsNothing) {
  TestContext context;
  const TensorView ids = context.Zeros(DType::kI32, {5, 1});
  const TensorView gates = context.Make(DType::kF32, {5, 1}, std::vector<double>(5, 1.0));
  EXPECT_EQ(ApplyCapacity(context.context(), {0.0}, 5, 2, ids, gates), 0);
  EXPECT_EQ(ToDoubles(gates), std::vector<double>(5, 1.0));
}

TEST(ApplyCapacityTest, NaNGoesFirst) {
  TestContext context;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const TensorView ids = context.Zeros(DType::kI32, {3, 1});
  const TensorView gates = context.Make(DType::kF64, {3, 1}, std::vector<double>{nan, 0.1, 0.2});
  EXPECT_EQ(ApplyCapacity(context.context(), {0.66}, 3, 1, ids, gates), 1);
  EXPECT_EQ(ToDoubles(ids), (std::vector<double>{-1, 0, 0}));
}

}  // namespace
}  // namespace equipoise::routing
