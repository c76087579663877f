#ifndef EQUIPOISE_TESTS_SUPPORT_GRADIENT_CHECK_H_
#define EQUIPOISE_TESTS_SUPPORT_GRADIENT_CHECK_H_

#include <cstddef>
#include <functional>
#include <span>

#include "gtest/gtest.h"

namespace equipoise::testing_support {

// A scalar of many variables, computed in double precision; usually <weights, op(x)> for fixed
// random weights, whose gradient is the op's backward of dy = weights.
using ScalarFunction = std::function<double(std::span<const double>)>;

struct GradientCheckOptions {
  // Distance of the points of the difference, for variables of order one: near epsilon^(1/5),
  // where truncation and rounding of the five-point formula balance. Smaller near a kink.
  double step = 1e-3;
  // Elements are checked one in `stride`, to bound the cost for large inputs.
  size_t stride = 1;
};

// EXPECT_TRUE(CheckGradient(f, dx, x)): compares `analytic` with central differences of f around
// `point` (five-point formula, error of order step^4).
//
// The tolerance is computed: rounding, 32 epsilon (|f| + |gradient| |point|) / step, plus
// truncation, `step` times the largest gap between the two- and five-point formulas (that gap is
// step^2 f'''/6, so this leaves a factor of about 1/step for the ratio of f's fifth to its third
// derivative). A failure names the worst element, the norm and the tolerance.
::testing::AssertionResult CheckGradient(const ScalarFunction& function,
                                         std::span<const double> analytic,
                                         std::span<const double> point,
                                         const GradientCheckOptions& options = {});

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_SUPPORT_GRADIENT_CHECK_H_
