#include "routing/cpu/score_rows.h"

#include <cmath>
#include <limits>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"

namespace equipoise::cpu {
namespace {

template <typename T>
class ScoreRowsTest : public ::testing::Test {
 protected:
  static std::vector<T> Draw(int64_t n, double stddev, uint64_t key) {
    const Philox philox(key);
    std::vector<T> values(static_cast<size_t>(n));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<T>(stddev * philox.Normal(i));
    return values;
  }
  static double Tolerance(int64_t n) {
    return std::numeric_limits<T>::epsilon() * static_cast<double>(n + 32);
  }
};
using FloatTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ScoreRowsTest, FloatTypes);

// Around the vector lengths of 4 and 8, and past them.
constexpr int64_t kLengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 64, 127, 256, 257};

TYPED_TEST(ScoreRowsTest, Softmax) {
  for (const int64_t n : kLengths) {
    const auto logits = this->Draw(n, 5.0, 1);
    std::vector<TypeParam> p(logits.size());
    const double log_sum_exp = SoftmaxRow(logits.data(), n, p.data());
    double sum = 0.0;
    for (const TypeParam logit : logits) sum += std::exp(static_cast<double>(logit));
    EXPECT_NEAR(log_sum_exp, std::log(sum), 30.0 * this->Tolerance(n)) << n;
    double entropy = 0.0;
    for (size_t i = 0; i < p.size(); ++i) {
      const double expected = std::exp(static_cast<double>(logits[i])) / sum;
      EXPECT_NEAR(p[i], expected, this->Tolerance(n)) << n;
      entropy -= expected * std::log(expected);
    }
    EXPECT_NEAR(EntropyRow(p.data(), n), entropy, 30.0 * this->Tolerance(n)) << n;
  }
}

TYPED_TEST(ScoreRowsTest, Sigmoid) {
  for (const int64_t n : kLengths) {
    const auto logits = this->Draw(n, 20.0, 2);
    std::vector<TypeParam> s(logits.size());
    const double sum = SigmoidRow(logits.data(), n, s.data());
    double expected_sum = 0.0;
    for (size_t i = 0; i < s.size(); ++i) {
      const double expected = 1.0 / (1.0 + std::exp(-static_cast<double>(logits[i])));
      EXPECT_NEAR(s[i], expected, expected * this->Tolerance(1)) << n;
      expected_sum += expected;
    }
    EXPECT_NEAR(sum, expected_sum, static_cast<double>(n) * this->Tolerance(n)) << n;
  }
}

TYPED_TEST(ScoreRowsTest, EntropyOfCertaintyIsZero) {
  std::vector<TypeParam> p(11, TypeParam{0});
  p[6] = TypeParam{1};
  EXPECT_EQ(EntropyRow(p.data(), 11), TypeParam{0});
}

TYPED_TEST(ScoreRowsTest, DotAndSums) {
  for (const int64_t n : kLengths) {
    const auto x = this->Draw(n, 1.0, 3);
    const auto y = this->Draw(n, 1.0, 4);
    double expected = 0.0;
    std::vector<double> sums(x.size(), 0.5);
    AddRowToSums(x.data(), n, sums.data());
    for (size_t i = 0; i < x.size(); ++i) {
      expected += static_cast<double>(x[i]) * static_cast<double>(y[i]);
      EXPECT_EQ(sums[i], 0.5 + static_cast<double>(x[i]));
    }
    EXPECT_NEAR(DotRow(x.data(), y.data(), n), expected, 10.0 * this->Tolerance(n)) << n;
  }
}

}  // namespace
}  // namespace equipoise::cpu
