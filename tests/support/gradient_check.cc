#include "tests/support/gradient_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/compare.h"

namespace equipoise::testing_support {
namespace {

struct Difference {
  double five_point;
  double gap;  // to the two-point formula
};

Difference Differentiate(const ScalarFunction& function, std::vector<double>& point, size_t index,
                         double step) {
  const double center = point[index];
  const auto at = [&](double distance) {
    point[index] = center + distance;
    const double value = function(point);
    point[index] = center;
    return value;
  };
  const double near = at(step) - at(-step);
  const double far = at(2.0 * step) - at(-2.0 * step);
  const double five_point = (8.0 * near - far) / (12.0 * step);
  return {five_point, std::fabs(near / (2.0 * step) - five_point)};
}

}  // namespace

::testing::AssertionResult CheckGradient(const ScalarFunction& function,
                                         std::span<const double> analytic,
                                         std::span<const double> point,
                                         const GradientCheckOptions& options) {
  if (analytic.size() != point.size()) {
    return ::testing::AssertionFailure()
           << "gradient of " << analytic.size() << " elements for " << point.size();
  }
  std::vector<double> moving(point.begin(), point.end());
  std::vector<double> expected;
  std::vector<double> actual;
  double largest_gap = 0.0;
  for (size_t i = 0; i < point.size(); i += options.stride) {
    const Difference difference = Differentiate(function, moving, i, options.step);
    expected.push_back(difference.five_point);
    actual.push_back(analytic[i]);
    largest_gap = std::max(largest_gap, difference.gap);
  }
  const double scale = std::fabs(function(moving)) + EuclideanNorm(expected) * EuclideanNorm(point);
  const double rounding = 32.0 * std::numeric_limits<double>::epsilon() * scale / options.step;
  auto result = AllClose(actual, expected, rounding + options.step * largest_gap);
  if (!result) result << " (analytic against differences, one element in " << options.stride << ")";
  return result;
}

}  // namespace equipoise::testing_support
