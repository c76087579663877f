#include "routing/capacity_floor.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "gtest/gtest.h"

namespace equipoise::routing {
namespace {

// P(|cosine| >= c) of an even direction in d dimensions, by its density (1 - x^2)^((d - 3) / 2):
// Simpson's rule with x = sin(angle), where the integrand is cos(angle)^(d - 2).
double TailByIntegration(int64_t dimensions, double cosine) {
  const auto integral = [&](double from) {
    constexpr int kIntervals = 20000;
    const double width = (std::numbers::pi / 2.0 - from) / kIntervals;
    double sum = 0.0;
    for (int i = 0; i <= kIntervals; ++i) {
      const double weight = i == 0 || i == kIntervals ? 1.0 : i % 2 == 1 ? 4.0 : 2.0;
      sum += weight * std::pow(std::cos(from + i * width), static_cast<double>(dimensions - 2));
    }
    return sum * width / 3.0;
  };
  return integral(std::asin(cosine)) / integral(0.0);
}

TEST(CapacityFloorTest, IsKnownOnTheCircleAndTheSphere) {
  for (const double cosine : {1e-3, 0.1, 0.3, 0.5, 0.77, 0.999}) {
    const double circle = 1.0 - 2.0 / std::numbers::pi * std::asin(cosine);
    EXPECT_NEAR(CapacityFloor(1, 2, cosine) * circle, 1.0, 1e-12) << cosine;
    EXPECT_NEAR(CapacityFloor(5, 3, cosine) * 5.0 * (1.0 - cosine), 1.0, 1e-12) << cosine;
  }
}

TEST(CapacityFloorTest, AgreesWithTheIntegral) {
  for (const int64_t dimensions : {4, 7, 16, 65, 256, 1024}) {
    for (const double cosine : {0.01, 0.03, 0.1, 0.25, 0.6}) {
      const double expected = 1.0 / (8.0 * TailByIntegration(dimensions, cosine));
      if (expected > 1e12) continue;  // beyond what the integral resolves
      EXPECT_NEAR(CapacityFloor(8, dimensions, cosine) / expected, 1.0, 1e-9)
          << dimensions << " dimensions, cosine " << cosine;
    }
  }
}

// The paper's own case, 16 experts and a cosine of 0.03 in 5120 dimensions, and its bounds for many
// dimensions: erfc(sqrt(x)) < exp(-x), x = d c^2 / (2 - c^2).
TEST(CapacityFloorTest, HasThePapersSize) {
  EXPECT_NEAR(CapacityFloor(16, 5120, 0.03), 1.97, 0.01);
  for (const double cosine : {0.01, 0.03, 0.05}) {
    const double x = 5120 * cosine * cosine / (2.0 - cosine * cosine);
    // What the form for many dimensions leaves out.
    const double error = cosine * cosine + 1.0 / 5120;
    EXPECT_NEAR(CapacityFloor(16, 5120, cosine) * 16.0 * std::erfc(std::sqrt(x)), 1.0, error);
    EXPECT_GT(CapacityFloor(16, 5120, cosine), std::exp(x) / 16.0);
  }
}

TEST(CapacityFloorTest, GrowsWithTheCosineFromOneOverE) {
  for (const double cosine : {0.0, -0.0, -0.4, -1.0, 1e-200}) {
    EXPECT_EQ(CapacityFloor(4, 64, cosine), 0.25) << cosine;
  }
  double last = 0.25;
  for (double cosine = 0.01; cosine < 1.0; cosine += 0.01) {
    const double floor = CapacityFloor(4, 64, cosine);
    EXPECT_GT(floor, last) << cosine;
    last = floor;
  }
  EXPECT_EQ(CapacityFloor(4, 64, 1.0), std::numeric_limits<double>::infinity());
  EXPECT_EQ(CapacityFloor(4, 64, 1.0 + 1e-7), std::numeric_limits<double>::infinity());
  EXPECT_EQ(CapacityFloor(4, 100000, 0.9), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(CapacityFloor(4, 64, std::numeric_limits<double>::quiet_NaN())));
}

TEST(CapacityClampTest, LiftsACapacityToTheFloorAndNoFurther) {
  RouteAngles angles;
  for (const double cosine : {0.2, 0.3, 0.1}) angles.Add(cosine);
  EXPECT_NEAR(angles.mean(), 0.2, 1e-15);
  EXPECT_EQ(angles.largest, 0.3);
  CapacityClamp clamp = {8, 256, 2.0};
  const double floor = CapacityFloor(8, 256, 0.2);
  EXPECT_NEAR(clamp.Floor(angles, 1000), floor, 1e-9 * floor);
  const auto least = static_cast<int64_t>(std::ceil(2.0 * floor));
  ASSERT_GT(least, 10);
  EXPECT_EQ(clamp.Apply(1, angles, 1000000), least);
  EXPECT_EQ(clamp.Apply(least + 3, angles, 1000000), least + 3);
  EXPECT_EQ(clamp.Apply(1, angles, 7), 7) << "no more than there are tokens";
  EXPECT_EQ(clamp.Floor(angles, 7), 7.0);
  clamp.safety = 0.0;
  EXPECT_EQ(clamp.Apply(1, angles, 1000), 1);
  clamp = {8, 0, 2.0};
  EXPECT_EQ(clamp.Apply(1, angles, 1000), 1);
  angles.Add(std::numeric_limits<double>::quiet_NaN());
  clamp = {8, 256, 2.0};
  EXPECT_EQ(clamp.Apply(3, angles, 1000), 3);
  EXPECT_EQ(CapacityClamp({8, 256, 2.0}).Apply(1, {}, 1000), 1) << "no copies";
}

}  // namespace
}  // namespace equipoise::routing
