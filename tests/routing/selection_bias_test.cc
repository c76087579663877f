#include "routing/selection_bias.h"

#include <cmath>
#include <numeric>
#include <vector>

#include "gtest/gtest.h"
#include "routing/load_stats.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::SetDoubles;
using testing_support::TestContext;

std::vector<double> StateOf(const SelectionBias& bias) {
  return {bias.state().begin(), bias.state().end()};
}

TEST(SelectionBiasTest, SignMovesByTheRate) {
  SelectionBias bias({.rule = BiasRule::kSign, .rate = 0.25}, 4, 2);
  bias.EndStep(std::vector<double>{5, 1, 3, 3}, {}, 6);
  EXPECT_EQ(StateOf(bias), (std::vector<double>{-0.25, 0.25, 0.0, 0.0}));
  SelectionBias centred({.rule = BiasRule::kSign, .rate = 0.25, .centre = true}, 4, 2);
  centred.EndStep(std::vector<double>{9, 1, 1, 1}, {}, 6);
  EXPECT_EQ(StateOf(centred), (std::vector<double>{-0.375, 0.125, 0.125, 0.125}));
}

TEST(SelectionBiasTest, ProportionalIsClampedAndCentred) {
  SelectionBias bias({.rule = BiasRule::kProportional, .rate = 0.4}, 4, 2);
  // Mean 3: lacks of -2 (clamped to -1), 2/3, 2/3, 2/3 of the mean.
  bias.EndStep(std::vector<double>{9, 1, 1, 1}, {}, 6);
  const double up = 0.4 * 2.0 / 3.0;
  const double mean = (3.0 * up - 0.4) / 4.0;
  EXPECT_TRUE(AllClose(StateOf(bias),
                       std::vector<double>{-0.4 - mean, up - mean, up - mean, up - mean}, 1e-15));
}

TEST(SelectionBiasTest, NoTokensMoveNothing) {
  for (const BiasRule rule : {BiasRule::kSign, BiasRule::kProportional, BiasRule::kQuantile}) {
    SelectionBias bias({.rule = rule, .rate = 0.5}, 3, 1);
    const std::vector<double> sums(static_cast<size_t>(bias.num_statistics()), 0.0);
    bias.EndStep(std::vector<double>{0, 0, 0}, sums, 0);
    EXPECT_EQ(StateOf(bias), (std::vector<double>{0, 0, 0}));
  }
}

// One token a row; E 3, K 1, so alpha is the second largest and each expert is due T / 3 tokens.
TEST(SelectionBiasTest, QuantileIsThatOfTheMargins) {
  TestContext context;
  SelectionBias bias({.rule = BiasRule::kQuantile, .rate = 1.0, .bins = 4096}, 3, 1);
  const std::vector<double> scores = {0.9, 0.5, 0.1,   // margins .4 0 -.4
                                      0.8, 0.2, 0.6,   // .2 -.4 0
                                      0.7, 0.6, 0.0};  // .1 0 -.6
  const TensorView ranking = context.Make(DType::kF64, {3, 3}, scores);
  std::vector<double> sums(static_cast<size_t>(bias.num_statistics()), 0.0);
  bias.Accumulate(context.context(), ranking, sums);
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), 0.0), 9.0);
  bias.EndStep(std::vector<double>{3, 0, 0}, sums, 3);
  // What exactly one token exceeds: somewhere in the interval of the largest margin, whose width
  // is range * 4 / bins * sqrt(margin / range) at most, plus one interval's around zero.
  EXPECT_NEAR(bias.state()[0], -0.4, 4.0 / 4096);
  EXPECT_NEAR(bias.state()[1], 0.0, 4.0 / 4096);
  EXPECT_NEAR(bias.state()[2], 0.0, 4.0 / 4096);
}

TEST(SelectionBiasTest, AllExpertsNeedNoHistogram) {
  SelectionBias bias({.rule = BiasRule::kQuantile, .rate = 1.0}, 3, 3);
  EXPECT_EQ(bias.num_statistics(), 0);
  bias.EndStep(std::vector<double>{2, 2, 2}, {}, 2);
  EXPECT_EQ(StateOf(bias), (std::vector<double>{0, 0, 0}));
}

