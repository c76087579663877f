#include "core/ops/rope.h"

#include <span>
#include <string>
#include <vector>

#include "core/ops/reference/rope.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::AllClose;
using testing_support::CheckGradient;
using testing_support::Epsilon;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::TestContext;
using testing_support::ToDoubles;

struct Case {
  int64_t num_sequences;
  int64_t sequence_length;
  int64_t heads;
  int64_t head_dim;
  double theta = 1e4;

  Shape shape() const { return {num_sequences * sequence_length, heads, head_dim}; }
};

// Rounding of cosine, sine and two products in the row's type, and of angles as large as the last
// position (their relative error is the double's) in the tables.
double Tolerance(const Case& c, DType dtype, double max_x) {
  const double angle = 4.0 * Epsilon(DType::kF64) * (1.0 + static_cast<double>(c.sequence_length));
  return 2.0 * max_x * (4.0 * Epsilon(dtype) + angle);
}

class RopeTest : public ::testing::TestWithParam<Case> {};

TEST_P(RopeTest, BothDirectionsMatchReference) {
  const Case c = GetParam();
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    TestContext test;
    const TensorView x = test.Normal(dtype, c.shape(), 1);
    const std::vector<double> before = ToDoubles(x);
    const double tolerance = Tolerance(c, dtype, MaxAbs(before));
    for (const double direction : {1.0, -1.0}) {
      SCOPED_TRACE(std::string(Name(dtype)) + " direction " + std::to_string(direction));
      SetDoubles(x, before);
      std::vector<double> expected = before;
      reference::Rope(c.theta, c.sequence_length, c.heads, c.head_dim, direction, expected);
      if (direction > 0.0) {
        RopeForward(test.context(), c.theta, c.sequence_length, x);
      } else {
        RopeBackward(test.context(), c.theta, c.sequence_length, x);
      }
      EXPECT_TRUE(AllClose(ToDoubles(x), expected, tolerance));
    }
    EXPECT_EQ(test.context().scratch->mark(), 0u);
  }
}

TEST_P(RopeTest, BackwardUndoesForward) {
  const Case c = GetParam();
  TestContext test;
  const TensorView x = test.Normal(DType::kF64, c.shape(), 2);
  const std::vector<double> before = ToDoubles(x);
  RopeForward(test.context(), c.theta, c.sequence_length, x);
  RopeBackward(test.context(), c.theta, c.sequence_length, x);
  EXPECT_TRUE(AllClose(ToDoubles(x), before, 2.0 * Tolerance(c, DType::kF64, MaxAbs(before))));
}

// Tables change every 64 positions.
INSTANTIATE_TEST_SUITE_P(Shapes, RopeTest,
                         ::testing::Values(Case{0, 5, 2, 4}, Case{3, 1, 2, 2}, Case{2, 7, 3, 6},
                                           Case{1, 64, 1, 2}, Case{2, 65, 5, 18, 1e6},
                                           Case{1, 131, 2, 34}, Case{4, 3, 0, 4},
                                           Case{1, 100001, 1, 4}));

TEST(RopeGradientTest, AgreesWithCentralDifferences) {
  TestContext test;
  const Case c{2, 5, 2, 4};
  const TensorView x = test.Normal(DType::kF64, c.shape(), 3);
  const TensorView dx = test.Normal(DType::kF64, c.shape(), 4);
  const std::vector<double> point = ToDoubles(x), weights = ToDoubles(dx);
  RopeBackward(test.context(), c.theta, c.sequence_length, dx);
  const auto function = [&](std::span<const double> values) {
    SetDoubles(x, values);
    RopeForward(test.context(), c.theta, c.sequence_length, x);
    const std::vector<double> y = ToDoubles(x);
    double sum = 0.0;
    for (size_t i = 0; i < y.size(); ++i) sum += weights[i] * y[i];
    return sum;
  };
  EXPECT_TRUE(CheckGradient(function, ToDoubles(dx), point));
}

TEST(RopeTest, PositionZeroStaysAndEverySequenceStartsAnew) {
  TestContext test;
  const std::vector<double> row = {1.0, -2.0, 3.0, -4.0};
  std::vector<double> rows;
  for (int i = 0; i < 6; ++i) rows.insert(rows.end(), row.begin(), row.end());
  const TensorView x = test.Make(DType::kF32, {6, 1, 4}, rows);
  RopeForward(test.context(), 1e4, 3, x);
  EXPECT_TRUE(SameBits(ToDoubles(x.Rows(0, 1)), row));
  EXPECT_TRUE(SameBits(ToDoubles(x.Rows(3, 6)), ToDoubles(x.Rows(0, 3))));
  EXPECT_FALSE(SameBits(ToDoubles(x.Rows(1, 2)), row));
}

}  // namespace
}  // namespace equipoise
