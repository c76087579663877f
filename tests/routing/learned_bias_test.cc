// The bias by node and expert that learns: its steps are those of its definition's gradient, and
// its state is its own. That it reaches its target is in locality_router_test.cc.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "routing/locality.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::ToDoubles;

constexpr int64_t kHidden = 12;
constexpr int kExperts = 6;

// E (mean over the node's tokens of the K best of s + b over K, less <l, b>) + decay / 2 |b|^2,
// with s of a router that shows all scores as its gates.
double Potential(const std::vector<double>& scores, const std::vector<double>& nodes, int node,
                 std::span<const double> b, std::span<const double> targets, double decay) {
  constexpr int kTopK = 2;
  double best = 0.0;
  double tokens = 0.0;
  for (size_t t = 0; t < nodes.size(); ++t) {
    if (static_cast<int>(nodes[t]) != node) continue;
    std::vector<double> ranks;
    for (size_t e = 0; e < kExperts; ++e) ranks.push_back(scores[t * kExperts + e] + b[e]);
    std::sort(ranks.rbegin(), ranks.rend());
    best += ranks[0] + ranks[1];
    tokens += 1.0;
  }
  const double linear = std::inner_product(b.begin(), b.end(), targets.begin(), 0.0);
  const double square = std::inner_product(b.begin(), b.end(), b.begin(), 0.0);
  return kExperts * (best / tokens / kTopK - linear) + 0.5 * decay * square;
}

TEST(LearnedBiasTest, StepsAlongTheGradientOfItsDefinition) {
  constexpr int64_t kTokens = 60;
  constexpr double kDecay = 0.3;
  constexpr double kRate = 1e-3;
  RouterOptions options = OptionsOf("top_k", kHidden, kExperts, 2);
  options.num_experts = kExperts;
  options.locality.num_nodes = 3;
  options.locality.bias = {LocalityBiasMode::kLearned, 0.0, 0.4, kRate, 5.0, kDecay};
  options.settings.Set("renormalise", false);
  RouterFixture fixture(options, DType::kF64);
  options.locality = {};
  options.top_k = kExperts;
  RouterFixture all(options, DType::kF64);
  const RouterPass everything = all.NormalPass(kTokens, 5, 8);
  std::vector<double> scores(kTokens * kExperts, 0.0);
  const auto ids = everything.ids();
  const auto gates = everything.gates();
  for (size_t i = 0; i < ids.size(); ++i) {
    scores[i / kExperts * kExperts + static_cast<size_t>(ids[i])] = gates[i];
  }
  const Philox philox(StreamKey(1, "b"));
  std::vector<double> b(3 * kExperts);
  for (size_t i = 0; i < b.size(); ++i) b[i] = 0.1 * philox.Normal(i);
  ASSERT_TRUE(fixture.router().SetState(b).ok());
  const RouterPass pass = fixture.NormalPass(kTokens, 5, 8);
  fixture.router().EndStep(fixture.test_context().context(), pass.sums(), kTokens);
  const auto after = fixture.router().state();
  const auto nodes = ToDoubles(pass.input.nodes);
  int clipped = 0;
  for (int node = 0; node < 3; ++node) {
    const auto begin = static_cast<size_t>(node * kExperts);
    std::vector<double> targets(kExperts, 0.6 / 4);
    targets[static_cast<size_t>(2 * node)] = targets[static_cast<size_t>(2 * node + 1)] = 0.4 / 2;
    const std::span<const double> start = std::span<const double>(b).subspan(begin, kExperts);
    std::vector<double> point(start.begin(), start.end());
    std::vector<double> move;
    for (size_t e = 0; e < kExperts; ++e) {
      constexpr double kStep = 1e-7;
      point[e] = start[e] + kStep;
      const double up = Potential(scores, nodes, node, point, targets, kDecay);
      point[e] = start[e] - kStep;
      const double down = Potential(scores, nodes, node, point, targets, kDecay);
      point[e] = start[e];
      const double slope = (up - down) / (2.0 * kStep) - kDecay * start[e];
      clipped += std::fabs(slope) > 1.0 ? 1 : 0;
      move.push_back(start[e] - kRate * (std::clamp(slope, -1.0, 1.0) + kDecay * start[e]));
    }
    const double mean = std::accumulate(move.begin(), move.end(), 0.0) / kExperts;
    for (size_t e = 0; e < kExperts; ++e) {
      EXPECT_NEAR(after[begin + e], move[e] - mean, 1e-8 * kRate + 1e-15) << node << " " << e;
    }
  }
  EXPECT_GT(clipped, 0);
  EXPECT_LT(clipped, 3 * kExperts);
}

TEST(LearnedBiasTest, StaysWithoutTokensAndComesBackFromACheckpoint) {
  RouterOptions options = OptionsOf("top_k", kHidden, kExperts, 1);
  options.num_experts = 2;
  options.locality.num_nodes = 3;  // node 2 owns none
  options.locality.bias = {LocalityBiasMode::kLearned, 0.25, 0.75, 0.5, 0.5};
  RouterFixture fixture(options, DType::kF64);
  const auto state = [&] {
    const auto values = fixture.router().state();
    return std::vector<double>(values.begin(), values.end());
  };
  EXPECT_EQ(state(), (std::vector<double>{0.25, 0.0, 0.0, 0.25, 0.0, 0.0}));
  std::vector<double> sums(static_cast<size_t>(fixture.router().num_statistics()), 0.0);
  const size_t first = sums.size() - 6;
  sums[first + 0] = 10.0;  // node 0: all at home, a quarter too many
  sums[first + 5] = 10.0;  // node 2: all of expert 1, where half is meant
  fixture.router().EndStep(fixture.test_context().context(), sums, 20);
  const auto moved = state();
  // Slopes of 0.5 and -0.5, then centred; nothing; slopes of -1 and 1, at the limit.
  EXPECT_EQ(moved, (std::vector<double>{-0.125, 0.125, 0.0, 0.25, 0.5, -0.5}));
  RouterFixture again(options, DType::kF64);
  ASSERT_TRUE(again.router().SetState(moved).ok());
  const RouterPass a = fixture.NormalPass(30, 5, 1);
  const RouterPass b = again.NormalPass(30, 5, 1);
  EXPECT_EQ(a.ids(), b.ids());
  // A strength is no bias: neither state is taken for the other.
  const auto learned = again.router().state_segments();
  options.locality.bias.mode = LocalityBiasMode::kController;
  RouterFixture controlled(options, DType::kF64);
  EXPECT_NE(controlled.router().state_segments().back().meaning, learned.back().meaning);
  EXPECT_EQ(fixture.router().SetState(std::vector<double>(3)).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace equipoise::routing
