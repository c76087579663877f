#include "routing/cpu/norm_silu_rows.h"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"

namespace equipoise::cpu {
namespace {

using testing_support::AllClose;
using testing_support::CheckGradient;

std::vector<double> Draw(size_t size, const char* what) {
  const Philox philox(StreamKey(3, what));
  std::vector<double> values(size);
  for (size_t i = 0; i < size; ++i) values[i] = philox.Normal(i);
  return values;
}

template <typename T>
std::vector<T> To(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

template <typename T>
void CheckForward(size_t n) {
  auto x = Draw(n, "x");
  for (double& value : x) value = 3.0 * value + 7.0;  // a mean that would cost digits
  const auto gain = Draw(n, "gain");
  const auto bias = Draw(n, "bias");
  double mean = 0.0, variance = 0.0;
  for (const double value : x) mean += value / static_cast<double>(n);
  for (const double value : x) variance += std::pow(value - mean, 2.0) / static_cast<double>(n);
  std::vector<double> expected_a, expected_slopes;
  for (size_t i = 0; i < n; ++i) {
    const double u = gain[i] * (x[i] - mean) / std::sqrt(variance + 1e-5) + bias[i];
    const double sigma = 1.0 / (1.0 + std::exp(-u));
    expected_a.push_back(u * sigma);
    expected_slopes.push_back(sigma * (1.0 + u * (1.0 - sigma)));
  }
  const auto gain_t = To<T>(gain), bias_t = To<T>(bias), x_t = To<T>(x);
  std::vector<T> a(n), slopes(n);
  const NormParameters<T> parameters = {gain_t.data(), bias_t.data(), static_cast<int64_t>(n),
                                        1e-5};
  RowNorm<T> norm;
  NormSiluSlopesRows<T>(parameters, x_t.data(), 1, a.data(), slopes.data(), &norm);
  // x is rounded at 16 and then divided by its deviation; a single element has none, and 1e-5 alone
  // is divided by.
  const double tolerance =
      static_cast<double>(std::numeric_limits<T>::epsilon()) * (n == 1 ? 16.0 * 320.0 : 64.0);
  EXPECT_TRUE(AllClose(std::vector<double>(a.begin(), a.end()), expected_a, tolerance)) << n;
  EXPECT_TRUE(
      AllClose(std::vector<double>(slopes.begin(), slopes.end()), expected_slopes, tolerance))
      << n;
  std::vector<T> alone(n);
  NormSiluRows<T>(parameters, x_t.data(), 1, alone.data());
  EXPECT_EQ(alone, a);
}

TEST(NormSiluRowsTest, MatchesItsDefinition) {
  for (const size_t n : {1, 2, 3, 7, 8, 9, 31, 64, 129}) {
    CheckForward<float>(n);
    CheckForward<double>(n);
  }
}

// Rows by fours and alone.
TEST(NormSiluRowsTest, BackwardMatchesCentralDifferences) {
  constexpr int64_t kRows = 5;
  for (const size_t n : {2, 5, 13}) {
    const auto x = Draw(kRows * n, "x"), weights = Draw(kRows * n, "weights");
    const auto gain = Draw(n, "gain"), bias = Draw(n, "bias");
    const auto loss = [&](const std::vector<double>& point, const std::vector<double>& gains,
                          const std::vector<double>& biases) {
      std::vector<double> a(kRows * n);
      NormSiluRows<double>({gains.data(), biases.data(), static_cast<int64_t>(n), 1e-5},
                           point.data(), kRows, a.data());
      double total = 0.0;
      for (size_t i = 0; i < a.size(); ++i) total += weights[i] * a[i];
      return total;
    };
    const NormParameters<double> parameters = {gain.data(), bias.data(), static_cast<int64_t>(n),
                                               1e-5};
    std::vector<double> a(kRows * n), slopes(kRows * n), da = weights;
    std::vector<double> dx(kRows * n, 0.0), dgain(n, 0.0), dbias(n, 0.0);
    RowNorm<double> norms[kRows];
    NormSiluSlopesRows<double>(parameters, x.data(), kRows, a.data(), slopes.data(), norms);
    NormSiluBackwardRows<double>(
        parameters,
        {norms, x.data(), slopes.data(), da.data(), dx.data(), dgain.data(), dbias.data()}, kRows);
    const auto vector = [](std::span<const double> point) {
      return std::vector<double>(point.begin(), point.end());
    };
    EXPECT_TRUE(CheckGradient([&](auto point) { return loss(vector(point), gain, bias); }, dx, x));
    EXPECT_TRUE(
        CheckGradient([&](auto point) { return loss(x, vector(point), bias); }, dgain, gain));
    EXPECT_TRUE(
        CheckGradient([&](auto point) { return loss(x, gain, vector(point)); }, dbias, bias));
  }
}

// Far out, and what is not a number.
TEST(NormSiluRowsTest, NeitherOverflowsNorHidesNaN) {
  const std::vector<float> gain = {1e30f, 1e30f}, bias = {0.0f, 0.0f}, x = {-1.0f, 1.0f};
  std::vector<float> a(2), slopes(2);
  RowNorm<float> norm;
  const NormParameters<float> parameters = {gain.data(), bias.data(), 2, 1e-5};
  NormSiluSlopesRows<float>(parameters, x.data(), 1, a.data(), slopes.data(), &norm);
  EXPECT_EQ(a[0], 0.0f);
  EXPECT_GT(a[1], 9e29f);
  EXPECT_EQ(slopes[1], 1.0f);
  const std::vector<float> bad = {NAN, 1.0f};
  NormSiluSlopesRows<float>(parameters, bad.data(), 1, a.data(), slopes.data(), &norm);
  EXPECT_TRUE(std::isnan(a[0]));
}

}  // namespace
}  // namespace equipoise::cpu
