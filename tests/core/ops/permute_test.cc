#include "core/ops/permute.h"

#include <limits>
#include <vector>

#include "core/base/rng.h"
#include "core/ops/reference/permute.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::AllClose;
using testing_support::CheckGradient;
using testing_support::DotTolerance;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kTokens = 13;
constexpr int64_t kActive = 3;
constexpr int64_t kWidth = 37;

// Slots [T, K] of a permutation of the copies; every fifth is absent, and one token has none.
struct Routing {
  Routing() {
    std::vector<bool> kept;
    for (int64_t i = 0; i < kTokens * kActive; ++i) {
      kept.push_back(i % 5 != 4 && i / kActive != 7);
      num_copies += kept.back() ? 1 : 0;
    }
    rows.resize(static_cast<size_t>(num_copies));
    uint64_t next = 0;
    for (size_t i = 0; i < kept.size(); ++i) {
      slots.push_back(-1.0);
      if (!kept[i]) continue;
      const uint64_t slot = PermutedIndex(9, next++, static_cast<uint64_t>(num_copies));
      slots.back() = static_cast<double>(slot);
      rows[slot] = static_cast<double>(i / kActive);
    }
  }
  int64_t num_copies = 0;
  std::vector<double> slots;  // [T, K]
  std::vector<double> rows;   // [C]: the token of each copy
};

class PermuteTest : public ::testing::TestWithParam<DType> {
 protected:
  TensorView Poisoned(const Shape& shape) {
    return test_.Make(GetParam(), shape,
                      std::vector<double>(static_cast<size_t>(shape.num_elements()), kNaN));
  }

  const Routing routing_;
  TestContext test_;
  const TensorView slots_ = test_.Make(DType::kI64, {kTokens, kActive}, routing_.slots);
  const TensorView rows_ = test_.Make(DType::kI64, {routing_.num_copies}, routing_.rows);
  const TensorView gates_ = test_.Normal(GetParam(), {kTokens, kActive}, 1);
  const TensorView tokens_ = test_.Normal(GetParam(), {kTokens, kWidth}, 2);
  const TensorView copies_ = test_.Normal(GetParam(), {routing_.num_copies, kWidth}, 3);
};

TEST_P(PermuteTest, GatherCopiesRowsExactly) {
  const TensorView y = Poisoned({routing_.num_copies, kWidth});
  GatherRows(test_.context(), tokens_, rows_, y);
  EXPECT_TRUE(
      SameBits(ToDoubles(y), reference::GatherRows(ToDoubles(tokens_), routing_.rows, kWidth)));
}

TEST_P(PermuteTest, GatherBackwardSumsTheCopiesOfAToken) {
  const TensorView dx = Poisoned({kTokens, kWidth});
  GatherRowsBackward(test_.context(), copies_, slots_, /*accumulate=*/false, dx);
  std::vector<double> expected(kTokens * kWidth, 0.0);
  reference::ScatterAddRows(ToDoubles(copies_), routing_.rows, kWidth, expected);
  const double tolerance = DotTolerance(GetParam(), kActive, 1.0, MaxAbs(ToDoubles(copies_)));
  EXPECT_TRUE(AllClose(ToDoubles(dx), expected, tolerance));
  GatherRowsBackward(test_.context(), copies_, slots_, /*accumulate=*/true, dx);
  for (double& value : expected) value *= 2.0;
  EXPECT_TRUE(AllClose(ToDoubles(dx), expected, 2.0 * tolerance));
}

TEST_P(PermuteTest, CombineWeighsTheCopiesOfAToken) {
  const TensorView y = Poisoned({kTokens, kWidth});
  WeightedCombine(test_.context(), copies_, slots_, gates_, /*accumulate=*/false, y);
  const auto gates = ToDoubles(gates_);
  auto expected =
      reference::WeightedCombine(ToDoubles(copies_), {routing_.slots, gates, kActive}, kWidth);
  const double tolerance =
      DotTolerance(GetParam(), kActive, MaxAbs(gates), MaxAbs(ToDoubles(copies_)));
  EXPECT_TRUE(AllClose(ToDoubles(y), expected, tolerance));
  WeightedCombine(test_.context(), copies_, slots_, gates_, /*accumulate=*/true, y);
  for (double& value : expected) value *= 2.0;
  EXPECT_TRUE(AllClose(ToDoubles(y), expected, 2.0 * tolerance));
}

