// Losses on a router's probabilities or matrix alone: "entropy" and "orthogonality". Gradients are
// held to central differences in every_router_test.

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "routing/losses/entropy.h"
#include "routing/losses/orthogonality.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

TEST(EntropyLossTest, IsTheMeanTsallisEntropy) {
  for (const double order : {1.0, 1.1, 2.0}) {
    RouterOptions options = TopKOptions(1, 2, 1);
    options.settings.Set("entropy_loss.coefficient", 0.5);
    options.settings.Set("entropy_loss.order", order);
    RouterFixture fixture(options, DType::kF64);
    SetDoubles(fixture.weight().value(), std::vector<double>{0.0, std::log(3.0)});
    // Probabilities 1/4, 3/4 and 1/2, 1/2.
    const RouterPass pass = fixture.MakePass(std::vector<double>{1.0, 0.0}, 1);
    fixture.Forward(pass);
    const auto entropy = [&](double p) {
      if (order == 1.0) return -p * std::log(p) - (1.0 - p) * std::log(1.0 - p);
      return (1.0 - std::pow(p, order) - std::pow(1.0 - p, order)) / (order - 1.0);
    };
    const auto losses = fixture.router().Losses(pass.sums(), 2, {}, 0);
    ASSERT_EQ(losses.size(), 1u);
    EXPECT_EQ(losses[0].name, "entropy");
    EXPECT_NEAR(losses[0].value, 0.5 * 0.5 * (entropy(0.25) + entropy(0.5)), 1e-14);
    EXPECT_NEAR(LargestEntropy(order, 2), entropy(0.5), 1e-14);
  }
}

// Certain tokens: zeros among the probabilities give no NaN.
TEST(EntropyLossTest, SurvivesCertainty) {
  for (const double order : {1.0, 1.5}) {
    RouterOptions options = TopKOptions(1, 2, 1);
    options.settings.Set("entropy_loss.coefficient", 0.5);
    options.settings.Set("entropy_loss.order", order);
    RouterFixture fixture(options, DType::kF32);
    SetDoubles(fixture.weight().value(), std::vector<double>{0.0, 1.0});
    const RouterPass pass = fixture.MakePass(std::vector<double>{500.0}, 1);
    fixture.Forward(pass);
    EXPECT_EQ(fixture.router().Losses(pass.sums(), 1, {}, 0)[0].value, 0.0);
    fixture.Backward(pass, std::vector<double>{0.0}, {}, 0, 1);
    EXPECT_EQ(ToDoubles(pass.dx), std::vector<double>{0.0});
  }
}

TEST(OrthogonalityLossTest, GoldenValues) {
  for (const bool gram : {false, true}) {
    RouterOptions options = TopKOptions(2, 2, 1);
    options.settings.Set("orthogonality_loss.coefficient", 3.0);
    options.settings.Set("orthogonality_loss.form", std::string(gram ? "GRAM" : "COSINE"));
    RouterFixture fixture(options, DType::kF64);
    // Lengths 5 and 2, cosine 0.6.
    SetDoubles(fixture.weight().value(), std::vector<double>{3.0, 4.0, 2.0, 0.0});
    const RouterPass pass = fixture.NormalPass(7, 1, 1);
    // GRAM: |25 - 1| + |4 - 1| + 2 * 6; COSINE: 2 * 0.36 / 4.
    const double expected = 3.0 * (gram ? 39.0 : 0.18);
    EXPECT_NEAR(fixture.router().Losses(pass.sums(), 7, {}, 0)[0].value, expected, 1e-12);
    // A pass over half of a step's tokens gives half of the gradient.
    const std::vector<double> no_gates(7, 0.0);
    fixture.Backward(pass, no_gates, {}, 0, 7);
    auto gradient = ToDoubles(fixture.weight().gradient());
    if (gram) {
      EXPECT_TRUE(AllClose(gradient, std::vector<double>{30, 24, 30, 24}, 1e-12));
    }
    fixture.Backward(pass, no_gates, {}, 0, 14);
    for (double& value : gradient) value *= 0.5;
    EXPECT_TRUE(AllClose(ToDoubles(fixture.weight().gradient()), gradient, 1e-13));
  }
}

TEST(OrthogonalityLossTest, OrthogonalRowsCostNothing) {
  RouterOptions options = TopKOptions(3, 2, 1);
  options.settings.Set("orthogonality_loss.coefficient", 1.0);
  options.settings.Set("orthogonality_loss.form", std::string("COSINE"));
  RouterFixture fixture(options, DType::kF64);
  SetDoubles(fixture.weight().value(), std::vector<double>{5, 0, 0, 0, 0, 2});
  const RouterPass pass = fixture.NormalPass(4, 1, 1);
  EXPECT_EQ(fixture.router().Losses(pass.sums(), 4, {}, 0)[0].value, 0.0);
  fixture.Backward(pass, std::vector<double>(4, 0.0), {}, 0, 4);
  EXPECT_EQ(ToDoubles(fixture.weight().gradient()), std::vector<double>(6, 0.0));
}

}  // namespace
}  // namespace equipoise::routing
