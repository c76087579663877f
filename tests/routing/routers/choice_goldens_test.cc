// Routers whose choice is neither the K best scores nor a bias: what they choose, by hand or by a
// direct reading of their definition. Logits are the tokens themselves: the gate is the identity.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::SetDoubles;

// A router whose logits are x; E = H.
RouterFixture IdentityRouter(const RouterOptions& options) {
  RouterFixture fixture(options, DType::kF64);
  const size_t experts = static_cast<size_t>(options.num_experts);
  std::vector<double> identity(experts * experts, 0.0);
  for (size_t e = 0; e < experts; ++e) identity[e * (experts + 1)] = 1.0;
  SetDoubles(fixture.weight().value(), identity);
  return fixture;
}

std::vector<double> Softmax(std::vector<double> row) {
  double sum = 0.0;
  for (double& value : row) sum += value = std::exp(value);
  for (double& value : row) value /= sum;
  return row;
}

std::vector<double> First(const std::vector<double>& values, size_t count) {
  return {values.begin(), values.begin() + static_cast<ptrdiff_t>(count)};
}

std::vector<double> DrawLogits(int64_t tokens, int experts, uint64_t key) {
  const Philox philox(key);
  std::vector<double> x(static_cast<size_t>(tokens * experts));
  for (size_t i = 0; i < x.size(); ++i) x[i] = philox.Normal(i);
  return x;
}

// Two sequences of four tokens over three experts, K 1, so each takes ceil(4 / 3) = 2 of each.
TEST(ExpertChoiceTest, EachExpertTakesItsBestTokensOfEachSequence) {
  constexpr int kExperts = 3;
  constexpr size_t kLength = 4;
  const auto x = DrawLogits(8, kExperts, 4);
  RouterFixture fixture = IdentityRouter(OptionsOf("expert_choice", kExperts, kExperts, 1));
  const RouterPass pass = fixture.MakePass(x, kLength);
  fixture.Forward(pass);
  std::vector<std::vector<double>> p;
  for (size_t t = 0; t < 8; ++t) p.push_back(Softmax({x.begin() + 3 * t, x.begin() + 3 * t + 3}));
  std::vector<std::vector<double>> expected(8, std::vector<double>(kExperts, 0.0));
  for (size_t first = 0; first < 8; first += kLength) {
    for (size_t e = 0; e < kExperts; ++e) {
      std::vector<size_t> order(kLength);
      std::iota(order.begin(), order.end(), first);
      std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a][e] > p[b][e]; });
      for (size_t i = 0; i < 2; ++i) expected[order[i]][e] = p[order[i]][e];
    }
  }
  const auto ids = pass.ids();
  const auto gates = pass.gates();
  std::vector<std::vector<double>> actual(8, std::vector<double>(kExperts, 0.0));
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0) actual[i / 3][static_cast<size_t>(ids[i])] = gates[i];
    if (i % 3 > 0 && ids[i] >= 0) {
      EXPECT_GE(gates[i - 1], gates[i]);
    }
  }
  for (size_t t = 0; t < 8; ++t) EXPECT_TRUE(AllClose(actual[t], expected[t], 1e-15));
  EXPECT_EQ(First(pass.sums(), 3), (std::vector<double>{4, 4, 4}));
}

TEST(ExpertChoiceTest, TiesGoToTheEarlierTokenAndCopiesAreBounded) {
  RouterOptions options = OptionsOf("expert_choice", 2, 2, 1);
  RouterFixture fixture = IdentityRouter(options);
  const RouterPass alike = fixture.MakePass(std::vector<double>(8, 0.0), 4);
  fixture.Forward(alike);
  EXPECT_EQ(alike.ids(), (std::vector<int32_t>{0, 1, 0, 1, -1, -1, -1, -1}));
  options.settings.Set("max_copies", int64_t{1});
  RouterFixture compact = IdentityRouter(options);
  const RouterPass one = compact.MakePass(std::vector<double>{0, 1, 2, 0, -1, -1, -1, -1}, 4);
  EXPECT_EQ(compact.router().max_copies_per_token(), 1);
  compact.Forward(one);
  // The third token is taken by both, alike; the fourth, later, by none.
  EXPECT_EQ(one.ids(), (std::vector<int32_t>{1, 0, 0, -1}));
}

TEST(ExpertChoiceTest, RefusesWhatContradictsIt) {
  ParameterRegistry parameters;
  RouterOptions options = OptionsOf("expert_choice", 4, 4, 2);
  options.balance_loss.coefficient = 0.1;
  EXPECT_FALSE(MakeRouter(options, parameters).ok());
  options.balance_loss.coefficient = 0.0;
  options.capacity.factor = 1.0;
  EXPECT_FALSE(MakeRouter(options, parameters).ok());
}

