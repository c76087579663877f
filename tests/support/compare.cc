#include "tests/support/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/base/check.h"

namespace equipoise::testing_support {

double Epsilon(DType dtype) {
  EQ_CHECK(dtype == DType::kF32 || dtype == DType::kF64) << dtype;
  return dtype == DType::kF32 ? std::numeric_limits<float>::epsilon()
                              : std::numeric_limits<double>::epsilon();
}

double MaxAbs(std::span<const double> values) {
  double largest = 0.0;
  for (const double value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

double EuclideanNorm(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

double DotTolerance(DType dtype, int64_t length, double max_a, double max_b) {
  const double terms = static_cast<double>(std::max<int64_t>(length, 1));
  return 4.0 * std::sqrt(terms) * Epsilon(dtype) * max_a * max_b;
}

::testing::AssertionResult AllClose(std::span<const double> actual,
                                    std::span<const double> expected, double tolerance) {
  if (actual.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << actual.size() << " elements, expected " << expected.size();
  }
  size_t worst = 0;
  double worst_error = -1.0;
  for (size_t i = 0; i < actual.size(); ++i) {
    double error = std::fabs(actual[i] - expected[i]);
    if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
    if (error > worst_error) {
      worst_error = error;
      worst = i;
    }
  }
  if (worst_error <= tolerance) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "worst element " << worst << " of " << actual.size() << ": " << actual[worst]
         << ", expected " << expected[worst] << ", error " << worst_error << " over tolerance "
         << tolerance << "; norm of expected " << EuclideanNorm(expected);
}

::testing::AssertionResult SameBits(std::span<const double> actual,
                                    std::span<const double> expected) {
  if (actual.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << actual.size() << " elements, expected " << expected.size();
  }
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::bit_cast<uint64_t>(actual[i]) == std::bit_cast<uint64_t>(expected[i])) continue;
    return ::testing::AssertionFailure()
           << "element " << i << ": " << actual[i] << ", expected " << expected[i]
           << ", difference " << actual[i] - expected[i];
  }
  return ::testing::AssertionSuccess();
}

}  // namespace equipoise::testing_support
