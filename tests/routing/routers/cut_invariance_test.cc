// A step cut into several calls: the sums add up, and given the step's statistics the loss and the
// gradients are the same.

#include <cmath>
#include <numeric>
#include <tuple>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 6;
constexpr int64_t kSequenceLength = 35;  // not a divisor of a tile
constexpr int64_t kSequences = 6;
constexpr int64_t kTokens = kSequences * kSequenceLength;
constexpr int kExperts = 9;
constexpr int kTopK = 3;

std::vector<double> Draw(size_t size, const char* what) {
  const Philox philox(StreamKey(3, what));
  std::vector<double> values(size);
  for (size_t i = 0; i < values.size(); ++i) values[i] = philox.Normal(i);
  return values;
}

std::span<const double> Part(const std::vector<double>& all, int64_t begin, int64_t end,
                             int64_t width) {
  return std::span(all).subspan(static_cast<size_t>(begin * width),
                                static_cast<size_t>((end - begin) * width));
}

class CutInvarianceTest
    : public ::testing::TestWithParam<std::tuple<const char*, LossScope, double>> {
 protected:
  static RouterOptions Options() {
    const auto [score, scope, capacity] = GetParam();
    RouterOptions options = TopKOptions(kHidden, kExperts, kTopK);
    options.settings = TopKSettings(score, "SCORE_ALL", true, 1.0);
    options.balance_loss = {0.3, scope};
    options.z_loss = {0.1};
    options.capacity = {capacity};
    return options;
  }

  // Sums and gradients of a step whose tokens go through the router in the given parts.
  struct Step {
    std::vector<double> sums;
    std::vector<double> dx;
    std::vector<double> dweight;
    double loss = 0.0;
  };
  static Step Run(const std::vector<int64_t>& ends) {
    RouterFixture fixture(Options(), DType::kF64);
    const auto x = Draw(kTokens * kHidden, "x");
    const auto dgates = Draw(kTokens * kTopK, "dgates");
    Step step;
    std::vector<RouterPass> passes;
    for (size_t i = 0; i < ends.size(); ++i) {
      const int64_t begin = i == 0 ? 0 : ends[i - 1];
      passes.push_back(fixture.MakePass(Part(x, begin, ends[i], kHidden), kSequenceLength));
      fixture.Forward(passes.back());
      const auto sums = passes.back().sums();
      if (step.sums.empty()) step.sums.assign(sums.size(), 0.0);
      for (size_t j = 0; j < sums.size(); ++j) step.sums[j] += sums[j];
    }
    step.dweight.assign(kExperts * kHidden, 0.0);
    for (size_t i = 0; i < ends.size(); ++i) {
      const int64_t begin = i == 0 ? 0 : ends[i - 1];
      fixture.Backward(passes[i], Part(dgates, begin, ends[i], kTopK), step.sums, kTokens, kTokens);
      const auto dx = ToDoubles(passes[i].dx);
      step.dx.insert(step.dx.end(), dx.begin(), dx.end());
      const auto dweight = ToDoubles(fixture.weight().gradient());
      for (size_t j = 0; j < dweight.size(); ++j) step.dweight[j] += dweight[j];
    }
    for (const LossTerm& term : fixture.router().Losses(step.sums, kTokens, step.sums, kTokens)) {
      step.loss += term.value;
    }
    return step;
  }
};

TEST_P(CutInvarianceTest, AnyCutGivesTheSameStep) {
  const Step whole = Run({kTokens});
  // Counts and dropped copies are integers; the rest are sums of a few thousand rounded terms.
  constexpr size_t kExact = kExperts + 1;
  for (int64_t sequences = 0; sequences <= kSequences; ++sequences) {
    SCOPED_TRACE(::testing::Message() << "first part: " << sequences << " sequences");
    const Step cut = Run({sequences * kSequenceLength, kTokens});
    EXPECT_TRUE(SameBits(std::span(cut.sums).first(kExact), std::span(whole.sums).first(kExact)));
    EXPECT_TRUE(AllClose(cut.sums, whole.sums, 1e-12 * MaxAbs(whole.sums)));
    EXPECT_TRUE(AllClose(cut.dx, whole.dx, 1e-12 * MaxAbs(whole.dx)));
    EXPECT_TRUE(AllClose(cut.dweight, whole.dweight, 1e-12 * MaxAbs(whole.dweight)));
    EXPECT_NEAR(cut.loss, whole.loss, 1e-12 * std::fabs(whole.loss));
  }
}

INSTANTIATE_TEST_SUITE_P(All, CutInvarianceTest,
                         ::testing::Combine(::testing::Values("SOFTMAX", "SIGMOID"),
                                            ::testing::Values(LossScope::kGlobalBatch,
                                                              LossScope::kRunning,
                                                              LossScope::kSequence),
                                            ::testing::Values(0.0, 0.8)));

// The backward pass makes its tiles again: the same gradient, bit for bit, every time.
TEST(RecomputeTest, BackwardRepeatsItself) {
  RouterOptions options = TopKOptions(kHidden, kExperts, kTopK);
  options.balance_loss = {0.3, LossScope::kSequence};
  RouterFixture fixture(options, DType::kF32);
  const RouterPass pass = fixture.NormalPass(kTokens, kSequenceLength, 4);
  const auto gates = pass.gates();
  const auto dgates = Draw(gates.size(), "dgates");
  fixture.Backward(pass, dgates, {}, 0, kTokens);
  const auto dx = ToDoubles(pass.dx);
  fixture.Forward(pass);
  EXPECT_TRUE(SameBits(pass.gates(), gates));
  fixture.Backward(pass, dgates, {}, 0, kTokens);
  EXPECT_TRUE(SameBits(ToDoubles(pass.dx), dx));
}

}  // namespace
}  // namespace equipoise::routing
