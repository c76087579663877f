// Preference for home as a router with it behaves: what every_router_test.cc does not ask.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "routing/locality.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::CheckGradient;
using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 12;
constexpr int kExperts = 6;

RouterOptions TwoNodes(const std::string& kind = "top_k", int top_k = 2) {
  RouterOptions options = OptionsOf(kind, kHidden, kExperts, top_k);
  options.locality.num_nodes = 2;
  return options;
}

// Of the copies, those at home.
double HomeShare(const RouterOptions& options, const RouterPass& pass) {
  const auto node_of = NodesOfExperts(options.num_experts, options.locality.num_nodes);
  const auto nodes = ToDoubles(pass.input.nodes);
  const auto ids = pass.ids();
  const size_t copies = ids.size() / nodes.size();
  double all = 0.0;
  double home = 0.0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    all += 1.0;
    if (node_of[static_cast<size_t>(ids[i])] == static_cast<int>(nodes[i / copies])) home += 1.0;
  }
  return home / all;
}

class BiasTest : public ::testing::TestWithParam<const char*> {};

TEST_P(BiasTest, AStrongOneKeepsEveryTokenAtHome) {
  RouterOptions options = TwoNodes(GetParam());
  options.locality.bias = {LocalityBiasMode::kFixed, 10.0};
  RouterFixture fixture(options, DType::kF64);
  EXPECT_EQ(HomeShare(options, fixture.NormalPass(40, 10, 3)), 1.0);
}

TEST_P(BiasTest, TheControllerReachesItsTarget) {
  RouterOptions options = TwoNodes(GetParam());
  options.locality.bias = {LocalityBiasMode::kController, 0.0, 0.8, 0.1, 2.0};
  RouterFixture fixture(options, DType::kF64);
  double share = 0.0;
  constexpr int kSteps = 200;
  for (uint64_t step = 1; step <= kSteps; ++step) {
    const RouterPass pass = fixture.NormalPass(80, 10, step);
    fixture.router().EndStep(fixture.test_context().context(), pass.sums(), 80);
    if (step > kSteps / 2) share += HomeShare(options, pass) / (kSteps / 2);
  }
  EXPECT_NEAR(share, 0.8, 0.02);
  EXPECT_GE(fixture.router().state().size(), 2u);
}

// The share, and evenly on the experts at home, whatever the router itself would like.
TEST_P(BiasTest, ALearnedOneReachesItsTarget) {
  RouterOptions options = TwoNodes(GetParam());
  options.locality.bias = {LocalityBiasMode::kLearned, 0.0, 0.8, 0.02, 2.0};
  RouterFixture fixture(options, DType::kF64);
  constexpr int kSteps = 400;
  double share = 0.0;
  std::vector<double> copies(2 * kExperts, 0.0);
  for (uint64_t step = 1; step <= kSteps; ++step) {
    const RouterPass pass = fixture.NormalPass(80, 10, step);
    const auto sums = pass.sums();
    fixture.router().EndStep(fixture.test_context().context(), sums, 80);
    if (step <= kSteps / 2) continue;
    share += HomeShare(options, pass) / (kSteps / 2);
    for (size_t i = 0; i < copies.size(); ++i) copies[i] += sums[sums.size() - copies.size() + i];
  }
  EXPECT_NEAR(share, 0.8, 0.02);
  for (size_t i = 0; i < copies.size(); ++i) {
    const double all =
        std::accumulate(copies.begin() + (i < kExperts ? 0 : kExperts),
                        copies.begin() + (i < kExperts ? kExperts : 2 * kExperts), 0.0);
    const bool home = i % kExperts / 3 == i / kExperts;
    EXPECT_NEAR(copies[i] / all, home ? 0.8 / 3 : 0.2 / 3, 0.02) << i;
  }
  const auto figures = fixture.router().Figures(fixture.NormalPass(80, 10, 1).sums());
  EXPECT_EQ(figures.back().first, "home_bias");
  EXPECT_GT(figures.back().second, 0.0);
}

INSTANTIATE_TEST_SUITE_P(All, BiasTest,
                         ::testing::Values("top_k", "lpr", "grap", "token_resonance",
                                           "aux_free_bias", "entropy_adaptive"),
                         [](const auto& info) { return std::string(info.param); });

