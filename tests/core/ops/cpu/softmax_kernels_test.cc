#include "core/ops/cpu/softmax_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/base/rng.h"
#include "core/tensor/dtype.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"

namespace equipoise::cpu {
namespace {

using testing_support::AllClose;
using testing_support::DotTolerance;
using testing_support::Epsilon;

// Both sides of a vector of each width, of a block of partial sums and of a segment.
constexpr int64_t kLengths[] = {0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 1023, 1024, 1025, 2057};

template <typename T>
std::vector<T> Normal(int64_t n, uint64_t key, double stddev) {
  std::vector<T> values;
  const Philox random(key);
  for (int64_t i = 0; i < n; ++i) {
    values.push_back(static_cast<T>(stddev * random.Normal(static_cast<uint64_t>(i))));
  }
  return values;
}

template <typename T>
std::vector<double> Doubles(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

template <typename T>
class SoftmaxKernelsTest : public ::testing::Test {
 protected:
  const SoftmaxKernels<T>& kernels_ = SoftmaxKernels<T>::Get();
  const double epsilon_ = Epsilon(DTypeOf<T>::value);
};
using FloatTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(SoftmaxKernelsTest, FloatTypes);

TYPED_TEST(SoftmaxKernelsTest, MaxFindsTheLargestWhereverItStands) {
  using T = TypeParam;
  EXPECT_EQ(this->kernels_.max(nullptr, 0), -std::numeric_limits<T>::infinity());
  for (const int64_t n : {1, 7, 8, 9, 33}) {
    for (int64_t at = 0; at < n; ++at) {
      std::vector<T> x(static_cast<size_t>(n), T{-3});
      x[static_cast<size_t>(at)] = T{-1};
      EXPECT_EQ(this->kernels_.max(x.data(), n), T{-1}) << at << " of " << n;
    }
  }
}

TYPED_TEST(SoftmaxKernelsTest, ExpAndSumMatchesTheDefinition) {
  using T = TypeParam;
  for (const int64_t n : kLengths) {
    std::vector<T> x = Normal<T>(n, 1, 5.0);
    const T shift = n == 0 ? T{0} : *std::max_element(x.begin(), x.end());
    std::vector<double> expected;
    double expected_sum = 0.0;
    for (const T value : x) {
      // The difference is rounded in T: part of the kernel's definition, not an error.
      expected.push_back(std::exp(static_cast<double>(static_cast<T>(value - shift))));
      expected_sum += expected.back();
    }
    const double sum = this->kernels_.exp_and_sum(shift, x.data(), n);
    EXPECT_TRUE(AllClose(Doubles(x), expected, 2.0 * this->epsilon_)) << n;
    EXPECT_NEAR(sum, expected_sum,
                DotTolerance(DTypeOf<T>::value, std::min<int64_t>(n, 1024), 1.0, 1.0) *
                    std::max(1.0, expected_sum))
        << n;
  }
}

TYPED_TEST(SoftmaxKernelsTest, FarBelowTheMaximumIsZero) {
  using T = TypeParam;
  std::vector<T> x(19, T{-20000});
  x[17] = T{20000};
  EXPECT_EQ(this->kernels_.exp_and_sum(T{20000}, x.data(), 19), 1.0);
  EXPECT_EQ(x[17], T{1});
  EXPECT_EQ(x[0], T{0});
}

TYPED_TEST(SoftmaxKernelsTest, NotFiniteBecomesNaN) {
  using T = TypeParam;
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(),
                      -std::numeric_limits<T>::infinity()}) {
    for (const size_t at : {0, 15, 18}) {
      std::vector<T> x(19, T{1});
      x[at] = bad;
      const T shift = this->kernels_.max(x.data(), 19);
      EXPECT_TRUE(std::isnan(this->kernels_.exp_and_sum(shift, x.data(), 19))) << bad;
      EXPECT_TRUE(std::isnan(x[at])) << bad;
    }
  }
}

TYPED_TEST(SoftmaxKernelsTest, BackwardMatchesTheDefinition) {
  using T = TypeParam;
  for (const int64_t n : kLengths) {
    std::vector<T> scores = Normal<T>(n, 2, 3.0), dp = Normal<T>(n, 3, 1.0);
    const T log_sum_exp = T{12}, delta = static_cast<T>(0.3);
    std::vector<double> p, ds;
    for (size_t i = 0; i < scores.size(); ++i) {
      p.push_back(std::exp(static_cast<double>(static_cast<T>(scores[i] - log_sum_exp))));
      ds.push_back(p[i] * (static_cast<double>(dp[i]) - static_cast<double>(delta)));
    }
    const double largest = testing_support::MaxAbs(ds);
    this->kernels_.backward(log_sum_exp, delta, scores.data(), dp.data(), n);
    EXPECT_TRUE(AllClose(Doubles(scores), p, 2.0 * this->epsilon_)) << n;
    EXPECT_TRUE(AllClose(Doubles(dp), ds, 6.0 * this->epsilon_ * largest)) << n;
  }
}

}  // namespace
}  // namespace equipoise::cpu
