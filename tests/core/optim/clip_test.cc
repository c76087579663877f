#include "core/optim/clip.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace equipoise {
namespace {

TEST(ClipFactorTest, LeavesSmallGradientsAlone) {
  EXPECT_EQ(ClipFactor(0.0, 1.0), 1.0);
  EXPECT_EQ(ClipFactor(0.5, 1.0), 1.0);
  // PyTorch's 1e-6 makes a gradient just below the limit a little smaller too.
  EXPECT_LT(ClipFactor(1.0, 1.0), 1.0);
}

TEST(ClipFactorTest, BringsLargeOnesDown) {
  EXPECT_DOUBLE_EQ(ClipFactor(4.0, 1.0), 1.0 / 4.000001);
  EXPECT_NEAR(4.0 * ClipFactor(4.0, 0.5), 0.5, 1e-6);
}

TEST(ClipFactorTest, NaNStaysVisible) {
  EXPECT_TRUE(std::isnan(ClipFactor(std::numeric_limits<double>::quiet_NaN(), 1.0)));
}

TEST(ClipFactorDeathTest, LimitMustBePositive) {
  EXPECT_DEATH(ClipFactor(1.0, 0.0), "0 against 0");
}

}  // namespace
}  // namespace equipoise