// Gates are those of the scores without the bias.
TEST(LocalityBiasTest, ChangesTheChoiceAlone) {
  RouterOptions options = TwoNodes();
  options.settings.Set("renormalise", false);
  RouterFixture plain(options, DType::kF64);
  options.locality.bias = {LocalityBiasMode::kFixed, 10.0};
  RouterFixture biased(options, DType::kF64);
  options.locality.bias.mode = LocalityBiasMode::kNone;
  options.top_k = kExperts;
  RouterFixture all(options, DType::kF64);
  const RouterPass pass = biased.NormalPass(20, 5, 1);
  const RouterPass everything = all.NormalPass(20, 5, 1);
  const auto ids = pass.ids();
  const auto gates = pass.gates();
  const auto all_ids = everything.ids();
  const auto all_gates = everything.gates();
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t row = i / 2 * kExperts;
    const auto found =
        std::find(all_ids.begin() + static_cast<int64_t>(row), all_ids.end(), ids[i]);
    EXPECT_EQ(gates[i], all_gates[static_cast<size_t>(found - all_ids.begin())]) << i;
  }
  EXPECT_NE(plain.NormalPass(20, 5, 1).ids(), ids);
}

TEST(LocalityBiasTest, OneNodeChangesNothing) {
  RouterOptions options = TwoNodes();
  options.locality = {};
  RouterFixture plain(options, DType::kF32);
  options.locality.bias = {LocalityBiasMode::kController, 1.0};
  options.locality.loss.coefficient = 3.0;
  options.locality.quota.outgoing_share = 0.1;
  RouterFixture preferring(options, DType::kF32);
  const RouterPass a = plain.NormalPass(20, 5, 1);
  const RouterPass b = preferring.NormalPass(20, 5, 1);
  EXPECT_EQ(a.ids(), b.ids());
  EXPECT_TRUE(SameBits(a.gates(), b.gates()));
  EXPECT_TRUE(SameBits(a.sums(), b.sums()));
  EXPECT_TRUE(preferring.router().state().empty());
}

TEST(LocalityBiasTest, NodesWithoutTokensOrExpertsStay) {
  RouterOptions options = TwoNodes("top_k", 1);
  options.num_experts = 2;
  options.locality.num_nodes = 3;  // node 2 owns none
  options.locality.bias = {LocalityBiasMode::kController, 0.25, 1.0, 0.5, 0.5};
  RouterFixture fixture(options, DType::kF64);
  std::vector<double> sums(static_cast<size_t>(fixture.router().num_statistics()), 0.0);
  const size_t first = sums.size() - 6;
  sums[0] = 10.0;
  sums[first + 0] = 10.0;  // node 1 has no tokens
  sums[first + 2] = 10.0;
  const Context context = fixture.test_context().context();
  fixture.router().EndStep(context, sums, 20);
  const auto state = fixture.router().state();
  // Bound by the limit; unmoved; unmoved.
  EXPECT_EQ(std::vector<double>(state.begin(), state.end()),
            (std::vector<double>{0.5, 0.25, 0.25}));
  const absl::Status status = fixture.router().SetState(std::vector<double>{1.0, 1.0});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("3 nodes"), std::string::npos) << status;
}

// sum_r T_r / T KL(P^r || l^r), by the definition, from probabilities that the router shows as
// gates of all experts.
TEST(LocalityLossTest, IsTheDivergenceOfItsDefinition) {
  for (const char* score : {"SOFTMAX", "SIGMOID"}) {
    RouterOptions options = TwoNodes("top_k", kExperts);
    options.settings = TopKSettings(score, "SCORE_ALL", true, 1.0);
    options.locality.num_nodes = 4;
    options.locality.loss.coefficient = 0.7;
    RouterFixture fixture(options, DType::kF64);
    constexpr int64_t kTokens = 30;  // six sequences: nodes 0 and 1 have two, 2 and 3 one
    const RouterPass pass = fixture.NormalPass(kTokens, 5, 2);
    const auto ids = pass.ids();
    const auto gates = pass.gates();
    std::vector<double> sums(4 * kExperts, 0.0);
    std::vector<double> tokens(4, 0.0);
    const auto nodes = ToDoubles(pass.input.nodes);
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto node = static_cast<size_t>(nodes[i / kExperts]);
      sums[node * kExperts + static_cast<size_t>(ids[i])] += gates[i];
      tokens[node] += 1.0 / kExperts;
    }
    const auto targets = LocalisedTargets(options.locality, kExperts);
    double expected = 0.0;
    for (size_t i = 0; i < sums.size(); ++i) {
      const double p = sums[i] / tokens[i / kExperts];
      expected += 0.7 * tokens[i / kExperts] / kTokens * p * std::log(p / targets[i]);
    }
    const auto losses = fixture.router().Losses(pass.sums(), kTokens, pass.sums(), kTokens);
    ASSERT_EQ(losses.size(), 1u);
    EXPECT_EQ(losses[0].name, "locality");
    EXPECT_NEAR(losses[0].value, expected, 1e-13);
    EXPECT_EQ(fixture.router().Losses(pass.sums(), kTokens, {}, 0)[0].value, 0.0);
  }
}

