// The worked example of docs/routing.md: it compiles, routes as it says, and the page shows it as
// it is.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/gradient_check.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Router>> MakeNearestRouter(const RouterOptions& options,
                                                          ParameterRegistry& parameters);

namespace {

using testing_support::CheckGradient;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 5;
constexpr size_t kExperts = 6;
constexpr size_t kTopK = 2;

RouterOptions NearestOptions() {
  RouterOptions options;
  options.kind = "nearest";
  options.hidden = kHidden;
  options.num_experts = kExperts;
  options.top_k = kTopK;
  options.balance_loss = {3.0, LossScope::kGlobalBatch};
  options.settings.Set("sharpness", 0.7);
  return options;
}

double Distance(std::span<const double> a, std::span<const double> b) {
  double square = 0.0;
  for (size_t i = 0; i < a.size(); ++i) square += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(square);
}

TEST(NearestRouter, ChoosesTheNearestPoints) {
  RouterFixture fixture(NearestOptions(), DType::kF64, 1, MakeNearestRouter);
  const RouterPass pass = fixture.NormalPass(17, 17, 3);
  const std::vector<double> x = ToDoubles(pass.x);
  const std::vector<double> points = ToDoubles(fixture.weight().value());
  const std::vector<int32_t> ids = pass.ids();
  for (size_t token = 0; token < 17; ++token) {
    const auto here = std::span(x).subspan(token * kHidden, kHidden);
    std::vector<std::pair<double, int32_t>> order;
    for (size_t e = 0; e < kExperts; ++e) {
      const auto point = std::span(points).subspan(e * kHidden, kHidden);
      order.emplace_back(Distance(here, point), static_cast<int32_t>(e));
    }
    std::sort(order.begin(), order.end());
    for (size_t k = 0; k < kTopK; ++k) EXPECT_EQ(ids[token * kTopK + k], order[k].second);
  }
}

TEST(NearestRouter, GradientMatchesCentralDifferences) {
  RouterFixture fixture(NearestOptions(), DType::kF64, 1, MakeNearestRouter);
  const RouterPass pass = fixture.NormalPass(9, 9, 4);
  const std::vector<double> sums = pass.sums();
  std::vector<double> dgates(pass.gates().size());
  for (size_t i = 0; i < dgates.size(); ++i) dgates[i] = std::sin(static_cast<double>(i));
  fixture.Backward(pass, dgates, sums, pass.num_tokens(), pass.num_tokens());
  const std::vector<double> dx = ToDoubles(pass.dx);
  const std::vector<double> dpoints = ToDoubles(fixture.weight().gradient());

  const auto loss_at = [&](TensorView where) {
    return [&, where](std::span<const double> values) {
      SetDoubles(where, values);
      fixture.Forward(pass);
      double loss = 0.0;
      const std::vector<double> gates = pass.gates();
      for (size_t i = 0; i < gates.size(); ++i) loss += dgates[i] * gates[i];
      const auto terms =
          fixture.router().Losses(pass.sums(), pass.num_tokens(), sums, pass.num_tokens());
      for (const LossTerm& term : terms) loss += term.value;
      return loss;
    };
  };
  const std::vector<double> x = ToDoubles(pass.x);
  EXPECT_TRUE(CheckGradient(loss_at(pass.x), dx, x, {.step = 1e-4}));
  SetDoubles(pass.x, x);
  const TensorView points = fixture.weight().value();
  EXPECT_TRUE(CheckGradient(loss_at(points), dpoints, ToDoubles(points), {.step = 1e-4}));
}

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(NearestRouter, IsTheOneInTheDocumentation) {
  const std::string code = TextOf("tests/routing/examples/nearest.cc");
  EXPECT_NE(TextOf("docs/routing.md").find("```cpp\n" + code + "```\n"), std::string::npos)
      << "the example in docs/routing.md is not tests/routing/examples/nearest.cc";
}

}  // namespace
}  // namespace equipoise::routing
