#include "tests/core/ops/grouped_linear.h"

#include <limits>
#include <span>
#include <vector>

#include "core/ops/reference/gemm.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::AllClose;
using testing_support::DotTolerance;
using testing_support::GroupedLinearBackwardData;
using testing_support::GroupedLinearBackwardWeights;
using testing_support::GroupedLinearForward;
using testing_support::MaxAbs;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kIn = 21;
constexpr int64_t kOut = 34;

// Rows per expert: none at either end, one, a prime, one past a block.
const std::vector<double> kOffsets = {0, 0, 1, 8, 8, 73, 73};
constexpr int64_t kExperts = 6;
constexpr int64_t kRows = 73;

std::span<const double> Slice(const std::vector<double>& values, int64_t begin, int64_t end,
                              int64_t width) {
  return std::span(values).subspan(static_cast<size_t>(begin * width),
                                   static_cast<size_t>((end - begin) * width));
}

class GroupedGemmTest : public ::testing::TestWithParam<DType> {
 protected:
  TensorView Poisoned(const Shape& shape) {
    return test_.Make(GetParam(), shape,
                      std::vector<double>(static_cast<size_t>(shape.num_elements()), kNaN));
  }
  static int64_t Begin(int64_t e) { return static_cast<int64_t>(kOffsets[static_cast<size_t>(e)]); }

  TestContext test_;
  const TensorView offsets_ = test_.Make(DType::kI64, {kExperts + 1}, kOffsets);
  const TensorView x_ = test_.Normal(GetParam(), {kRows, kIn}, 1);
  const TensorView weights_ = test_.Normal(GetParam(), {kExperts, kOut, kIn}, 2);
  const TensorView dy_ = test_.Normal(GetParam(), {kRows, kOut}, 3);
};

TEST_P(GroupedGemmTest, ForwardMultipliesEachRunByItsExpert) {
  const TensorView y = Poisoned({kRows, kOut});
  GroupedLinearForward(test_.context(), x_, offsets_, weights_, y);
  const auto x = ToDoubles(x_), weights = ToDoubles(weights_), actual = ToDoubles(y);
  for (int64_t e = 0; e < kExperts; ++e) {
    const int64_t begin = Begin(e), end = Begin(e + 1);
    const auto expected =
        reference::Gemm({Transpose::kNo, Transpose::kYes, end - begin, kOut, kIn},
                        Slice(x, begin, end, kIn), Slice(weights, e, e + 1, kOut * kIn));
    EXPECT_TRUE(AllClose(Slice(actual, begin, end, kOut), expected,
                         DotTolerance(GetParam(), kIn, MaxAbs(x), MaxAbs(weights))))
        << "expert " << e;
  }
}

TEST_P(GroupedGemmTest, BackwardData) {
  const TensorView dx = Poisoned({kRows, kIn});
  GroupedLinearBackwardData(test_.context(), dy_, offsets_, weights_, dx);
  GroupedLinearBackwardData(test_.context(), dy_, offsets_, weights_, TensorView());
  const auto dy = ToDoubles(dy_), weights = ToDoubles(weights_), actual = ToDoubles(dx);
  for (int64_t e = 0; e < kExperts; ++e) {
    const int64_t begin = Begin(e), end = Begin(e + 1);
    const auto expected =
        reference::Gemm({Transpose::kNo, Transpose::kNo, end - begin, kIn, kOut},
                        Slice(dy, begin, end, kOut), Slice(weights, e, e + 1, kOut * kIn));
    EXPECT_TRUE(AllClose(Slice(actual, begin, end, kIn), expected,
                         DotTolerance(GetParam(), kOut, MaxAbs(dy), MaxAbs(weights))))
        << "expert " << e;
  }
}

TEST_P(GroupedGemmTest, BackwardWeightsAddsAndLeavesExpertsWithoutRowsAlone) {
  const TensorView dweights = test_.Make(GetParam(), {kExperts, kOut, kIn},
                                         std::vector<double>(kExperts * kOut * kIn, 2.0));
  GroupedLinearBackwardWeights(test_.context(), x_, dy_, offsets_, dweights);
  const auto dy = ToDoubles(dy_), x = ToDoubles(x_), actual = ToDoubles(dweights);
  for (int64_t e = 0; e < kExperts; ++e) {
    const int64_t begin = Begin(e), end = Begin(e + 1);
    auto expected = reference::Gemm({Transpose::kYes, Transpose::kNo, kOut, kIn, end - begin},
                                    Slice(dy, begin, end, kOut), Slice(x, begin, end, kIn));
    for (double& value : expected) value += 2.0;
    EXPECT_TRUE(AllClose(Slice(actual, e, e + 1, kOut * kIn), expected,
                         DotTolerance(GetParam(), end - begin + 1, MaxAbs(dy), MaxAbs(x))))
        << "expert " << e;
  }
}

TEST_P(GroupedGemmTest, NoRowsAtAll) {
  const TensorView offsets = test_.Zeros(DType::kI64, {kExperts + 1});
  const TensorView x = test_.Zeros(GetParam(), {0, kIn}), y = test_.Zeros(GetParam(), {0, kOut});
  const TensorView dweights = test_.Zeros(GetParam(), {kExperts, kOut, kIn});
  GroupedLinearForward(test_.context(), x, offsets, weights_, y);
  GroupedLinearBackwardData(test_.context(), y, offsets, weights_, x);
  GroupedLinearBackwardWeights(test_.context(), x, y, offsets, dweights);
  EXPECT_EQ(MaxAbs(ToDoubles(dweights)), 0.0);
}

TEST_P(GroupedGemmTest, OffsetsThatDoNotCoverTheRowsDie) {
  const std::vector<double> wrong = {0, 0, 1, 8, 8, 73, 72};
  const TensorView offsets = test_.Make(DType::kI64, {kExperts + 1}, wrong);
  const TensorView y = Poisoned({kRows, kOut});
  EXPECT_DEATH(GroupedLinearForward(test_.context(), x_, offsets, weights_, y), "72 against 73");
}

INSTANTIATE_TEST_SUITE_P(Types, GroupedGemmTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

}  // namespace
}  // namespace equipoise
