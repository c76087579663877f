#include "core/ops/elementwise.h"

#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::AllClose;
using testing_support::DotTolerance;
using testing_support::Epsilon;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::TestContext;
using testing_support::ToDoubles;

class ElementwiseTest : public ::testing::TestWithParam<DType> {
 protected:
  // Lengths around the vector and block widths.
  const std::vector<int64_t> lengths_ = {0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 65, 1031};
  TestContext test_;
};

TEST_P(ElementwiseTest, Copy) {
  for (const int64_t n : lengths_) {
    const TensorView x = test_.Normal(GetParam(), {n}, 1), y = test_.Zeros(GetParam(), {n});
    Copy(test_.context(), x, y);
    EXPECT_TRUE(SameBits(ToDoubles(y), ToDoubles(x)));
  }
}

TEST_P(ElementwiseTest, FillScaleAxpy) {
  const double epsilon = Epsilon(GetParam());
  for (const int64_t n : lengths_) {
    const TensorView x = test_.Normal(GetParam(), {n}, 1), y = test_.Zeros(GetParam(), {n});
    const auto values = ToDoubles(x);
    Fill(test_.context(), 3.0, y);
    EXPECT_TRUE(SameBits(ToDoubles(y), std::vector<double>(values.size(), 3.0)));
    Axpy(test_.context(), -0.5, x, y);
    auto expected = values;
    for (double& value : expected) value = 3.0 - 0.5 * value;
    EXPECT_TRUE(AllClose(ToDoubles(y), expected, epsilon * MaxAbs(expected))) << n;
    Scale(test_.context(), -4.0, x);
    for (size_t i = 0; i < values.size(); ++i) expected[i] = -4.0 * values[i];
    EXPECT_TRUE(SameBits(ToDoubles(x), expected)) << "a power of two is exact";
  }
}

TEST_P(ElementwiseTest, SumOfSquares) {
  for (const int64_t n : lengths_) {
    const TensorView x = test_.Normal(GetParam(), {n}, 1);
    double expected = 0.0;
    for (const double value : ToDoubles(x)) expected += value * value;
    const double largest = MaxAbs(ToDoubles(x));
    EXPECT_NEAR(SumOfSquares(test_.context(), x), expected,
                DotTolerance(DType::kF64, n, largest, largest) * static_cast<double>(n + 1));
  }
}

TEST_P(ElementwiseTest, AllFiniteFindsTheOneThatIsNot) {
  const double bad[] = {std::numeric_limits<double>::quiet_NaN(),
                        std::numeric_limits<double>::infinity(),
                        -std::numeric_limits<double>::infinity()};
  for (const int64_t n : lengths_) {
    const TensorView x = test_.Normal(GetParam(), {n}, 1, 1e30);
    EXPECT_TRUE(AllFinite(test_.context(), x));
    for (int64_t i = 0; i<n; i += n> 100 ? 103 : 1) {
      Fill(test_.context(), bad[i % 3], x.Rows(i, i + 1));
      EXPECT_FALSE(AllFinite(test_.context(), x)) << "element " << i << " of " << n;
      Fill(test_.context(), -1.0, x.Rows(i, i + 1));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, ElementwiseTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

TEST(CopyTest, IntegersToo) {
  TestContext test;
  const TensorView x = test.Below(DType::kI32, {9}, 1, 1000), y = test.Zeros(DType::kI32, {9});
  Copy(test.context(), x, y);
  EXPECT_EQ(ToDoubles(x), ToDoubles(y));
}

}  // namespace
}  // namespace equipoise
