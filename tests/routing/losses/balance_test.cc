#include "routing/losses/balance.h"

#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/reference_router.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::MaxAbs;
using testing_support::ToDoubles;

constexpr int64_t kSequenceLength = 20;

RouterOptions Options(LossScope scope) {
  RouterOptions options = TopKOptions(4, 6, 2);
  options.balance_loss = {0.7, scope};
  return options;
}

double Value(const RouterFixture& fixture, const std::vector<double>& sums, int64_t tokens) {
  return fixture.router().Losses(sums, tokens, sums, tokens)[0].value;
}

TEST(BalanceLossTest, EachScopeIsItsDefinition) {
  for (const LossScope scope : {LossScope::kGlobalBatch, LossScope::kRunning,
                                LossScope::kMicroBatch, LossScope::kSequence}) {
    RouterFixture fixture(Options(scope), DType::kF64);
    const RouterPass pass = fixture.NormalPass(140, kSequenceLength, 2);
    const auto routing = RouteByDefinition(fixture.options(), ToDoubles(pass.x),
                                           ToDoubles(fixture.weight().value()));
    const int64_t group = scope == LossScope::kSequence ? kSequenceLength : 140;
    EXPECT_NEAR(Value(fixture, pass.sums(), 140),
                BalanceByDefinition(fixture.options(), routing, group), 1e-13)
        << "scope " << static_cast<int>(scope);
  }
}

TEST(BalanceLossTest, EvenLoadGivesTheCoefficient) {
  for (const LossScope scope : {LossScope::kGlobalBatch, LossScope::kSequence}) {
    RouterOptions options = Options(scope);
    options.top_k = 6;  // every expert, every token
    RouterFixture fixture(options, DType::kF64);
    const RouterPass pass = fixture.NormalPass(40, kSequenceLength, 2);
    EXPECT_NEAR(Value(fixture, pass.sums(), 40), 0.7, 1e-14);
  }
}

// The value under accumulation: the previous step's load, this step's probabilities.
TEST(BalanceLossTest, GlobalBatchTakesTheLoadItIsGiven) {
  RouterFixture fixture(Options(LossScope::kGlobalBatch), DType::kF64);
  const RouterPass before = fixture.NormalPass(60, kSequenceLength, 2);
  const RouterPass now = fixture.NormalPass(40, kSequenceLength, 3);
  const auto load = before.sums();
  const auto p =
      RouteByDefinition(fixture.options(), ToDoubles(now.x), ToDoubles(fixture.weight().value()))
          .probabilities;
  double expected = 0.0;
  for (size_t t = 0; t < 40; ++t) {
    for (size_t e = 0; e < 6; ++e) expected += load[e] / (60.0 * 2.0) * p[t * 6 + e] / 40.0;
  }
  EXPECT_NEAR(fixture.router().Losses(now.sums(), 40, load, 60)[0].value, 0.7 * 6.0 * expected,
              1e-13);
}

// Scope MICRO_BATCH of a cut step: the mean of the parts' own losses, weighted by their tokens;
// value and gradient.
TEST(BalanceLossTest, MicroBatchIsTheMeanOfItsParts) {
  RouterFixture fixture(Options(LossScope::kMicroBatch), DType::kF64);
  const RouterPass a = fixture.NormalPass(100, kSequenceLength, 2);
  const RouterPass b = fixture.NormalPass(40, kSequenceLength, 3);
  auto sums = a.sums();
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += b.sums()[i];
  EXPECT_NEAR(Value(fixture, sums, 140),
              (100.0 * Value(fixture, a.sums(), 100) + 40.0 * Value(fixture, b.sums(), 40)) / 140.0,
              1e-14);

  const std::vector<double> no_gates(80, 0.0);
  fixture.Backward(b, no_gates, {}, 0, 40);
  auto expected = ToDoubles(b.dx);
  for (double& value : expected) value *= 40.0 / 140.0;
  fixture.Backward(b, no_gates, {}, 0, 140);
  EXPECT_GT(MaxAbs(expected), 0.0);
  EXPECT_TRUE(AllClose(ToDoubles(b.dx), expected, 1e-14 * MaxAbs(expected)));
}

TEST(BalanceLossTest, WithoutStatisticsGlobalBatchHasNoGradient) {
  RouterFixture fixture(Options(LossScope::kGlobalBatch), DType::kF64);
  const RouterPass pass = fixture.NormalPass(40, kSequenceLength, 2);
  fixture.Backward(pass, std::vector<double>(80, 0.0), {}, 0, 40);
  EXPECT_EQ(MaxAbs(ToDoubles(pass.dx)), 0.0);
}

// One step down the gradient makes the load more even, in the first order.
TEST(BalanceLossTest, PointsTowardsBalance) {
  RouterFixture fixture(Options(LossScope::kGlobalBatch), DType::kF64);
  const RouterPass pass = fixture.NormalPass(200, kSequenceLength, 2);
  const auto before = pass.sums();
  fixture.Backward(pass, std::vector<double>(400, 0.0), before, 200, 200);
  auto weight = ToDoubles(fixture.weight().value());
  const auto gradient = ToDoubles(fixture.weight().gradient());
  for (size_t i = 0; i < weight.size(); ++i) weight[i] -= 0.01 * gradient[i];
  testing_support::SetDoubles(fixture.weight().value(), weight);
  fixture.Forward(pass);
  EXPECT_LT(fixture.router().Losses(pass.sums(), 200, before, 200)[0].value,
            Value(fixture, before, 200));
}

}  // namespace
}  // namespace equipoise::routing
