#include "core/ops/rms_norm.h"

#include <limits>
#include <vector>

#include "core/ops/reference/rms_norm.h"
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

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kEpsilon = 1e-5;

// Inputs and results of one call of each, everything written poisoned first.
struct Problem {
  Problem(DType dtype, const Shape& shape) : dtype(dtype) {
    const int64_t width = shape[shape.rank() - 1];
    x = test.Normal(dtype, shape, 1, 3.0);
    weight = test.Normal(dtype, {width}, 2);
    dy = test.Normal(dtype, shape, 3);
    y = Poisoned(shape);
    inverse_rms = Poisoned({shape.num_elements() / width});
    dx = Poisoned(shape);
    dweight = test.Zeros(dtype, {width});
  }
  TensorView Poisoned(const Shape& shape) {
    return test.Make(dtype, shape,
                     std::vector<double>(static_cast<size_t>(shape.num_elements()), kNaN));
  }
  void Forward() { RmsNormForward(test.context(), x, weight, kEpsilon, y, inverse_rms); }
  void Backward(bool accumulate = false) {
    RmsNormBackward(test.context(), x, weight, inverse_rms, dy, dx, accumulate, dweight);
  }

  TestContext test;
  DType dtype;
  TensorView x, weight, dy, y, inverse_rms, dx, dweight;
};

class RmsNormTest : public ::testing::TestWithParam<DType> {};

// Sums run in double, so what is left is the rounding of the root, two products and the result.
TEST_P(RmsNormTest, MatchesTheReference) {
  for (const Shape& shape :
       {Shape{5, 1}, Shape{3, 7}, Shape{4, 32}, Shape{2, 3, 33}, Shape{1, 517}, Shape{0, 8}}) {
    Problem p(GetParam(), shape);
    p.Forward();
    p.Backward();
    const auto x = ToDoubles(p.x), w = ToDoubles(p.weight), dy = ToDoubles(p.dy);
    const auto y = reference::RmsNormForward(x, w, kEpsilon);
    const auto gradients = reference::RmsNormBackward(x, w, kEpsilon, dy);
    const double epsilon = Epsilon(GetParam());
    EXPECT_TRUE(AllClose(ToDoubles(p.y), y, 4.0 * epsilon * MaxAbs(y))) << shape;
    // dx is a difference of two terms that may cancel: its error is relative to the terms. The
    // larger is at most max|dy w| / rms, scaled by the width for the projection at its worst.
    const double term = MaxAbs(dy) * MaxAbs(w) * MaxAbs(ToDoubles(p.inverse_rms)) *
                        static_cast<double>(shape[shape.rank() - 1]);
    EXPECT_TRUE(AllClose(ToDoubles(p.dx), gradients.dx, 4.0 * epsilon * term)) << shape;
    const double rows = static_cast<double>(p.inverse_rms.num_elements());
    const double scale = MaxAbs(dy) * MaxAbs(y) / (MaxAbs(w) + 1e-300);
    EXPECT_TRUE(AllClose(ToDoubles(p.dweight), gradients.dweight,
                         4.0 * epsilon * (rows + 1.0) * (scale + MaxAbs(gradients.dweight))))
        << shape;
  }
}

TEST_P(RmsNormTest, InPlaceGivesTheSameBits) {
  Problem p(GetParam(), {6, 35});
  p.Forward();
  p.Backward();
  const auto y = ToDoubles(p.y), dx = ToDoubles(p.dx);
  const TensorView x = p.test.Make(p.dtype, {6, 35}, ToDoubles(p.x));
  RmsNormForward(p.test.context(), x, p.weight, kEpsilon, x, p.inverse_rms);
  EXPECT_TRUE(SameBits(ToDoubles(x), y));
  RmsNormBackward(p.test.context(), p.x, p.weight, p.inverse_rms, p.dy, p.dy, false, p.dweight);
  EXPECT_TRUE(SameBits(ToDoubles(p.dy), dx));
}

TEST_P(RmsNormTest, AddsToGradientsWhereItSays) {
  Problem p(GetParam(), {6, 35});
  p.Forward();
  p.Backward();
  const auto dx = ToDoubles(p.dx), dweight = ToDoubles(p.dweight);
  p.Backward(/*accumulate=*/true);
  auto twice = dx, twice_weight = dweight;
  for (double& value : twice) value *= 2.0;
  for (double& value : twice_weight) value *= 2.0;
  EXPECT_TRUE(AllClose(ToDoubles(p.dx), twice, Epsilon(p.dtype) * MaxAbs(twice)));
  EXPECT_TRUE(
      AllClose(ToDoubles(p.dweight), twice_weight, Epsilon(p.dtype) * MaxAbs(twice_weight)));
}

TEST_P(RmsNormTest, LeavesTheScratchAsItWas) {
  Problem p(GetParam(), {6, 35});
  p.Forward();
  p.Backward();
  EXPECT_EQ(p.test.context().scratch->mark(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Types, RmsNormTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

double Inner(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

TEST(RmsNormGradientTest, AgreesWithCentralDifferences) {
  Problem p(DType::kF64, {3, 11});
  p.Forward();
  p.Backward();
  const auto dx = ToDoubles(p.dx), dweight = ToDoubles(p.dweight);
  const auto x = ToDoubles(p.x), weight = ToDoubles(p.weight), dy = ToDoubles(p.dy);
  const auto of_x = [&](std::span<const double> point) {
    SetDoubles(p.x, point);
    p.Forward();
    return Inner(ToDoubles(p.y), dy);
  };
  EXPECT_TRUE(CheckGradient(of_x, dx, x));
  SetDoubles(p.x, x);
  const auto of_weight = [&](std::span<const double> point) {
    SetDoubles(p.weight, point);
    p.Forward();
    return Inner(ToDoubles(p.y), dy);
  };
  EXPECT_TRUE(CheckGradient(of_weight, dweight, weight));
}

TEST(RmsNormDeathTest, AccumulatingIntoItsOwnInputDies) {
  Problem p(DType::kF32, {2, 3});
  p.Forward();
  EXPECT_DEATH(
      RmsNormBackward(p.test.context(), p.x, p.weight, p.inverse_rms, p.dy, p.dy, true, p.dweight),
      "overwrite dy");
}

}  // namespace
}  // namespace equipoise