// All tokens prefer expert 0; scaled to even columns, the one that prefers it most keeps it.
TEST(SinkhornTest, SpreadsWhatAllPrefer) {
  RouterOptions options = OptionsOf("sinkhorn", 2, 2, 1);
  options.settings.Set("renormalise", false);
  options.settings.Set("iterations", int64_t{500});
  options.settings.Set("tolerance", 0.0);
  RouterFixture fixture = IdentityRouter(options);
  RouterPass pass = fixture.MakePass(std::vector<double>{3, 0, 2, 0, 1.5, 0, 1, 0}, 4);
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{0, 0, 1, 1}));
  // Gates are the unscaled softmax.
  EXPECT_NEAR(pass.gates()[2], 1.0 / (1.0 + std::exp(1.5)), 1e-15);
  pass.input.training = false;
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{0, 0, 0, 0}));
}

// Runs of one byte give tokens that differ by rounding alone. All experts suit them equally, so
// what they choose must not hang on the rounding, which differs between layouts.
TEST(SinkhornTest, TokensAlikeButForRoundingChooseAlike) {
  constexpr int kExperts = 6;
  constexpr int64_t kTokens = 24;
  RouterFixture fixture = IdentityRouter(OptionsOf("sinkhorn", kExperts, kExperts, 2));
  for (uint64_t trial = 0; trial < 50; ++trial) {
    const auto token = DrawLogits(1, kExperts, trial);
    const auto noise = DrawLogits(kTokens, kExperts, 1000 + trial);
    std::vector<double> x(noise.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = token[i % kExperts] + 1e-7 * noise[i];
    const RouterPass pass = fixture.MakePass(x, kTokens);
    fixture.Forward(pass);
    const std::vector<int32_t> ids = pass.ids();
    for (size_t copy = 0; copy < ids.size(); ++copy) {
      ASSERT_EQ(ids[copy], static_cast<int32_t>(copy % 2)) << "trial " << trial;
    }
  }
}

TEST(EntropyAdaptiveTest, UndecidedTokensTakeMoreExperts) {
  RouterOptions options = OptionsOf("entropy_adaptive", 4, 4, 3);
  options.settings.Set("min_copies", int64_t{1});
  options.settings.Set("entropy_order", 1.0);
  RouterFixture fixture = IdentityRouter(options);
  const std::vector<double> x = {std::log(.8), std::log(.1),  std::log(.06), std::log(.04),
                                 std::log(.5), std::log(.4),  std::log(.06), std::log(.04),
                                 std::log(.3), std::log(.25), std::log(.25), std::log(.2)};
  const RouterPass pass = fixture.MakePass(x, 1);
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{0, -1, -1, 0, 1, -1, 0, 1, 2}));
  EXPECT_TRUE(AllClose(pass.gates(),
                       std::vector<double>{1, 0, 0, 5 / 9., 4 / 9., 0, .3 / .8, .25 / .8, .25 / .8},
                       1e-14));
  EXPECT_EQ(First(pass.sums(), 4), (std::vector<double>{3, 2, 1, 0}));
}

TEST(GrapTest, ReadsBlocksAndHashesTies) {
  RouterFixture fixture(OptionsOf("grap", 6, 3, 1), DType::kF64);
  EXPECT_TRUE(fixture.parameters().empty());
  const RouterPass pass = fixture.MakePass(std::vector<double>{1, 2, 4, 2, -3, 1}, 1);
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), std::vector<int32_t>{1});
  EXPECT_NEAR(pass.gates()[0], Softmax({1.5, 3.0, 0.0})[1], 1e-15);
  // Negative everywhere: even gates, experts by the token's id.
  const RouterPass tied = fixture.MakePass(std::vector<double>(600 * 6, -1.0), 1);
  fixture.Forward(tied);
  for (const double gate : tied.gates()) EXPECT_NEAR(gate, 1.0 / 3.0, 1e-15);
  for (size_t e = 0; e < 3; ++e) EXPECT_NEAR(tied.sums()[e], 200.0, 5.0 * std::sqrt(200.0));
  ParameterRegistry parameters;
  EXPECT_FALSE(MakeRouter(OptionsOf("grap", 7, 3, 1), parameters).ok());
}

// Affinities of a token (a, b): (a, b) / |x|, blocks being single features.
TEST(TokenResonanceTest, ExpertsKeepTheBestOfThoseThatAsked) {
  RouterFixture fixture(OptionsOf("token_resonance", 2, 2, 1), DType::kF64);
  const std::vector<double> x = {3, 4, 4, 3, 12, 5, 1, 0};
  const RouterPass pass = fixture.MakePass(x, 4);
  fixture.Forward(pass);
  // Tokens 1, 2, 3 ask for expert 0 with .8, 12/13 and 1; it keeps two.
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{1, -1, 0, 0}));
  EXPECT_TRUE(AllClose(pass.gates(), std::vector<double>{1, 0, 1, 1}, 1e-15));
  RouterOptions two = OptionsOf("token_resonance", 2, 2, 2);
  two.settings.Set("capacity_factor", 0.0);
  two.settings.Set("threshold", 0.9);
  RouterFixture adaptive(two, DType::kF64);
  const RouterPass asked = adaptive.MakePass(x, 4);
  adaptive.Forward(asked);
  EXPECT_EQ(asked.ids(), (std::vector<int32_t>{1, 0, 0, 1, 0, -1, 0, -1}));
  const auto first = Softmax({.8, .6});
  EXPECT_TRUE(AllClose(First(asked.gates(), 2), first, 1e-15));
}

