#include "core/ops/swiglu.h"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/ops/reference/swiglu.h"
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

// Units in the last place that exp, a sum, a division and three products may lose.
constexpr double kUlps = 8.0;

class SwiGluTest : public ::testing::TestWithParam<DType> {};

TEST_P(SwiGluTest, MatchesTheReference) {
  const DType dtype = GetParam();
  for (const auto& [rows, width] :
       {std::pair<int64_t, int64_t>{1, 1}, {5, 7}, {3, 16}, {2, 17}, {4, 129}, {0, 5}, {5, 0}}) {
    TestContext test;
    const auto count = static_cast<size_t>(rows * width);
    const TensorView gate_up = test.Normal(dtype, {rows, 2 * width}, 1, 4.0);
    const TensorView dy = test.Normal(dtype, {rows, width}, 2);
    const TensorView y = test.Make(dtype, {rows, width}, std::vector<double>(count, kNaN));
    const TensorView d_gate_up =
        test.Make(dtype, {rows, 2 * width}, std::vector<double>(2 * count, kNaN));
    SwiGluForward(test.context(), gate_up, y);
    SwiGluBackward(test.context(), gate_up, dy, d_gate_up);
    const auto in = ToDoubles(gate_up), gradient = ToDoubles(dy);
    const auto expected = width == 0 ? std::vector<double>{} : reference::SwiGluForward(in, width);
    EXPECT_TRUE(AllClose(ToDoubles(y), expected, kUlps * Epsilon(dtype) * MaxAbs(expected)));
    const auto back =
        width == 0 ? std::vector<double>{} : reference::SwiGluBackward(in, gradient, width);
    // The slope's terms, s and z s (1 - s), are below 1.3 each whatever z is.
    const double scale = MaxAbs(gradient) * MaxAbs(in);
    EXPECT_TRUE(AllClose(ToDoubles(d_gate_up), back, kUlps * Epsilon(dtype) * scale))
        << rows << " x " << width;
  }
}

TEST_P(SwiGluTest, GateFarFromZero) {
  const DType dtype = GetParam();
  TestContext test;
  const std::vector<double> values = {-1e4, -200, -90, -30, 30, 90, 200, 1e4,
                                      1,    1,    1,   1,   1,  1,  1,   1};
  const TensorView gate_up = test.Make(dtype, {1, 16}, values);
  const TensorView y = test.Zeros(dtype, {1, 8});
  const TensorView ones = test.Make(dtype, {1, 8}, std::vector<double>(8, 1.0));
  const TensorView back = test.Zeros(dtype, {1, 16});
  SwiGluForward(test.context(), gate_up, y);
  SwiGluBackward(test.context(), gate_up, ones, back);
  const auto actual = ToDoubles(y), gradient = ToDoubles(back);
  for (size_t i = 0; i < 8; ++i) {
    const double z = values[i];
    const double silu = z < 0 ? z * std::exp(z) / (1.0 + std::exp(z)) : z / (1.0 + std::exp(-z));
    EXPECT_NEAR(actual[i], silu, kUlps * Epsilon(dtype) * std::fabs(silu) + 1e-37) << z;
    EXPECT_TRUE(std::isfinite(gradient[i])) << z;
    // Left of -30 the slope is z exp(z) to within one part in z, right of 30 it is one.
    EXPECT_NEAR(gradient[i], z < 0 ? 0.0 : 1.0, 1e-11) << z;
  }
}

TEST_P(SwiGluTest, NaNStaysNaN) {
  TestContext test;
  const TensorView gate_up = test.Make(GetParam(), {1, 4}, std::vector<double>{kNaN, 1, 1, kNaN});
  const TensorView y = test.Zeros(GetParam(), {1, 2});
  SwiGluForward(test.context(), gate_up, y);
  for (const double value : ToDoubles(y)) EXPECT_TRUE(std::isnan(value));
}

TEST_P(SwiGluTest, BackwardInPlaceGivesTheSameBits) {
  TestContext test;
  const TensorView gate_up = test.Normal(GetParam(), {3, 38}, 1);
  const TensorView dy = test.Normal(GetParam(), {3, 19}, 2);
  const TensorView apart = test.Zeros(GetParam(), {3, 38});
  SwiGluBackward(test.context(), gate_up, dy, apart);
  SwiGluBackward(test.context(), gate_up, dy, gate_up);
  EXPECT_TRUE(SameBits(ToDoubles(gate_up), ToDoubles(apart)));
}

INSTANTIATE_TEST_SUITE_P(Types, SwiGluTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

TEST(SwiGluGradientTest, AgreesWithCentralDifferences) {
  TestContext test;
  const TensorView gate_up = test.Normal(DType::kF64, {3, 22}, 1);
  const TensorView dy = test.Normal(DType::kF64, {3, 11}, 2);
  const TensorView y = test.Zeros(DType::kF64, {3, 11});
  const TensorView analytic = test.Zeros(DType::kF64, {3, 22});
  SwiGluBackward(test.context(), gate_up, dy, analytic);
  const auto weights = ToDoubles(dy), point = ToDoubles(gate_up);
  const auto function = [&](std::span<const double> at) {
    SetDoubles(gate_up, at);
    SwiGluForward(test.context(), gate_up, y);
    const auto values = ToDoubles(y);
    double sum = 0.0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[i] * weights[i];
    return sum;
  };
  EXPECT_TRUE(CheckGradient(function, ToDoubles(analytic), point));
}

}  // namespace
}  // namespace equipoise