TEST_P(PermuteTest, CombineBackward) {
  const TensorView dx = Poisoned({routing_.num_copies, kWidth});
  const TensorView dgates = Poisoned({kTokens, kActive});
  WeightedCombineBackward(test_.context(), copies_, slots_, gates_, tokens_, dx, dgates);
  const auto x = ToDoubles(copies_), dy = ToDoubles(tokens_), gates = ToDoubles(gates_);
  std::vector<double> expected_dx(x.size()), expected_dgates(gates.size(), 0.0);
  for (size_t i = 0; i < gates.size(); ++i) {
    if (routing_.slots[i] < 0) continue;
    const size_t copy = static_cast<size_t>(routing_.slots[i]), token = i / kActive;
    for (size_t j = 0; j < kWidth; ++j) {
      expected_dx[copy * kWidth + j] = gates[i] * dy[token * kWidth + j];
      expected_dgates[i] += dy[token * kWidth + j] * x[copy * kWidth + j];
    }
  }
  EXPECT_TRUE(
      AllClose(ToDoubles(dx), expected_dx, DotTolerance(GetParam(), 1, MaxAbs(gates), MaxAbs(dy))));
  EXPECT_TRUE(AllClose(ToDoubles(dgates), expected_dgates,
                       DotTolerance(GetParam(), kWidth, MaxAbs(dy), MaxAbs(x))));

  WeightedCombineBackward(test_.context(), copies_, slots_, gates_, tokens_, copies_, dgates);
  EXPECT_TRUE(SameBits(ToDoubles(copies_), ToDoubles(dx))) << "in place";
}

TEST_P(PermuteTest, NoTokensAndNoCopies) {
  const DType dtype = GetParam();
  const TensorView none = test_.Zeros(dtype, {0, kWidth});
  const TensorView no_slots = test_.Zeros(DType::kI64, {0, kActive});
  const TensorView no_gates = test_.Zeros(dtype, {0, kActive});
  GatherRows(test_.context(), tokens_, test_.Zeros(DType::kI64, {0}), none);
  GatherRowsBackward(test_.context(), none, no_slots, false, none);
  WeightedCombine(test_.context(), none, no_slots, no_gates, false, none);
  WeightedCombineBackward(test_.context(), none, no_slots, no_gates, none, none, no_gates);

  const TensorView absent = test_.Make(DType::kI64, {2, 1}, std::vector<double>{-1, -1});
  const TensorView y = Poisoned({2, kWidth});
  WeightedCombine(test_.context(), none, absent, test_.Zeros(dtype, {2, 1}), false, y);
  EXPECT_EQ(MaxAbs(ToDoubles(y)), 0.0);
}

TEST_P(PermuteTest, SlotBeyondTheCopiesDies) {
  const TensorView slots = test_.Make(DType::kI64, {1, 1}, std::vector<double>{99});
  const TensorView y = test_.Zeros(GetParam(), {1, kWidth});
  EXPECT_DEATH(GatherRowsBackward(test_.context(), copies_, slots, false, y), "slot 99 of");
}

INSTANTIATE_TEST_SUITE_P(Types, PermuteTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

// The sum of squares of a combination, so that the gates' and rows' gradients meet.
TEST(PermuteGradientTest, CombineAgreesWithCentralDifferences) {
  const Routing routing;
  TestContext test;
  const TensorView slots = test.Make(DType::kI64, {kTokens, kActive}, routing.slots);
  const TensorView gates = test.Normal(DType::kF64, {kTokens, kActive}, 1);
  const TensorView x = test.Normal(DType::kF64, {routing.num_copies, 5}, 2);
  const TensorView y = test.Zeros(DType::kF64, {kTokens, 5});
  const auto loss = [&] {
    WeightedCombine(test.context(), x, slots, gates, false, y);
    double sum = 0.0;
    for (const double value : ToDoubles(y)) sum += 0.5 * value * value;
    return sum;
  };
  loss();
  const TensorView dx = test.Zeros(DType::kF64, {routing.num_copies, 5});
  const TensorView dgates = test.Zeros(DType::kF64, {kTokens, kActive});
  WeightedCombineBackward(test.context(), x, slots, gates, y, dx, dgates);
  const auto xs = ToDoubles(x), gs = ToDoubles(gates);
  const auto of_x = [&](std::span<const double> point) {
    SetDoubles(x, point);
    return loss();
  };
  EXPECT_TRUE(CheckGradient(of_x, ToDoubles(dx), xs));
  SetDoubles(x, xs);
  const auto of_gates = [&](std::span<const double> point) {
    SetDoubles(gates, point);
    return loss();
  };
  EXPECT_TRUE(CheckGradient(of_gates, ToDoubles(dgates), gs));
}

}  // namespace
}  // namespace equipoise
