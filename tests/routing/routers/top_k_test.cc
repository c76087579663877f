#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/reference_router.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::Epsilon;
using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

// Bound on the error of a gate or probability: logits of a few units from H products, then
// exponentials and sums over E.
double ScoreTolerance(DType dtype, const RouterOptions& options) {
  return Epsilon(dtype) * static_cast<double>(4 * options.hidden + options.num_experts + 16);
}

using Rule = std::tuple<const char*, const char*, bool, double>;

class TopKRuleTest : public ::testing::TestWithParam<std::tuple<Rule, DType>> {
 protected:
  RouterOptions Options(int num_experts, int top_k) const {
    RouterOptions options = TopKOptions(7, num_experts, top_k);
    const auto [score, selection, renormalise, factor] = std::get<0>(GetParam());
    options.settings = TopKSettings(score, selection, renormalise, factor);
    options.balance_loss = {0.01, LossScope::kGlobalBatch};
    options.z_loss = {0.001};
    return options;
  }
  DType dtype() const { return std::get<1>(GetParam()); }

  void ExpectAsDefined(RouterFixture& fixture, const RouterPass& pass) {
    const RouterOptions& options = fixture.options();
    const auto expected =
        RouteByDefinition(options, ToDoubles(pass.x), ToDoubles(fixture.weight().value()));
    const double tolerance = ScoreTolerance(dtype(), options);
    const double tokens = static_cast<double>(pass.num_tokens());
    EXPECT_EQ(pass.ids(), expected.ids);
    EXPECT_TRUE(
        AllClose(pass.gates(), expected.gates, tolerance * std::get<3>(std::get<0>(GetParam()))));
    const auto sums = pass.sums();
    const size_t experts = static_cast<size_t>(options.num_experts);
    EXPECT_TRUE(SameBits(std::span(sums).first(experts), expected.counts));
    EXPECT_EQ(sums[experts], 0.0) << "dropped without a capacity";
    EXPECT_NEAR(sums[experts + 1], expected.entropy, 8.0 * tolerance * tokens);
    const auto losses = fixture.router().Losses(sums, pass.num_tokens(), sums, pass.num_tokens());
    ASSERT_EQ(losses.size(), 2u);
    EXPECT_EQ(losses[0].name, "balance");
    EXPECT_NEAR(losses[0].value, BalanceByDefinition(options, expected, pass.num_tokens()),
                0.01 * static_cast<double>(experts) * tolerance);
    EXPECT_EQ(losses[1].name, "z");
    EXPECT_NEAR(losses[1].value, expected.z_loss, 0.001 * 64.0 * tolerance);
  }
};

TEST_P(TopKRuleTest, MatchesItsDefinition) {
  for (const int num_experts : {1, 2, 5, 8, 19}) {
    for (const int top_k : {1, 2, 3, num_experts}) {
      if (top_k > num_experts) continue;
      for (const int64_t num_tokens : {1, 3, 8, 64, 131}) {
        SCOPED_TRACE(::testing::Message()
                     << "E=" << num_experts << " K=" << top_k << " T=" << num_tokens);
        RouterFixture fixture(Options(num_experts, top_k), dtype(), 3);
        const RouterPass pass = fixture.NormalPass(num_tokens, 1, 5);
        ExpectAsDefined(fixture, pass);
      }
    }
  }
}

TEST_P(TopKRuleTest, GivesIdenticalTokensIdenticalExperts) {
  RouterFixture fixture(Options(8, 3), dtype());
  std::vector<double> x;
  for (int t = 0; t < 70; ++t) {
    for (int h = 0; h < 7; ++h) x.push_back(0.25 * h - 0.5);
  }
  const RouterPass pass = fixture.MakePass(x, 1);
  fixture.Forward(pass);
  ExpectAsDefined(fixture, pass);
}

INSTANTIATE_TEST_SUITE_P(
    All, TopKRuleTest,
    ::testing::Combine(::testing::Values(Rule{"SOFTMAX", "SCORE_ALL", true, 1.0},
                                         Rule{"SOFTMAX", "SCORE_ALL", false, 1.5},
                                         Rule{"SOFTMAX", "SCORE_SELECTED", false, 1.0},
                                         Rule{"SOFTMAX", "SCORE_SELECTED", true, 2.0},
                                         Rule{"SIGMOID", "SCORE_ALL", true, 2.5},
                                         Rule{"SIGMOID", "SCORE_ALL", false, 1.0},
                                         Rule{"SIGMOID", "SCORE_SELECTED", true, 1.0}),
                       ::testing::Values(DType::kF32, DType::kF64)));

