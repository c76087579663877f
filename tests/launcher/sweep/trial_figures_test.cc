// Figures of a metrics.jsonl against numbers worked out by hand.

#include "launcher/sweep/trial_figures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <string>

#include "absl/strings/str_format.h"

namespace equipoise::launcher {
namespace {

// A step of 8 tokens that go to one expert each, in two layers of two experts.
std::string Row(int step, double loss, int first, int second, const std::string& more = "") {
  return absl::StrFormat(
      "{\"step\":%d,\"tokens\":%d,\"cross_entropy\":%g,\"tokens_per_second\":%d,"
      "\"step_seconds\":2,\"time\":{\"route\":0.5,\"dispatch\":0.25,\"combine\":0.15},"
      "\"moe\":[{\"layer\":1,\"counts\":[%d,%d]},{\"layer\":2,\"counts\":[%d,%d]}]%s}\n",
      step, 8 * step, loss, 100 * step, first, 8 - first, second, 8 - second, more);
}

TrialFigures Read(const std::string& text, int window) {
  std::istringstream stream(text);
  return TrialFigures::Read(stream, window);
}

TEST(TrialFigures, TheWindowIsSummedBeforeItIsJudged) {
  // Layer 1 leans to either side in turn and is even over both steps: 8, 8. Layer 2: 12, 4.
  const TrialFigures figures =
      Read(Row(1, 9.0, 8, 0) + Row(2, 3.0, 8, 6) + Row(3, 1.0, 0, 6), /*window=*/2);
  EXPECT_EQ(figures.last_step(), 3);
  EXPECT_EQ(figures.num_steps(), 2);
  EXPECT_EQ(figures.num_skipped(), 0);
  EXPECT_DOUBLE_EQ(*figures[Figure::kTrainingLoss], 2.0);
  // Gini of two numbers a >= b: (a - b) / (2 (a + b)).
  EXPECT_DOUBLE_EQ(*figures[Figure::kGiniMean], 0.125);
  EXPECT_DOUBLE_EQ(*figures[Figure::kGiniWorst], 0.25);
  EXPECT_DOUBLE_EQ(*figures[Figure::kMinMaxMean], (1.0 + 1.0 / 3.0) / 2);
  EXPECT_DOUBLE_EQ(*figures[Figure::kMinMaxWorst], 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(*figures[Figure::kMaxOverMeanMean], 1.25);
  EXPECT_DOUBLE_EQ(*figures[Figure::kMaxOverMeanWorst], 1.5);
  // 16 tokens, one of two experts: CV = sqrt((1 - 1/2) / 8) = 0.25.
  EXPECT_NEAR(*figures[Figure::kGiniFloor], 0.25 / std::sqrt(M_PI), 1e-12);
  EXPECT_NEAR(*figures[Figure::kMaxOverMeanFloor], 1.0 + 0.25 * std::sqrt(2.0 * std::log(2.0)),
              1e-12);
  EXPECT_DOUBLE_EQ(*figures[Figure::kTokensPerSecond], 250.0);
  EXPECT_DOUBLE_EQ(*figures[Figure::kRouteShare], 0.25);
  EXPECT_DOUBLE_EQ(*figures[Figure::kExchangeShare], 0.2);
}

TEST(TrialFigures, BytesAreThoseThatLeaveTheRank) {
  const auto row = [](int step, int remote) {
    return absl::StrFormat(
        "{\"step\":%d,\"tokens\":%d,\"cross_entropy\":1,\"moe\":[{\"layer\":0,\"exchange\":"
        "{\"self_bytes\":999,\"node_bytes\":16,\"remote_bytes\":%d}},{\"layer\":1,\"exchange\":"
        "{\"self_bytes\":999,\"node_bytes\":0,\"remote_bytes\":8}}]}\n",
        step, 8 * step, remote);
  };
  // Of the last two steps, 16 tokens.
  const TrialFigures figures = Read(row(1, 0) + row(2, 40) + row(3, 16), /*window=*/2);
  EXPECT_DOUBLE_EQ(*figures[Figure::kBytesPerToken], (16.0 + 40 + 8 + 16 + 16 + 8) / 16);
  EXPECT_FALSE(Read(Row(1, 3.0, 4, 4), 2)[Figure::kBytesPerToken].has_value());
}

TEST(TrialFigures, AWindowLongerThanTheRunIsTheRun) {
  const TrialFigures figures = Read(Row(1, 3.0, 4, 4), /*window=*/100);
  EXPECT_EQ(figures.num_steps(), 1);
  EXPECT_DOUBLE_EQ(*figures[Figure::kGiniMean], 0.0);
  EXPECT_NEAR(*figures[Figure::kGiniFloor], std::sqrt(0.5 / 4.0) / std::sqrt(M_PI), 1e-12);
}

TEST(TrialFigures, TheLastValidationCounts) {
  const std::string kFirst = "{\"step\":0,\"tokens\":0,\"validation\":{\"loss\":5.5}}\n";
  const std::string kMoe = R"(,"validation":{"loss":4.5,"bits_per_byte":6.5,"moe":[)"
                           R"({"layer":1,"counts":[30,10],"floor_gini":0.1,"floor_min_max":0.9,)"
                           R"("floor_max_over_mean":1.1}]})";
  const TrialFigures figures =
      Read(kFirst + Row(1, 3.0, 4, 4, kMoe) + Row(2, 2.0, 4, 4), /*window=*/1);
  EXPECT_DOUBLE_EQ(*figures[Figure::kValidationLoss], 4.5);
  EXPECT_DOUBLE_EQ(*figures[Figure::kBitsPerByte], 6.5);
  EXPECT_DOUBLE_EQ(*figures[Figure::kHeldOutGiniMean], 0.25);
  EXPECT_DOUBLE_EQ(*figures[Figure::kHeldOutGiniFloor], 0.1);
  EXPECT_DOUBLE_EQ(*figures[Figure::kHeldOutMinMaxWorst], 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(*figures[Figure::kHeldOutMaxOverMeanWorst], 1.5);
}

TEST(TrialFigures, WhatIsNotThereIsAbsent) {
  const TrialFigures empty = Read("", /*window=*/10);
  for (size_t f = 0; f < kNumFigures; ++f) {
    EXPECT_FALSE(empty[static_cast<Figure>(f)].has_value()) << Name(static_cast<Figure>(f));
  }
  // A dense model without validation.
  const TrialFigures dense =
      Read("{\"step\":1,\"tokens\":8,\"cross_entropy\":2,\"moe\":[]}\n", /*window=*/10);
  EXPECT_DOUBLE_EQ(*dense[Figure::kTrainingLoss], 2.0);
  for (const Figure figure :
       {Figure::kGiniMean, Figure::kGiniFloor, Figure::kValidationLoss, Figure::kHeldOutGiniMean,
        Figure::kTokensPerSecond, Figure::kRouteShare}) {
    EXPECT_FALSE(dense[figure].has_value()) << Name(figure);
  }
}

TEST(TrialFigures, LinesThatCannotBeReadAreCounted) {
  std::string half = Row(3, 7.0, 4, 4);
  half.resize(half.size() / 2);
  const TrialFigures figures =
      Read(Row(1, 3.0, 4, 4) + "\n{\"cross_entropy\":}\nnoise\n" + Row(2, 2.0, 4, 4) + half,
           /*window=*/2);
  EXPECT_EQ(figures.num_skipped(), 3);
  EXPECT_EQ(figures.last_step(), 2);
  EXPECT_DOUBLE_EQ(*figures[Figure::kTrainingLoss], 2.0);
}

TEST(TrialFigures, EveryFigureHasAName) {
  for (size_t f = 0; f < kNumFigures; ++f) {
    ASSERT_NE(Name(static_cast<Figure>(f)), nullptr) << f;
  }
}

}  // namespace
}  // namespace equipoise::launcher
