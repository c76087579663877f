#include "core/ops/gemm.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "core/ops/reference/gemm.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::AllClose;
using testing_support::DotTolerance;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct GemmCase {
  DType dtype;
  Transpose transpose_a;
  Transpose transpose_b;
};

class GemmTest : public ::testing::TestWithParam<GemmCase> {
 protected:
  // c = alpha op(a) op(b) + beta c against the reference, for one size.
  void Check(int64_t m, int64_t n, int64_t k, double alpha, double beta, double c_fill) {
    const auto [dtype, ta, tb] = GetParam();
    const bool at = ta == Transpose::kYes, bt = tb == Transpose::kYes;
    TestContext test;
    const TensorView a = test.Normal(dtype, at ? Shape{k, m} : Shape{m, k}, 1);
    const TensorView b = test.Normal(dtype, bt ? Shape{n, k} : Shape{k, n}, 2);
    const std::vector<double> before(static_cast<size_t>(m * n), c_fill);
    const TensorView c = test.Make(dtype, {m, n}, before);
    std::vector<double> expected = reference::Gemm({ta, tb, m, n, k}, ToDoubles(a), ToDoubles(b));
    for (double& value : expected) value = alpha * value + (beta == 0.0 ? 0.0 : beta * c_fill);
    Gemm(test.context(), ta, tb, alpha, a, b, beta, c);
    const double tolerance =
        DotTolerance(dtype, k, MaxAbs(ToDoubles(a)) * std::max(1.0, alpha), MaxAbs(ToDoubles(b))) +
        (beta == 0.0 ? 0.0 : DotTolerance(dtype, 1, beta, c_fill));
    EXPECT_TRUE(AllClose(ToDoubles(c), expected, tolerance))
        << "m=" << m << " n=" << n << " k=" << k << " alpha=" << alpha << " beta=" << beta;
  }
};

TEST_P(GemmTest, OddSizesAndOnePastABlock) {
  Check(1, 1, 1, 1.0, 0.0, kNaN);
  Check(1, 17, 5, 1.0, 0.0, kNaN);
  Check(7, 1, 13, 1.0, 0.0, kNaN);
  Check(3, 5, 1, 1.0, 0.0, kNaN);
  Check(63, 64, 65, 1.0, 0.0, kNaN);
  Check(65, 129, 67, 1.0, 0.0, kNaN);
}

TEST_P(GemmTest, ScalesAndAdds) {
  Check(31, 9, 66, 2.5, 1.0, 3.0);
  Check(5, 70, 3, 0.25, 0.5, 4.0);
  Check(5, 7, 3, 0.0, 0.5, 4.0);
}

TEST_P(GemmTest, ZeroExtents) {
  Check(0, 5, 3, 1.0, 0.0, kNaN);
  Check(5, 0, 3, 1.0, 0.0, kNaN);
  Check(5, 3, 0, 1.0, 0.0, kNaN);
  Check(5, 3, 0, 1.0, 2.0, 1.5);
  Check(0, 0, 0, 1.0, 1.0, 0.0);
}

INSTANTIATE_TEST_SUITE_P(TypesAndTransposes, GemmTest,
                         ::testing::Values(GemmCase{DType::kF32, Transpose::kNo, Transpose::kNo},
                                           GemmCase{DType::kF32, Transpose::kNo, Transpose::kYes},
                                           GemmCase{DType::kF32, Transpose::kYes, Transpose::kNo},
                                           GemmCase{DType::kF32, Transpose::kYes, Transpose::kYes},
                                           GemmCase{DType::kF64, Transpose::kNo, Transpose::kNo},
                                           GemmCase{DType::kF64, Transpose::kNo, Transpose::kYes},
                                           GemmCase{DType::kF64, Transpose::kYes, Transpose::kNo},
                                           GemmCase{DType::kF64, Transpose::kYes, Transpose::kYes}),
                         [](const auto& info) {
                           return std::string(Name(info.param.dtype)) +
                                  (info.param.transpose_a == Transpose::kYes ? "T" : "N") +
                                  (info.param.transpose_b == Transpose::kYes ? "T" : "N");
                         });

class LinearTest : public ::testing::TestWithParam<DType> {};