// The floor exp(H d^2 / (2 - d^2)) / E with d = 1 is e^2 / 2: four tokens rather than two.
TEST(TokenResonanceTest, CapacityGrowsWithTheLargestAffinity) {
  RouterOptions options = OptionsOf("token_resonance", 2, 2, 1);
  options.settings.Set("capacity_safety", 1.0);
  RouterFixture fixture(options, DType::kF64);
  const RouterPass pass = fixture.MakePass(std::vector<double>{1, 0, 1, 0, 1, 0, 1, 0}, 4);
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{0, 0, 0, 0}));
}

class TwoLevelHashTest : public ::testing::Test {
 protected:
  static constexpr int kGroups = 4;
  static constexpr int kSize = 4;
  static RouterOptions Options(const char* group_key) {
    RouterOptions options = OptionsOf("two_level_hash", 2, kGroups * kSize, 2);
    options.settings.Set("num_groups", int64_t{kGroups});
    options.settings.Set("group_key", std::string(group_key));
    options.settings.Set("position_block", int64_t{5});
    return options;
  }
  // The group of each token; its experts must share one.
  static std::vector<int> Groups(const RouterPass& pass) {
    const auto ids = pass.ids();
    std::vector<int> groups;
    for (size_t i = 0; i < ids.size(); i += 2) {
      EXPECT_EQ(ids[i] / kSize, ids[i + 1] / kSize);
      EXPECT_LT(ids[i], ids[i + 1]);
      groups.push_back(ids[i] / kSize);
    }
    return groups;
  }
};

TEST_F(TwoLevelHashTest, DomainsHaveGroupsOfTheirOwn) {
  RouterFixture fixture(Options("DOMAIN"), DType::kF32);
  RouterPass pass = fixture.NormalPass(20, 5, 1);
  std::vector<double> domains;
  for (int t = 0; t < 20; ++t) domains.push_back(t / 5);
  pass.input.domains = fixture.test_context().Make(DType::kI32, {20}, domains);
  fixture.Forward(pass);
  const auto groups = Groups(pass);
  for (size_t t = 0; t < 20; ++t) EXPECT_EQ(groups[t], groups[t / 5 * 5]);
  EXPECT_EQ(std::set<int>(groups.begin(), groups.end()).size(), 4u);
}

TEST_F(TwoLevelHashTest, SequencesAndBlocksShareAGroup) {
  for (const char* key : {"SEQUENCE", "POSITION"}) {
    RouterFixture fixture(Options(key), DType::kF32);
    const RouterPass pass = fixture.NormalPass(200, 10, 1);
    const auto groups = Groups(pass);
    const size_t run = std::string(key) == "SEQUENCE" ? 10 : 5;
    for (size_t t = 0; t < 200; ++t) EXPECT_EQ(groups[t], groups[t / run * run]) << key;
    if (run == 5) {
      for (size_t t = 10; t < 200; ++t) EXPECT_EQ(groups[t], groups[t - 10]);
      EXPECT_NE(groups[0], groups[5]) << "blocks take groups in turn";
    } else {
      EXPECT_EQ(std::set<int>(groups.begin(), groups.end()).size(), 4u);
    }
  }
}

TEST_F(TwoLevelHashTest, ThePreviousTokenMayMatter) {
  for (const char* key : {"TOKEN", "TOKEN_AND_PREVIOUS"}) {
    RouterOptions options = Options("POSITION");
    options.settings.Set("position_block", int64_t{1 << 20});
    options.settings.Set("expert_key", std::string(key));
    RouterFixture fixture(options, DType::kF32);
    RouterPass pass = fixture.NormalPass(200, 200, 1);
    // 7 after each of 0 to 99.
    std::vector<double> tokens;
    for (int t = 0; t < 100; ++t) tokens.insert(tokens.end(), {static_cast<double>(t), 7.0});
    pass.input.token_ids = fixture.test_context().Make(DType::kI32, {200}, tokens);
    fixture.Forward(pass);
    std::set<std::pair<int32_t, int32_t>> pairs;
    for (size_t t = 1; t < 200; t += 2) pairs.insert({pass.ids()[2 * t], pass.ids()[2 * t + 1]});
    if (std::string(key) == "TOKEN") {
      EXPECT_EQ(pairs.size(), 1u);
    } else {
      EXPECT_EQ(pairs.size(), 6u);  // all pairs of four
    }
  }
}

}  // namespace
}  // namespace equipoise::routing
