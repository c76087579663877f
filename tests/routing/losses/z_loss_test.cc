#include "routing/losses/z_loss.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

// Two tokens of width 1 with logits x * (ln 1, ln 3), for either score function: z-loss is of the
// logits, whatever scores are made of them.
TEST(ZLossTest, GoldenValueAndGradient) {
  for (const char* score : {"SOFTMAX", "SIGMOID"}) {
    RouterOptions options = TopKOptions(1, 2, 1);
    options.settings = TopKSettings(score, "SCORE_ALL", true, 1.0);
    options.z_loss = {0.5};
    RouterFixture fixture(options, DType::kF64);
    SetDoubles(fixture.weight().value(), std::vector<double>{0.0, std::log(3.0)});
    const RouterPass pass = fixture.MakePass(std::vector<double>{1.0, 0.0}, 1);
    fixture.Forward(pass);
    const double first = std::log(4.0);
    const double second = std::log(2.0);
    EXPECT_NEAR(pass.sums()[4], first * first + second * second, 1e-14) << score;
    EXPECT_NEAR(fixture.router().Losses(pass.sums(), 2, {}, 0)[0].value,
                0.25 * (first * first + second * second), 1e-14);
    // dx_t = 0.5 * 2 lse_t / 2 * sum_e softmax_e w_e.
    fixture.Backward(pass, std::vector<double>{0.0, 0.0}, {}, 0, 2);
    EXPECT_TRUE(AllClose(
        ToDoubles(pass.dx),
        std::vector<double>{0.5 * first * 0.75 * std::log(3.0), 0.5 * second * 0.5 * std::log(3.0)},
        1e-14))
        << score;
  }
}

}  // namespace
}  // namespace equipoise::routing
