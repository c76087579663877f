#include <cmath>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/router_fixture.h"

namespace equipoise::routing {
namespace {

using testing_support::ToDoubles;

RouterOptions HashOptions(int num_experts, int top_k) {
  RouterOptions options;
  options.kind = "hash";
  options.hidden = 3;
  options.num_experts = num_experts;
  options.top_k = top_k;
  options.seed = 17;
  options.layer = 2;
  return options;
}

TEST(HashRouterTest, ChoosesDifferentExpertsWithEvenGates) {
  for (const auto& [experts, top_k] : {std::pair{1, 1}, {8, 1}, {8, 3}, {8, 8}, {64, 6}}) {
    RouterFixture fixture(HashOptions(experts, top_k), DType::kF32);
    const RouterPass pass = fixture.NormalPass(200, 10, 1);
    const auto ids = pass.ids();
    for (size_t t = 0; t < 200; ++t) {
      const auto first = ids.begin() + static_cast<ptrdiff_t>(t) * top_k;
      EXPECT_EQ(std::set<int32_t>(first, first + top_k).size(), static_cast<size_t>(top_k));
      for (auto id = first; id != first + top_k; ++id) EXPECT_TRUE(*id >= 0 && *id < experts);
    }
    EXPECT_EQ(pass.gates(), std::vector<double>(ids.size(), 1.0f / static_cast<float>(top_k)));
    const auto sums = pass.sums();
    double copies = 0.0;
    for (int e = 0; e < experts; ++e) copies += sums[static_cast<size_t>(e)];
    EXPECT_EQ(copies, 200.0 * top_k);
    EXPECT_EQ(sums[static_cast<size_t>(experts) + 1], 0.0) << "no scores, no entropy of them";
  }
}

// The id decides, not where the token stands, on which rank, in which call.
TEST(HashRouterTest, DependsOnTheIdSeedAndLayerAlone) {
  RouterFixture fixture(HashOptions(16, 4), DType::kF32);
  const RouterPass all = fixture.NormalPass(50, 1, 1);
  const RouterPass reversed = fixture.NormalPass(50, 1, 9);
  std::vector<double> token_ids;
  for (int t = 49; t >= 0; --t) token_ids.push_back(t);
  RouterPass again = reversed;
  again.input.token_ids = fixture.test_context().Make(DType::kI32, {50}, token_ids);
  again.input.first_token = 1234;
  again.input.step = 7;
  fixture.Forward(again);
  for (size_t t = 0; t < 50; ++t) {
    for (size_t k = 0; k < 4; ++k) {
      EXPECT_EQ(again.ids()[t * 4 + k], all.ids()[(49 - t) * 4 + k]);
    }
  }
  RouterOptions other_layer = HashOptions(16, 4);
  other_layer.layer = 3;
  RouterOptions other_seed = HashOptions(16, 4);
  other_seed.seed = 18;
  EXPECT_NE(RouterFixture(other_layer, DType::kF32).NormalPass(50, 1, 1).ids(), all.ids());
  EXPECT_NE(RouterFixture(other_seed, DType::kF32).NormalPass(50, 1, 1).ids(), all.ids());
}

// Over distinct ids the load is that of uniform draws: a chi-square with E - 1 degrees of freedom
// (times 1 - K/E, for drawing without replacement), here within five standard deviations.
TEST(HashRouterTest, SpreadsIdsEvenly) {
  for (const int top_k : {1, 4, 16}) {
    constexpr int kExperts = 32;
    constexpr int64_t kTokens = 20000;
    RouterFixture fixture(HashOptions(kExperts, top_k), DType::kF32);
    const auto sums = fixture.NormalPass(kTokens, 1, 1).sums();
    const double mean = static_cast<double>(kTokens) * top_k / kExperts;
    double chi_square = 0.0;
    for (int e = 0; e < kExperts; ++e) {
      chi_square += std::pow(sums[static_cast<size_t>(e)] - mean, 2.0) / mean;
    }
    const double expected = (kExperts - 1.0) * (1.0 - static_cast<double>(top_k) / kExperts) *
                            kExperts / (kExperts - 1.0);
    EXPECT_NEAR(chi_square, expected, 5.0 * expected * std::sqrt(2.0 / (kExperts - 1.0)));
  }
}

TEST(HashRouterTest, HasNoGradient) {
  RouterFixture fixture(HashOptions(8, 2), DType::kF64);
  const RouterPass pass = fixture.NormalPass(6, 3, 1);
  fixture.Backward(pass, std::vector<double>(12, 1.0), {}, 0, 6);
  EXPECT_EQ(ToDoubles(pass.dx), std::vector<double>(18, 0.0));
  EXPECT_TRUE(fixture.router().Losses(pass.sums(), 6, {}, 0).empty());
}

TEST(HashRouterTest, KeepsToItsCapacity) {
  RouterOptions options = HashOptions(4, 2);
  options.capacity = {1.0};
  RouterFixture fixture(options, DType::kF32);
  const RouterPass pass = fixture.NormalPass(24, 8, 1);
  double kept = 0.0;
  for (const int32_t id : pass.ids()) kept += id >= 0 ? 1.0 : 0.0;
  EXPECT_GT(pass.sums()[4], 0.0);
  EXPECT_EQ(kept + pass.sums()[4], 48.0);
  EXPECT_EQ(pass.sums()[0] + pass.sums()[1] + pass.sums()[2] + pass.sums()[3], 48.0);
}

TEST(HashRouterTest, RefusesLosses) {
  ParameterRegistry parameters;
  RouterOptions options = HashOptions(8, 2);
  options.z_loss.coefficient = 0.001;
  EXPECT_EQ(MakeRouter(options, parameters).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace equipoise::routing