TEST(SelectionBiasTest, ChecksItsOptions) {
  EXPECT_TRUE(CheckSelectionBias({}).ok());
  for (const SelectionBiasOptions& options :
       {SelectionBiasOptions{.rule = BiasRule::kSign, .rate = 0.0},
        SelectionBiasOptions{.rule = BiasRule::kSign, .rate = NAN},
        SelectionBiasOptions{.rule = BiasRule::kQuantile, .rate = 1.5},
        SelectionBiasOptions{.rule = BiasRule::kQuantile, .rate = 1.0, .bins = 7},
        SelectionBiasOptions{.rule = BiasRule::kQuantile, .rate = 1.0, .range = 0.0}}) {
    EXPECT_EQ(CheckSelectionBias(options).code(), absl::StatusCode::kInvalidArgument);
  }
}

// Tokens of a skewed gate, the same in every step: the loop must find biases that even the load.
double GiniAfter(RouterOptions options, int steps) {
  RouterFixture fixture(options, DType::kF64);
  // A common direction makes some experts popular.
  std::vector<double> x = testing_support::ToDoubles(fixture.NormalPass(2048, 64, 5).x);
  for (size_t i = 0; i < x.size(); i += static_cast<size_t>(options.hidden)) x[i] += 2.0;
  const RouterPass pass = fixture.MakePass(x, 64);
  for (int step = 0; step < steps; ++step) {
    fixture.Forward(pass);
    fixture.router().EndStep(fixture.test_context().context(), pass.sums(), 2048);
  }
  fixture.Forward(pass);
  const auto sums = pass.sums();
  return ComputeLoadStats(std::span(sums).first(static_cast<size_t>(options.num_experts))).gini;
}

TEST(SelectionBiasTest, EveryRuleEvensTheLoad) {
  const double before = GiniAfter(OptionsOf("aux_free_bias", 8, 16, 2), 0);
  EXPECT_GT(before, 0.3);
  RouterOptions sign = OptionsOf("aux_free_bias", 8, 16, 2);
  sign.settings.Set("rate", 0.004);  // around balance the load chatters in proportion to it
  EXPECT_LT(GiniAfter(sign, 300), 0.05);
  RouterOptions proportional = sign;
  proportional.settings.Set("rule", std::string("PROPORTIONAL"));
  proportional.settings.Set("rate", 0.05);
  EXPECT_LT(GiniAfter(proportional, 100), 0.05);
  for (const char* score : {"SIGMOID", "SOFTMAX"}) {
    RouterOptions quantile = OptionsOf("quantile_balancing", 8, 16, 2);
    quantile.settings.Set("score", std::string(score));
    EXPECT_LT(GiniAfter(quantile, 30), 0.02) << score;
    // Margins do not know of groups, so the loop gets near balance only.
    SetGroups(4, 2, "TOP_TWO_SUM", quantile.settings);
    EXPECT_LT(GiniAfter(quantile, 30), 0.5 * before) << score;
  }
  SetGroups(4, 2, "TOP_TWO_SUM", proportional.settings);
  EXPECT_LT(GiniAfter(proportional, 100), 0.1);
}

// Gates are of the scores without the bias; a bias large enough chooses against the scores.
TEST(SelectionBiasTest, ChangesTheChoiceAndNotTheGates) {
  RouterOptions options = OptionsOf("aux_free_bias", 3, 3, 1);
  options.settings.Set("renormalise", false);
  RouterFixture fixture(options, DType::kF64);
  SetDoubles(fixture.weight().value(), std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 1});
  const RouterPass pass = fixture.MakePass(std::vector<double>{2, 1, 0}, 1);
  ASSERT_TRUE(fixture.router().SetState(std::vector<double>{-0.5, 0.0, 0.0}).ok());
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), std::vector<int32_t>{1});
  EXPECT_NEAR(pass.gates()[0], 1.0 / (1.0 + std::exp(-1.0)), 1e-15);
}

}  // namespace
}  // namespace equipoise::routing
