#include "routing/lpr/latent_noise.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/lpr/lpr_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::SameBits;

TEST(LatentNoiseTest, IsAFunctionOfSeedLayerStepAndToken) {
  const auto draw = [](uint64_t seed, int layer, int64_t step, int64_t token) {
    RouterOptions router = LprRouterOptions(4, 2, 1);
    router.seed = seed;
    router.layer = layer;
    std::vector<double> noise(5);
    MakeLatentNoise(router)->Draw(step, token, noise);
    return noise;
  };
  const auto noise = draw(1, 2, 3, 4);
  EXPECT_TRUE(SameBits(draw(1, 2, 3, 4), noise));
  EXPECT_NE(draw(2, 2, 3, 4), noise);
  EXPECT_NE(draw(1, 3, 3, 4), noise);
  EXPECT_NE(draw(1, 2, 4, 4), noise);
  EXPECT_NE(draw(1, 2, 3, 5), noise);
}

// Moments of n draws, each within five standard errors; neighbours do not go together.
TEST(LatentNoiseTest, IsStandardNormal) {
  constexpr int64_t kTokens = 4000;
  constexpr size_t kDimensions = 7;  // not a multiple of what a counter gives
  const auto noise = MakeLatentNoise(LprRouterOptions(4, 2, 1));
  double sum = 0.0, squares = 0.0, fourths = 0.0, products = 0.0;
  for (int64_t t = 0; t < kTokens; ++t) {
    std::vector<double> row(kDimensions);
    noise->Draw(1, t, row);
    for (size_t d = 0; d < kDimensions; ++d) {
      const double square = row[d] * row[d];
      sum += row[d];
      squares += square;
      fourths += square * square;
      if (d > 0) products += row[d] * row[d - 1];
    }
  }
  const double n = static_cast<double>(kTokens * kDimensions);
  const double error = 5.0 / std::sqrt(n);
  EXPECT_NEAR(sum / n, 0.0, error);
  EXPECT_NEAR(squares / n, 1.0, std::sqrt(2.0) * error);
  EXPECT_NEAR(fourths / n, 3.0, std::sqrt(96.0) * error);
  EXPECT_NEAR(products / n, 0.0, error);
}

}  // namespace
}  // namespace equipoise::routing
