#include "routing/cpu/top_k_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"

namespace equipoise::cpu {
namespace {

template <typename T>
class TopKRowsTest : public ::testing::Test {
 protected:
  static std::vector<T> Draw(size_t size, uint64_t key) {
    const Philox philox(key);
    std::vector<T> values(size);
    for (size_t i = 0; i < size; ++i) values[i] = static_cast<T>(philox.Normal(i));
    return values;
  }

  // Numbers first, descending, then the rest; among equals the lowest index.
  static std::vector<int32_t> Expected(const T* scores, int64_t n, int64_t top_k) {
    std::vector<int32_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      if (std::isnan(scores[a]) || std::isnan(scores[b])) {
        return !std::isnan(scores[a]) && std::isnan(scores[b]);
      }
      return scores[a] > scores[b];
    });
    order.resize(static_cast<size_t>(top_k));
    return order;
  }

  static void Check(const std::vector<T>& scores, int64_t rows, int64_t top_k) {
    const int64_t n = static_cast<int64_t>(scores.size()) / rows;
    std::vector<int32_t> expected;
    for (int64_t row = 0; row < rows; ++row) {
      const auto ids = Expected(scores.data() + row * n, n, top_k);
      expected.insert(expected.end(), ids.begin(), ids.end());
    }
    std::vector<int32_t> ids(static_cast<size_t>(rows * top_k));
    TopKRows(scores.data(), rows, n, top_k, ids.data());
    EXPECT_EQ(ids, expected) << "n=" << n << " K=" << top_k;
  }
};
using FloatTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(TopKRowsTest, FloatTypes);

// Around the vector lengths of 4, 8 and 16, past them, and past the longest row that has keys.
constexpr int64_t kLengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 64, 127, 256, 257, 1024, 1500};

TYPED_TEST(TopKRowsTest, IsAStableSort) {
  for (const int64_t n : kLengths) {
    for (const int64_t top_k : {int64_t{1}, int64_t{2}, int64_t{8}, n / 2, n}) {
      if (top_k < 1 || top_k > n) continue;
      auto scores = this->Draw(static_cast<size_t>(3 * n), static_cast<uint64_t>(100 + n));
      this->Check(scores, 3, top_k);
      // Quarters, so that ties are many.
      for (TypeParam& score : scores) score = std::round(score * 4) / 4;
      this->Check(scores, 3, top_k);
    }
  }
}

TYPED_TEST(TopKRowsTest, KnowsZerosInfinitiesAndNaN) {
  constexpr TypeParam kInfinity = std::numeric_limits<TypeParam>::infinity();
  constexpr TypeParam kNaN = std::numeric_limits<TypeParam>::quiet_NaN();
  const std::vector<TypeParam> scores = {-TypeParam{0}, kNaN,       0, -kInfinity, kInfinity, -1,
                                         -kNaN,         -kInfinity, 0, kInfinity,  kNaN};
  for (int64_t top_k = 1; top_k <= static_cast<int64_t>(scores.size()); ++top_k) {
    this->Check(scores, 1, top_k);
  }
}

}  // namespace
}  // namespace equipoise::cpu