// Logits ln 1, ln 2, ln 4, ln 3: softmax .1 .2 .4 .3, so experts 2 and 3 with gates 4/7 and 3/7.
TEST(TopKTest, GoldenCase) {
  RouterOptions options = TopKOptions(1, 4, 2);
  options.balance_loss = {0.5, LossScope::kGlobalBatch};
  options.z_loss = {2.0};
  RouterFixture fixture(options, DType::kF64);
  SetDoubles(fixture.weight().value(),
             std::vector<double>{0.0, std::log(2.0), std::log(4.0), std::log(3.0)});
  const RouterPass pass = fixture.MakePass(std::vector<double>{1.0, 1.0}, 2);
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{2, 3, 2, 3}));
  EXPECT_TRUE(AllClose(pass.gates(), std::vector<double>{4 / 7., 3 / 7., 4 / 7., 3 / 7.}, 1e-15));
  const double entropy =
      -(0.1 * std::log(0.1) + 0.2 * std::log(0.2) + 0.4 * std::log(0.4) + 0.3 * std::log(0.3));
  const double log_ten = std::log(10.0);
  EXPECT_TRUE(AllClose(
      pass.sums(),
      std::vector<double>{0, 0, 2, 2, 0, 2 * entropy, 0.2, 0.4, 0.8, 0.6, 2 * log_ten * log_ten},
      1e-14));
  // 0.5 * 4 * (1/2 * 0.4 + 1/2 * 0.3) = 0.7.
  const auto losses = fixture.router().Losses(pass.sums(), 2, pass.sums(), 2);
  EXPECT_NEAR(losses[0].value, 0.7, 1e-15);
  EXPECT_NEAR(losses[1].value, 2.0 * log_ten * log_ten, 1e-14);
  // The first step under accumulation knows no load.
  EXPECT_EQ(fixture.router().Losses(pass.sums(), 2, {}, 0)[0].value, 0.0);
}

TEST(TopKTest, TiesGoToTheLowestId) {
  RouterFixture fixture(TopKOptions(1, 6, 3), DType::kF32);
  SetDoubles(fixture.weight().value(), std::vector<double>{1, 2, 1, 2, 1, 2});
  const RouterPass pass = fixture.MakePass(std::vector<double>{1.0, -1.0, 0.0}, 1);
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{1, 3, 5, 0, 2, 4, 0, 1, 2}));
}

TEST(TopKTest, RoutesNoTokens) {
  RouterOptions options = TopKOptions(4, 5, 2);
  options.balance_loss = {0.01, LossScope::kSequence};
  options.capacity = {1.0};
  RouterFixture fixture(options, DType::kF32);
  const RouterPass pass = fixture.MakePass({}, 3);
  fixture.Forward(pass);
  EXPECT_EQ(pass.sums(), std::vector<double>(pass.sums().size(), 0.0));
  fixture.Backward(pass, {}, {}, 0, 0);
  EXPECT_EQ(fixture.router().Losses(pass.sums(), 0, {}, 0)[0].value, 0.0);
}

// Logits far beyond the range of exp, either way.
TEST(TopKTest, SurvivesHugeLogits) {
  for (const char* score : {"SOFTMAX", "SIGMOID"}) {
    RouterOptions options = TopKOptions(1, 3, 2);
    options.settings = TopKSettings(score, "SCORE_ALL", true, 1.0);
    options.balance_loss = {0.01, LossScope::kMicroBatch};
    options.z_loss = {1e-6};
    RouterFixture fixture(options, DType::kF32);
    SetDoubles(fixture.weight().value(), std::vector<double>{500, 600, 550});
    const RouterPass pass = fixture.MakePass(std::vector<double>{1.0, -1.0}, 1);
    fixture.Forward(pass);
    EXPECT_EQ(pass.ids(), (std::vector<int32_t>{1, 2, 0, 2})) << score;
    fixture.Backward(pass, std::vector<double>{1, 2, 3, 4}, {}, 0, 2);
    for (const auto& values : {pass.gates(), pass.sums(), ToDoubles(pass.dx)}) {
      for (const double value : values) EXPECT_TRUE(std::isfinite(value)) << score;
    }
  }
}

// A logit that is not a number shows in the gates, and ids stay in range and different.
TEST(TopKTest, ShowsNaN) {
  RouterFixture fixture(TopKOptions(1, 9, 4), DType::kF32);
  const RouterPass pass = fixture.MakePass(std::vector<double>{NAN}, 1);
  fixture.Forward(pass);
  const auto ids = pass.ids();
  EXPECT_EQ(std::set<int32_t>(ids.begin(), ids.end()).size(), 4u);
  for (const int32_t id : ids) EXPECT_TRUE(id >= 0 && id < 9);
  for (const double gate : pass.gates()) EXPECT_TRUE(std::isnan(gate));
}

TEST(TopKTest, TakesNothingButWorkspace) {
  RouterOptions options = TopKOptions(16, 64, 8);
  options.balance_loss = {0.01, LossScope::kSequence};
  RouterFixture fixture(options, DType::kF32);
  fixture.NormalPass(4096, 64, 1);
  // A few tiles; T x E alone would be a mebibyte.
  EXPECT_LE(fixture.test_context().context().scratch->high_water_bytes(), size_t{256} << 10);
  EXPECT_EQ(fixture.test_context().context().scratch->mark(), 0u);
  EXPECT_EQ(fixture.test_context().context().activations->high_water_bytes(), 0u);
}

TEST(TopKTest, RejectsWrongSettings) {
  ParameterRegistry parameters;
  RouterOptions options = TopKOptions(4, 4, 2);
  options.settings.Set("score", std::string("SOFTPLUS"));
  EXPECT_EQ(MakeRouter(options, parameters).status().message(),
            "router top_k: score is 'SOFTPLUS', not SOFTMAX or SIGMOID");
  options = TopKOptions(4, 4, 2);
  options.settings.Set("scaling_factor", 0.0);
  EXPECT_EQ(MakeRouter(options, parameters).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace equipoise::routing
