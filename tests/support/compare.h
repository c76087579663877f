#ifndef EQUIPOISE_TESTS_SUPPORT_COMPARE_H_
#define EQUIPOISE_TESTS_SUPPORT_COMPARE_H_

#include <cstdint>
#include <span>

#include "core/tensor/dtype.h"
#include "gtest/gtest.h"

namespace equipoise::testing_support {

// Unit round-off's double: 2^-23 or 2^-52. REQUIRES: kF32 or kF64.
double Epsilon(DType dtype);

double MaxAbs(std::span<const double> values);
double EuclideanNorm(std::span<const double> values);

// Bound on the error of a sum of `length` products a_i b_i of rounded values, as a reader of
// Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1, would write it:
// length * epsilon * max|a| * max|b| is never exceeded; errors of random sign stay near its square
// root in `length`, and four times that is what we accept.
double DotTolerance(DType dtype, int64_t length, double max_a, double max_b);

// EXPECT_TRUE(AllClose(actual, expected, tolerance)): |actual_i - expected_i| <= tolerance for all
// i, and neither has a NaN. A failure names the worst element, the norm and the tolerance.
::testing::AssertionResult AllClose(std::span<const double> actual,
                                    std::span<const double> expected, double tolerance);

// The same values bit for bit (NaN equals NaN of the same bits).
::testing::AssertionResult SameBits(std::span<const double> actual,
                                    std::span<const double> expected);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_SUPPORT_COMPARE_H_
