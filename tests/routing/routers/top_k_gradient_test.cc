#include <algorithm>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/routing/reference_router.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/gradient_check.h"

namespace equipoise::routing {
namespace {

using testing_support::CheckGradient;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 5;
constexpr int64_t kSequenceLength = 3;
constexpr int64_t kTokens = 6;

std::vector<double> Draw(size_t size, uint64_t seed, const char* what) {
  const Philox philox(StreamKey(seed, what));
  std::vector<double> values(size);
  for (size_t i = 0; i < values.size(); ++i) values[i] = philox.Normal(i);
  return values;
}

// The smallest gap between a token's last chosen logit and its first not chosen.
double SelectionGap(const RouterOptions& options, std::span<const double> x,
                    std::span<const double> weight) {
  const auto routing = RouteByDefinition(options, x, weight);
  const size_t experts = static_cast<size_t>(options.num_experts);
  const size_t top_k = static_cast<size_t>(options.top_k);
  double gap = 1.0;
  for (size_t begin = 0; top_k < experts && begin < routing.logits.size(); begin += experts) {
    std::vector<double> row(routing.logits.begin() + static_cast<ptrdiff_t>(begin),
                            routing.logits.begin() + static_cast<ptrdiff_t>(begin + experts));
    std::sort(row.rbegin(), row.rend());
    gap = std::min(gap, row[top_k - 1] - row[top_k]);
  }
  return gap;
}

// score, selection, renormalise, scope, K.
using Case = std::tuple<const char*, const char*, bool, LossScope, int>;

class TopKGradientTest : public ::testing::TestWithParam<Case> {
 protected:
  static RouterOptions Options() {
    const auto [score, selection, renormalise, scope, top_k] = GetParam();
    RouterOptions options = TopKOptions(kHidden, 6, top_k);
    options.settings = TopKSettings(score, selection, renormalise, 1.7);
    // Large, so that their gradients weigh as much as the gates'.
    options.balance_loss = {3.0, scope};
    options.z_loss = {0.5};
    return options;
  }

  // A point where no selection changes within the steps of a central difference.
  static std::vector<double> Tokens(const RouterOptions& options, RouterFixture& fixture) {
    const auto weight = ToDoubles(fixture.weight().value());
    for (uint64_t seed = 1;; ++seed) {
      auto x = Draw(kTokens * kHidden, seed, "x");
      if (SelectionGap(options, x, weight) > 0.05) return x;
    }
  }
};

TEST_P(TopKGradientTest, MatchesCentralDifferences) {
  const RouterOptions options = Options();
  RouterFixture fixture(options, DType::kF64, 11);
  const auto x = Tokens(options, fixture);
  const auto weight = ToDoubles(fixture.weight().value());
  const RouterPass pass = fixture.MakePass(x, kSequenceLength);
  fixture.Forward(pass);
  // Another load than this micro-batch's own, as under accumulation.
  auto load = pass.sums();
  for (int e = 0; e < options.num_experts; ++e) load[static_cast<size_t>(e)] += e;
  const int64_t load_tokens = 2 * kTokens;
  const auto dgates = Draw(pass.gates().size(), 7, "dgates");

  const auto loss = [&] {
    fixture.Forward(pass);
    double total = 0.0;
    const auto gates = pass.gates();
    for (size_t i = 0; i < gates.size(); ++i) total += dgates[i] * gates[i];
    for (const LossTerm& term : fixture.router().Losses(pass.sums(), kTokens, load, load_tokens)) {
      total += term.value;
    }
    return total;
  };
  loss();
  fixture.Backward(pass, dgates, load, load_tokens, kTokens);
  const auto dx = ToDoubles(pass.dx);
  const auto dweight = ToDoubles(fixture.weight().gradient());
  EXPECT_TRUE(CheckGradient(
      [&](std::span<const double> point) {
        SetDoubles(pass.x, point);
        return loss();
      },
      dx, x));
  SetDoubles(pass.x, x);
  EXPECT_TRUE(CheckGradient(
      [&](std::span<const double> point) {
        SetDoubles(fixture.weight().value(), point);
        return loss();
      },
      dweight, weight));
}

INSTANTIATE_TEST_SUITE_P(
    All, TopKGradientTest,
    ::testing::Combine(::testing::Values("SOFTMAX", "SIGMOID"),
                       ::testing::Values("SCORE_ALL", "SCORE_SELECTED"), ::testing::Bool(),
                       ::testing::Values(LossScope::kGlobalBatch, LossScope::kRunning,
                                         LossScope::kMicroBatch, LossScope::kSequence),
                       ::testing::Values(1, 2, 6)));

// With copies dropped, the loss is that of the gates that are left; nothing flows through the rest.
TEST(TopKCapacityGradientTest, MatchesCentralDifferences) {
  for (const bool renormalise : {false, true}) {
    RouterOptions options = TopKOptions(kHidden, 6, 3);
    options.settings = TopKSettings("SOFTMAX", "SCORE_ALL", renormalise, 1.0);
    options.balance_loss = {1.0, LossScope::kSequence};
    options.capacity = {0.7};  // 2 copies
    RouterFixture fixture(options, DType::kF64, 11);
    const auto weight = ToDoubles(fixture.weight().value());
    std::vector<double> x;
    for (uint64_t seed = 1; x.empty() || SelectionGap(options, x, weight) < 0.05; ++seed) {
      x = Draw(kTokens * kHidden, seed, "x");
    }
    const RouterPass pass = fixture.MakePass(x, kSequenceLength);
    fixture.Forward(pass);
    const auto ids = pass.ids();
    ASSERT_GT(pass.sums()[6], 0.0) << "nothing was dropped";
    const auto dgates = Draw(pass.gates().size(), 7, "dgates");
    const auto loss = [&](std::span<const double> point) {
      SetDoubles(pass.x, point);
      fixture.Forward(pass);
      EXPECT_EQ(pass.ids(), ids) << "the point is too near a change of what is dropped";
      double total = fixture.router().Losses(pass.sums(), kTokens, {}, 0)[0].value;
      const auto gates = pass.gates();
      for (size_t i = 0; i < gates.size(); ++i) total += dgates[i] * gates[i];
      return total;
    };
    fixture.Backward(pass, dgates, {}, 0, kTokens);
    EXPECT_TRUE(CheckGradient(loss, ToDoubles(pass.dx), x, {.step = 1e-4}));
  }
}

}  // namespace
}  // namespace equipoise::routing