TEST_P(LinearTest, BackwardIsTheTransposeOfForward) {
  const DType dtype = GetParam();
  const int64_t rows = 37, in = 19, out = 23;
  TestContext test;
  const TensorView x = test.Normal(dtype, {rows, in}, 1);
  const TensorView weight = test.Normal(dtype, {out, in}, 2);
  const TensorView dy = test.Normal(dtype, {rows, out}, 3);
  const TensorView y = test.Zeros(dtype, {rows, out});
  LinearForward(test.context(), x, weight, y);
  const auto xs = ToDoubles(x), ws = ToDoubles(weight), dys = ToDoubles(dy);
  const Transpose n = Transpose::kNo, t = Transpose::kYes;
  EXPECT_TRUE(AllClose(ToDoubles(y), reference::Gemm({n, t, rows, out, in}, xs, ws),
                       DotTolerance(dtype, in, MaxAbs(xs), MaxAbs(ws))));

  const TensorView dx = test.Make(dtype, {rows, in}, std::vector<double>(rows * in, kNaN));
  const TensorView dweight = test.Make(dtype, {out, in}, std::vector<double>(out * in, 1.0));
  LinearBackward(test.context(), x, weight, dy, dx, /*accumulate_dx=*/false, dweight);
  auto expected_dx = reference::Gemm({n, n, rows, in, out}, dys, ws);
  auto expected_dw = reference::Gemm({t, n, out, in, rows}, dys, xs);
  for (double& value : expected_dw) value += 1.0;
  const double dx_tolerance = DotTolerance(dtype, out, MaxAbs(dys), MaxAbs(ws));
  const double dw_tolerance = DotTolerance(dtype, rows + 1, MaxAbs(dys), MaxAbs(xs));
  EXPECT_TRUE(AllClose(ToDoubles(dx), expected_dx, dx_tolerance));
  EXPECT_TRUE(AllClose(ToDoubles(dweight), expected_dw, dw_tolerance));

  LinearBackward(test.context(), x, weight, dy, dx, /*accumulate_dx=*/true, TensorView());
  for (double& value : expected_dx) value *= 2.0;
  EXPECT_TRUE(AllClose(ToDoubles(dx), expected_dx, 2.0 * dx_tolerance));
  EXPECT_TRUE(AllClose(ToDoubles(dweight), expected_dw, dw_tolerance));
}

TEST_P(LinearTest, AbsentInputGradientIsSkipped) {
  const DType dtype = GetParam();
  TestContext test;
  const TensorView x = test.Normal(dtype, {4, 3}, 1);
  const TensorView weight = test.Normal(dtype, {5, 3}, 2);
  const TensorView dy = test.Normal(dtype, {4, 5}, 3);
  const TensorView dweight = test.Zeros(dtype, {5, 3});
  LinearBackward(test.context(), x, weight, dy, TensorView(), false, dweight);
  EXPECT_GT(MaxAbs(ToDoubles(dweight)), 0.0);
}

// Row i of a product is a function of row i alone as long as the extents are the same.
TEST_P(LinearTest, SameExtentsGiveTheSameBits) {
  const DType dtype = GetParam();
  TestContext test;
  const TensorView x = test.Normal(dtype, {50, 65}, 1);
  const TensorView weight = test.Normal(dtype, {33, 65}, 2);
  const TensorView first = test.Zeros(dtype, {50, 33});
  const TensorView second = test.Zeros(dtype, {50, 33});
  LinearForward(test.context(), x, weight, first);
  LinearForward(test.context(), x, weight, second);
  EXPECT_TRUE(SameBits(ToDoubles(first), ToDoubles(second)));
}

INSTANTIATE_TEST_SUITE_P(Types, LinearTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

TEST(GemmDeathTest, NamesTheShapesThatDoNotFit) {
  TestContext test;
  const TensorView a = test.Zeros(DType::kF32, {2, 3});
  const TensorView b = test.Zeros(DType::kF32, {4, 5});
  const TensorView c = test.Zeros(DType::kF32, {2, 5});
  EXPECT_DEATH(Gemm(test.context(), Transpose::kNo, Transpose::kNo, 1.0, a, b, 0.0, c),
               "b \\[4, 5\\], c \\[2, 5\\]");
}

}  // namespace
}  // namespace equipoise
