#include "tests/support/gradient_check.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/compare.h"

namespace equipoise::testing_support {
namespace {

double SumOfExponentials(std::span<const double> x) {
  double sum = 0.0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::exp(x[i] * (1.0 + static_cast<double>(i)));
  return sum;
}

std::vector<double> Gradient(std::span<const double> x) {
  std::vector<double> gradient;
  for (size_t i = 0; i < x.size(); ++i) {
    const double rate = 1.0 + static_cast<double>(i);
    gradient.push_back(rate * std::exp(x[i] * rate));
  }
  return gradient;
}

TEST(GradientCheckTest, AcceptsTheTrueGradient) {
  const std::vector<double> x = {0.3, -1.2, 0.0, 0.7};
  EXPECT_TRUE(CheckGradient(SumOfExponentials, Gradient(x), x));
}

TEST(GradientCheckTest, RejectsAGradientWrongInTheSixthDigit) {
  const std::vector<double> x = {0.3, -1.2, 0.0, 0.7};
  std::vector<double> gradient = Gradient(x);
  gradient[1] *= 1.0 + 1e-6;
  const auto result = CheckGradient(SumOfExponentials, gradient, x);
  EXPECT_FALSE(result);
  EXPECT_NE(std::string(result.message()).find("worst element 1"), std::string::npos)
      << result.message();
}

TEST(GradientCheckTest, ChecksOneElementInStride) {
  const std::vector<double> x = {0.3, -1.2, 0.0, 0.7};
  std::vector<double> gradient = Gradient(x);
  gradient[1] = 99.0;
  GradientCheckOptions options;
  options.stride = 2;
  EXPECT_TRUE(CheckGradient(SumOfExponentials, gradient, x, options));
  options.stride = 1;
  EXPECT_FALSE(CheckGradient(SumOfExponentials, gradient, x, options));
}

TEST(CompareTest, NaNIsNeverClose) {
  const std::vector<double> nan = {std::numeric_limits<double>::quiet_NaN()};
  EXPECT_FALSE(AllClose(nan, nan, 1e300));
  EXPECT_TRUE(SameBits(nan, nan));
}

TEST(CompareTest, SameBitsTellsZeroesApart) {
  EXPECT_TRUE(AllClose(std::vector<double>{0.0}, std::vector<double>{-0.0}, 0.0));
  EXPECT_FALSE(SameBits(std::vector<double>{0.0}, std::vector<double>{-0.0}));
  EXPECT_FALSE(SameBits(std::vector<double>{0.0}, std::vector<double>{}));
}

}  // namespace
}  // namespace equipoise::testing_support
