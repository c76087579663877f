#include "routing/group_limit.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::SetDoubles;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr double kOut = -std::numeric_limits<double>::infinity();

// Groups {9, 0}, {6, 5}, {4, 4}: by the best 9, 6, 4; by the two best's sum 9, 11, 8.
TEST(GroupLimitTest, KeepsTheBestGroups) {
  TestContext context;
  const std::vector<double> row = {9, 0, 6, 5, 4, 4};
  TensorView ranking = context.Make(DType::kF64, {1, 6}, row);
  LimitGroups(context.context(), {3, 1, GroupScore::kMax}, ranking);
  EXPECT_EQ(ToDoubles(ranking), (std::vector<double>{9, 0, kOut, kOut, kOut, kOut}));
  ranking = context.Make(DType::kF64, {1, 6}, row);
  LimitGroups(context.context(), {3, 1, GroupScore::kTopTwoSum}, ranking);
  EXPECT_EQ(ToDoubles(ranking), (std::vector<double>{kOut, kOut, 6, 5, kOut, kOut}));
  ranking = context.Make(DType::kF64, {1, 6}, row);
  LimitGroups(context.context(), {3, 2, GroupScore::kTopTwoSum}, ranking);
  EXPECT_EQ(ToDoubles(ranking), (std::vector<double>{9, 0, 6, 5, kOut, kOut}));
}

TEST(GroupLimitTest, TiesGoToTheLowestGroupAndSingleExpertsCountOnce) {
  TestContext context;
  TensorView ranking = context.Make(DType::kF64, {1, 4}, std::vector<double>{1, 2, 2, 1});
  LimitGroups(context.context(), {2, 1, GroupScore::kTopTwoSum}, ranking);
  EXPECT_EQ(ToDoubles(ranking), (std::vector<double>{1, 2, kOut, kOut}));
  ranking = context.Make(DType::kF64, {1, 3}, std::vector<double>{1, 3, 2});
  LimitGroups(context.context(), {3, 2, GroupScore::kTopTwoSum}, ranking);
  EXPECT_EQ(ToDoubles(ranking), (std::vector<double>{kOut, 3, 2}));
}

TEST(GroupLimitTest, ChecksItsOptions) {
  EXPECT_TRUE(CheckGroupLimit({4, 2, GroupScore::kMax}, 8, 4).ok());
  EXPECT_EQ(CheckGroupLimit({3, 2, GroupScore::kMax}, 8, 2).message(),
            "num_groups is 3, which does not divide the 8 experts");
  EXPECT_EQ(CheckGroupLimit({4, 5, GroupScore::kMax}, 8, 2).message(),
            "top_groups is 5, not in [1, 4], the number of groups");
  EXPECT_EQ(CheckGroupLimit({4, 1, GroupScore::kMax}, 8, 3).message(),
            "top_groups 1 of 4 groups hold 2 experts, fewer than top_k 3");
}

// Logits of one token over 6 experts in 3 groups; the gates of either rule by hand.
TEST(GroupLimitedRouterTest, GoldenCase) {
  const std::vector<double> logits = {2.0, -3.0, 1.2, 1.1, 0.4, 0.3};
  for (const bool third : {false, true}) {
    RouterOptions options = OptionsOf("group_limited", 6, 6, 2);
    options.settings.Set("rule", std::string(third ? "V3" : "V2"));
    options.settings.Set("num_groups", int64_t{3});
    options.settings.Set("top_groups", int64_t{1});
    options.settings.Set("scaling_factor", 2.0);
    RouterFixture fixture(options, DType::kF64);
    std::vector<double> identity(36, 0.0);
    for (size_t i = 0; i < 6; ++i) identity[i * 7] = 1.0;
    SetDoubles(fixture.weight().value(), identity);
    const RouterPass pass = fixture.MakePass(logits, 1);
    fixture.Forward(pass);
    double sum = 0.0;
    for (const double logit : logits) sum += std::exp(logit);
    const auto sigmoid = [](double logit) { return 1.0 / (1.0 + std::exp(-logit)); };
    if (third) {
      EXPECT_EQ(pass.ids(), (std::vector<int32_t>{2, 3}));
      const double both = sigmoid(1.2) + sigmoid(1.1);
      EXPECT_TRUE(AllClose(
          pass.gates(), std::vector<double>{2.0 * sigmoid(1.2) / both, 2.0 * sigmoid(1.1) / both},
          1e-14));
    } else {
      EXPECT_EQ(pass.ids(), (std::vector<int32_t>{0, 1}));
      EXPECT_TRUE(AllClose(
          pass.gates(), std::vector<double>{2.0 * std::exp(2.0) / sum, 2.0 * std::exp(-3.0) / sum},
          1e-14));
    }
  }
}

TEST(SwitchRouterTest, GoldenCase) {
  RouterOptions options = OptionsOf("switch", 3, 3, 1);
  options.capacity = {1.0};  // ceil(3 / 3): one token of the sequence for each expert
  RouterFixture fixture(options, DType::kF64);
  SetDoubles(fixture.weight().value(), std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 1});
  RouterPass pass = fixture.MakePass(std::vector<double>{0, 1, 0, 0, 2, 0, 1, 0, 0}, 3);
  pass.input.training = false;  // without noise
  fixture.Forward(pass);
  const double e = std::exp(1.0);
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{-1, 1, 0}));
  EXPECT_TRUE(AllClose(pass.gates(), std::vector<double>{0.0, e * e / (e * e + 2.0), e / (e + 2.0)},
                       1e-15));
  EXPECT_EQ(pass.sums()[3], 1.0);
  ParameterRegistry parameters;
  EXPECT_EQ(MakeRouter(OptionsOf("switch", 3, 3, 2), parameters).status().message(),
            "router switch gives every token one expert, but top_k is 2");
}

// Noise stays within its amplitude, changes with the step, and is off in evaluation.
TEST(SwitchRouterTest, JitterIsBoundedNoise) {
  RouterOptions options = OptionsOf("switch", 1, 2, 1);
  options.settings.Set("jitter", 0.25);
  RouterFixture fixture(options, DType::kF64);
  SetDoubles(fixture.weight().value(), std::vector<double>{0.0, 1.0});
  RouterPass pass = fixture.MakePass(std::vector<double>(64, 1.0), 1);
  const auto logits = [&] {
    fixture.Forward(pass);
    auto gates = pass.gates();
    for (double& gate : gates) gate = std::log(gate / (1.0 - gate));
    return gates;
  };
  const auto first = logits();
  double low = 2.0;
  double high = 0.0;
  for (const double logit : first) {
    low = std::min(low, logit);
    high = std::max(high, logit);
  }
  EXPECT_GE(low, 0.75 - 1e-12);
  EXPECT_LE(high, 1.25 + 1e-12);
  EXPECT_GT(high - low, 0.25);
  pass.input.step = 1;
  EXPECT_NE(logits(), first);
  pass.input.training = false;
  EXPECT_TRUE(AllClose(logits(), std::vector<double>(64, 1.0), 1e-12));
}

}  // namespace
}  // namespace equipoise::routing
