#include "routing/load_stats.h"

#include <cmath>
#include <tuple>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"

namespace equipoise::routing {
namespace {

TEST(LoadStatsTest, EvenLoad) {
  const LoadStats stats = ComputeLoadStats(std::vector<double>(16, 3.0));
  EXPECT_NEAR(stats.gini, 0.0, 1e-15);
  EXPECT_EQ(stats.min_max, 1.0);
  EXPECT_EQ(stats.max_over_mean, 1.0);
  EXPECT_EQ(stats.cv, 0.0);
  EXPECT_NEAR(stats.entropy, 1.0, 1e-15);
  EXPECT_EQ(stats.dead, 0);
}

TEST(LoadStatsTest, EverythingOnOne) {
  std::vector<double> load(8, 0.0);
  load[3] = 5.0;
  const LoadStats stats = ComputeLoadStats(load);
  EXPECT_NEAR(stats.gini, 7.0 / 8.0, 1e-15);
  EXPECT_EQ(stats.min_max, 0.0);
  EXPECT_EQ(stats.max_over_mean, 8.0);
  EXPECT_NEAR(stats.cv, std::sqrt(7.0), 1e-14);
  EXPECT_EQ(stats.entropy, 0.0);
  EXPECT_EQ(stats.dead, 7);
}

TEST(LoadStatsTest, GoldenCase) {
  // Mean absolute difference of all ordered pairs: (1 + 2 + 3 + 1 + 2 + 1) * 2 / 16 = 1.25, over
  // twice the mean of 2.5.
  const LoadStats stats = ComputeLoadStats(std::vector<double>{4, 1, 3, 2});
  EXPECT_NEAR(stats.gini, 0.25, 1e-15);
  EXPECT_EQ(stats.min_max, 0.25);
  EXPECT_EQ(stats.max_over_mean, 1.6);
  EXPECT_NEAR(stats.cv, std::sqrt(1.25) / 2.5, 1e-15);
  double entropy = 0.0;
  for (const double share : {0.4, 0.1, 0.3, 0.2}) entropy -= share * std::log(share);
  EXPECT_NEAR(stats.entropy, entropy / std::log(4.0), 1e-15);
}

TEST(LoadStatsTest, NoLoadAndOneEntry) {
  const LoadStats none = ComputeLoadStats(std::vector<double>(5, 0.0));
  EXPECT_EQ(none.gini, 0.0);
  EXPECT_EQ(none.min_max, 1.0);
  EXPECT_EQ(none.max_over_mean, 1.0);
  EXPECT_EQ(none.entropy, 1.0);
  EXPECT_EQ(none.dead, 5);
  const LoadStats one = ComputeLoadStats(std::vector<double>{7.0});
  EXPECT_EQ(one.gini, 0.0);
  EXPECT_EQ(one.entropy, 1.0);
  EXPECT_EQ(ComputeLoadStats({}).dead, 0);
}

TEST(SamplingFloorTest, HasTheStatedFormulas) {
  const LoadStats floor = SamplingFloor(8192, 128, 8);
  const double cv = std::sqrt((1.0 - 8.0 / 128.0) / 512.0);
  EXPECT_NEAR(floor.cv, cv, 1e-15);
  EXPECT_NEAR(floor.gini, cv / std::sqrt(M_PI), 1e-15);
  EXPECT_NEAR(floor.max_over_mean, 1.0 + cv * std::sqrt(2.0 * std::log(128.0)), 1e-15);
  EXPECT_EQ(floor.dead, 0);
  EXPECT_EQ(SamplingFloor(0, 4, 2).dead, 4);
  // Choosing all experts leaves nothing to luck.
  EXPECT_EQ(SamplingFloor(5, 4, 4).gini, 0.0);
  EXPECT_EQ(SamplingFloor(5, 4, 4).min_max, 1.0);
  EXPECT_EQ(SamplingFloor(5, 1, 1).max_over_mean, 1.0);
}

TEST(SamplingFloorTest, TakesTheCopiesThatThereAre) {
  EXPECT_EQ(SamplingFloor(100, 8, 0.0).dead, 8);
  EXPECT_EQ(SamplingFloor(100, 8, 0.0).gini, 0.0);
  const double cv = std::sqrt((1.0 - 0.5 / 8.0) / (100 * 0.5 / 8.0));
  EXPECT_NEAR(SamplingFloor(100, 8, 0.5).cv, cv, 1e-15);
  EXPECT_GT(SamplingFloor(100, 8, 1.5).cv, SamplingFloor(100, 8, 2).cv);
  EXPECT_LT(SamplingFloor(100, 8, 1.5).cv, SamplingFloor(100, 8, 1).cv);
}

// Mean figures of loads drawn by choosing K of E experts uniformly, without replacement; every
// other token chooses `more` besides.
LoadStats Simulated(int64_t tokens, int num_experts, int top_k, int rounds, int more = 0) {
  LoadStats mean{0.0, 0.0, 0.0, 0.0, 0.0, 0};
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> load(static_cast<size_t>(num_experts), 0.0);
    for (int64_t t = 0; t < tokens; ++t) {
      const uint64_t key =
          StreamKey(static_cast<uint64_t>(round), "simulation") + static_cast<uint64_t>(t);
      for (int k = 0; k < top_k + (t % 2 == 0 ? more : 0); ++k) {
        load[PermutedIndex(key, static_cast<uint64_t>(k), static_cast<uint64_t>(num_experts))] +=
            1.0;
      }
    }
    const LoadStats stats = ComputeLoadStats(load);
    mean.gini += stats.gini / rounds;
    mean.min_max += stats.min_max / rounds;
    mean.max_over_mean += stats.max_over_mean / rounds;
    mean.cv += stats.cv / rounds;
    mean.entropy += stats.entropy / rounds;
  }
  return mean;
}

TEST(SamplingFloorTest, AgreesWithSimulation) {
  constexpr int kRounds = 40;
  for (const auto& [tokens, experts, top_k] :
       {std::tuple{4096, 64, 1}, std::tuple{1024, 64, 8}, std::tuple{512, 128, 4}}) {
    SCOPED_TRACE(::testing::Message() << "T=" << tokens << " E=" << experts << " K=" << top_k);
    const LoadStats floor = SamplingFloor(tokens, experts, top_k);
    const LoadStats simulated = Simulated(tokens, experts, top_k, kRounds);
    // The relative error of a mean CV is 1 / sqrt(2 E rounds), below 1.5% here, and CV of E draws
    // is low by 1 / (2 E); four such deviations.
    EXPECT_NEAR(simulated.cv, floor.cv, 0.06 * floor.cv);
    EXPECT_NEAR(simulated.gini, floor.gini, 0.06 * floor.gini);
    EXPECT_NEAR(1.0 - simulated.entropy, 1.0 - floor.entropy, 0.12 * (1.0 - floor.entropy));
    // sqrt(2 ln E) is the limit for many experts, about a quarter above the mean for E = 64.
    EXPECT_LT(simulated.max_over_mean, floor.max_over_mean);
    EXPECT_GT(simulated.max_over_mean - 1.0, 0.7 * (floor.max_over_mean - 1.0));
    EXPECT_GT(simulated.min_max, floor.min_max);
    EXPECT_LT(1.0 - simulated.min_max, 1.0 - floor.min_max);
    EXPECT_GT(1.0 - simulated.min_max, 0.7 * (1.0 - floor.min_max));
  }
}

TEST(SamplingFloorTest, AgreesWithSimulationOfTokensWithOneOrThreeCopies) {
  const LoadStats floor = SamplingFloor(2048, 64, 2.0);
  const LoadStats simulated = Simulated(2048, 64, 1, 40, /*more=*/2);
  EXPECT_NEAR(simulated.cv, floor.cv, 0.06 * floor.cv);
  EXPECT_NEAR(simulated.gini, floor.gini, 0.06 * floor.gini);
}

}  // namespace
}  // namespace equipoise::routing