// With the step's own statistics the gradient is that of the divergence itself.
TEST(LocalityLossTest, GradientIsThatOfTheDivergence) {
  for (const char* kind : {"top_k", "lpr"}) {
    RouterOptions options = TwoNodes(kind);
    options.locality.loss = {2.0, 1.0, 0.0, 0.0, 0.05};
    if (options.kind == "lpr") {
      for (const char* loss : {"token_diversity", "mean_direction"}) {
        options.settings.Set(std::string("losses.") + loss, 0.0);
      }
    }
    RouterFixture fixture(options, DType::kF64);
    const RouterPass pass = fixture.NormalPass(8, 2, 3);
    const std::vector<double> no_gates(pass.gates().size(), 0.0);
    fixture.Backward(pass, no_gates, pass.sums(), 8, 8);
    const auto loss = [&] {
      fixture.Forward(pass);
      return fixture.router().Losses(pass.sums(), 8, pass.sums(), 8)[0].value;
    };
    const auto x = ToDoubles(pass.x);
    EXPECT_TRUE(CheckGradient(
        [&](std::span<const double> point) {
          SetDoubles(pass.x, point);
          return loss();
        },
        ToDoubles(pass.dx), x, {.step = 2e-4}));
    SetDoubles(pass.x, x);
    for (const auto& parameter : fixture.parameters()) {
      const auto start = ToDoubles(parameter->value());
      EXPECT_TRUE(CheckGradient(
          [&](std::span<const double> point) {
            SetDoubles(parameter->value(), point);
            return loss();
          },
          ToDoubles(parameter->gradient()), start, {.step = 2e-4}));
      SetDoubles(parameter->value(), start);
    }
  }
}

TEST(LocalityLossTest, CannotBeMixedWithARunningBalance) {
  RouterOptions options = TwoNodes();
  options.locality.loss.coefficient = 1.0;
  options.balance_loss = {1.0, LossScope::kRunning};
  ParameterRegistry parameters;
  EXPECT_EQ(MakeRouter(options, parameters).status().code(), absl::StatusCode::kInvalidArgument);
}

class QuotaTest : public ::testing::TestWithParam<double> {};

// Beyond the quota tokens have the best experts at home; within, their free choice, and it is
// those who want to go most that go.
TEST_P(QuotaTest, LetsTheBestGo) {
  constexpr int64_t kLength = 150;  // more than a tile
  RouterOptions options = TwoNodes();
  RouterFixture free(options, DType::kF64);
  options.locality.quota.outgoing_share = GetParam();
  RouterFixture bound(options, DType::kF64);
  const RouterPass a = free.NormalPass(2 * kLength, kLength, 4);
  const RouterPass b = bound.NormalPass(2 * kLength, kLength, 4);
  const auto free_ids = a.ids();
  const auto ids = b.ids();
  const auto allowed = static_cast<int64_t>(std::floor(GetParam() * kLength));
  for (int64_t sequence = 0; sequence < 2; ++sequence) {
    const auto away = [&](int32_t id) { return id / 3 != sequence; };
    int64_t wanted = 0;
    int64_t gone = 0;
    for (int64_t t = sequence * kLength; t < (sequence + 1) * kLength; ++t) {
      const auto i = static_cast<size_t>(2 * t);
      wanted += away(free_ids[i]) || away(free_ids[i + 1]) ? 1 : 0;
      const bool out = away(ids[i]) || away(ids[i + 1]);
      gone += out ? 1 : 0;
      if (out || !(away(free_ids[i]) || away(free_ids[i + 1]))) {
        EXPECT_EQ(ids[i], free_ids[i]);
        EXPECT_EQ(ids[i + 1], free_ids[i + 1]);
      }
    }
    EXPECT_EQ(gone, std::min(allowed, wanted));
  }
}

INSTANTIATE_TEST_SUITE_P(All, QuotaTest, ::testing::Values(0.0, 0.14, 0.5, 0.999));

TEST(QuotaTest, IsRefusedByWhoChoosesInAnotherWay) {
  for (const char* kind : {"expert_choice", "sinkhorn", "token_resonance", "hash"}) {
    RouterOptions options = TwoNodes(kind);
    options.locality.quota.outgoing_share = 0.5;
    ParameterRegistry parameters;
    const auto router = MakeRouter(options, parameters);
    EXPECT_EQ(router.status().code(), absl::StatusCode::kInvalidArgument) << kind;
    EXPECT_NE(router.status().message().find("quota"), std::string::npos) << router.status();
  }
}

// Every sequence goes to all experts evenly, and it has one home.
TEST(LocalityBiasTest, IsRefusedByWhoEvensOutSequences) {
  for (const char* kind : {"expert_choice", "sinkhorn"}) {
    RouterOptions options = TwoNodes(kind);
    options.locality.bias.mode = LocalityBiasMode::kFixed;
    ParameterRegistry parameters;
    const auto router = MakeRouter(options, parameters);
    EXPECT_EQ(router.status().code(), absl::StatusCode::kInvalidArgument) << kind;
  }
}

}  // namespace
}  // namespace equipoise::routing
