#include "launcher/sweep/statistics.h"

#include <gtest/gtest.h>

#include <vector>

namespace equipoise::launcher {
namespace {

TEST(Statistics, StudentsBoundsAreThoseOfTheTables) {
  // Two-sided 95 %: printed tables, three digits behind the point.
  const std::vector<std::pair<int, double>> kTable = {{1, 12.706}, {2, 4.303},  {3, 3.182},
                                                      {4, 2.776},  {5, 2.571},  {9, 2.262},
                                                      {10, 2.228}, {30, 2.042}, {100, 1.984}};
  for (const auto& [degrees, bound] : kTable) {
    EXPECT_NEAR(StudentBound(0.95, degrees), bound, 0.0005) << degrees;
  }
  EXPECT_NEAR(StudentBound(0.99, 7), 3.499, 0.0005);
  EXPECT_NEAR(StudentBound(0.5, 1), 1.0, 1e-12);  // Cauchy: its quartile
}

TEST(Statistics, IntervalOfThreeValuesByHand) {
  // Mean 2, standard deviation 1, so 4.303 / sqrt(3).
  const auto interval = Summarise(std::vector<double>{1.0, 3.0, 2.0});
  ASSERT_TRUE(interval.has_value());
  EXPECT_EQ(interval->count, 3);
  EXPECT_DOUBLE_EQ(interval->mean, 2.0);
  ASSERT_TRUE(interval->half_width.has_value());
  EXPECT_NEAR(*interval->half_width, 2.4841, 0.0001);
}

TEST(Statistics, OneValueHasNoInterval) {
  const auto one = Summarise(std::vector<double>{4.0});
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->mean, 4.0);
  EXPECT_FALSE(one->half_width.has_value());
  EXPECT_FALSE(Summarise(std::vector<double>{}).has_value());
}

TEST(Statistics, Median) {
  EXPECT_EQ(Median({3.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(Median({4.0, 1.0, 2.0, 3.0}), 2.5);
  EXPECT_FALSE(Median({}).has_value());
}

}  // namespace
}  // namespace equipoise::launcher
