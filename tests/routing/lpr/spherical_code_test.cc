#include "routing/lpr/spherical_code.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "routing/load_stats.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::EuclideanNorm;
using testing_support::SameBits;

double LargestCosine(const std::vector<double>& points, size_t n) {
  double largest = -1.0;
  for (size_t i = 0; i < points.size(); i += n) {
    for (size_t j = 0; j < i; j += n) {
      largest =
          std::max(largest, std::inner_product(points.begin() + static_cast<ptrdiff_t>(i),
                                               points.begin() + static_cast<ptrdiff_t>(i + n),
                                               points.begin() + static_cast<ptrdiff_t>(j), 0.0));
    }
  }
  return largest;
}

TEST(SphericalCodeTest, IsOfUnitVectorsAndRepeatsItself) {
  for (const int64_t dimensions : {1, 2, 5, 16}) {
    for (const int64_t count : {1, 2, 7, 33}) {
      const auto points = SphericalCode(count, dimensions);
      ASSERT_EQ(points.size(), static_cast<size_t>(count * dimensions));
      const size_t n = static_cast<size_t>(dimensions);
      for (size_t i = 0; i < points.size(); i += n) {
        EXPECT_NEAR(EuclideanNorm(std::span(points).subspan(i, n)), 1.0, 1e-12);
      }
      EXPECT_TRUE(SameBits(points, SphericalCode(count, dimensions)));
    }
  }
}

// Codes whose best is known: a simplex, and the two ends of each axis.
TEST(SphericalCodeTest, FindsKnownCodes) {
  EXPECT_NEAR(LargestCosine(SphericalCode(2, 3), 3), -1.0, 1e-3);
  EXPECT_NEAR(LargestCosine(SphericalCode(4, 3), 3), -1.0 / 3.0, 1e-3);
  EXPECT_NEAR(LargestCosine(SphericalCode(6, 3), 3), 0.0, 1e-2);
}

// Isotropic tokens that take the 8 nearest of 64: as even as luck allows, where random points leave
// a Gini of about .035.
TEST(SphericalCodeTest, GivesIsotropicTokensAnEvenLoad) {
  constexpr size_t kCount = 64, kDimensions = 16, kTopK = 8;
  constexpr int64_t kTokens = 20000;
  const auto points = SphericalCode(kCount, kDimensions);
  EXPECT_LT(LargestCosine(points, kDimensions), 0.25);  // .8 for random points
  const Philox draws(StreamKey(7, "tokens"));
  std::vector<double> load(kCount, 0.0);
  for (int64_t t = 0; t < kTokens; ++t) {
    std::vector<std::pair<double, size_t>> scores;
    std::vector<double> token;
    for (size_t d = 0; d < kDimensions; ++d) {
      token.push_back(draws.Normal(static_cast<uint64_t>(t), d));
    }
    for (size_t e = 0; e < kCount; ++e) {
      scores.emplace_back(
          -std::inner_product(token.begin(), token.end(),
                              points.begin() + static_cast<ptrdiff_t>(e * kDimensions), 0.0),
          e);
    }
    std::nth_element(scores.begin(), scores.begin() + kTopK, scores.end());
    for (size_t k = 0; k < kTopK; ++k) load[scores[k].second] += 1.0;
  }
  const double floor = SamplingFloor(kTokens, kCount, kTopK).gini;
  EXPECT_LT(ComputeLoadStats(load).gini, floor + 0.006);
}

}  // namespace
}  // namespace equipoise::routing
