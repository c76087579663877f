// What must hold for every router, whatever it decides: gradients are those of the loss, a step
// does not depend on how it is cut, edge cases route, state survives a checkpoint.

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/routing/router_cases.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::CheckGradient;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 12;
constexpr int kExperts = 6;

std::vector<double> Draw(size_t size, uint64_t seed, const char* what) {
  const Philox philox(StreamKey(seed, what));
  std::vector<double> values(size);
  for (size_t i = 0; i < values.size(); ++i) values[i] = philox.Normal(i);
  return values;
}

class EveryRouterTest : public ::testing::TestWithParam<RouterCase> {
 protected:
  static int TopK() { return GetParam().kind == "switch" ? 1 : 2; }
  static RouterOptions Options(int64_t hidden, int num_experts, int top_k) {
    return GetParam().Options(hidden, num_experts, top_k);
  }
  static RouterOptions Options() { return Options(kHidden, kExperts, TopK()); }
};

// The loss of a pass: fixed weights on its gates, and the router's own losses.
double LossOf(const RouterFixture& fixture, const RouterPass& pass,
              const std::vector<double>& dgates, const std::vector<double>& load,
              int64_t load_tokens) {
  fixture.Forward(pass);
  double total = 0.0;
  const auto gates = pass.gates();
  for (size_t i = 0; i < gates.size(); ++i) total += dgates[i] * gates[i];
  for (const LossTerm& term :
       fixture.router().Losses(pass.sums(), pass.num_tokens(), load, load_tokens)) {
    total += term.value;
  }
  return total;
}

TEST_P(EveryRouterTest, GradientMatchesCentralDifferences) {
  constexpr int64_t kTokens = 8;
  constexpr int64_t kLength = 4;
  RouterFixture fixture(Options(), DType::kF64, 11);
  bool tried = false;
  for (uint64_t seed = 1; seed < 40 && !tried; ++seed) {
    const auto x = Draw(kTokens * kHidden, seed, "x");
    const RouterPass pass = fixture.MakePass(x, kLength);
    fixture.Forward(pass);
    const auto ids = pass.ids();
    // Another load than this micro-batch's own, as under accumulation.
    auto load = pass.sums();
    for (size_t e = 0; e < kExperts; ++e) load[e] += static_cast<double>(e);
    const auto dgates = Draw(pass.gates().size(), 7, "dgates");
    bool same_choice = true;
    const auto loss = [&] {
      const double value = LossOf(fixture, pass, dgates, load, 2 * kTokens);
      same_choice = same_choice && pass.ids() == ids;
      return value;
    };
    loss();
    fixture.Backward(pass, dgates, load, 2 * kTokens, kTokens);
    const auto dx = ToDoubles(pass.dx);
    std::vector<std::vector<double>> dparameters;
    for (const auto& parameter : fixture.parameters()) {
      dparameters.push_back(ToDoubles(parameter->gradient()));
    }
    std::vector<::testing::AssertionResult> results;
    results.push_back(CheckGradient(
        [&](std::span<const double> point) {
          SetDoubles(pass.x, point);
          return loss();
        },
        dx, x, {.step = 2e-4}));
    SetDoubles(pass.x, x);
    for (size_t i = 0; i < dparameters.size(); ++i) {
      const TensorView value = fixture.parameters()[i]->value();
      const auto start = ToDoubles(value);
      results.push_back(CheckGradient(
          [&](std::span<const double> point) {
            SetDoubles(value, point);
            return loss();
          },
          dparameters[i], start, {.step = 2e-4}));
      SetDoubles(value, start);
    }
    if (!same_choice) continue;  // too near a change of what is chosen
    tried = true;
    for (const auto& result : results) EXPECT_TRUE(result);
  }
  EXPECT_TRUE(tried) << "no point whose choice holds around it";
}

// A step in the given parts.
struct Step {
  std::vector<int32_t> ids;
  std::vector<double> sums;
  std::vector<double> dx;
  std::vector<double> dparameters;
  double loss = 0.0;
};

Step RunStep(const RouterOptions& options, const std::vector<int64_t>& ends, int64_t length) {
  RouterFixture fixture(options, DType::kF64);
  const int64_t tokens = ends.back();
  const int64_t copies = fixture.router().max_copies_per_token();
  const auto x = Draw(static_cast<size_t>(tokens * kHidden), 3, "x");
  const auto dgates = Draw(static_cast<size_t>(tokens * copies), 3, "dgates");
  const auto part = [](const std::vector<double>& all, int64_t begin, int64_t end, int64_t width) {
    return std::span(all).subspan(static_cast<size_t>(begin * width),
                                  static_cast<size_t>((end - begin) * width));
  };
  const auto add = [](std::span<const double> from, std::vector<double>& to) {
    to.resize(from.size(), 0.0);
    for (size_t i = 0; i < from.size(); ++i) to[i] += from[i];
  };
  Step step;
  std::vector<RouterPass> passes;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    passes.push_back(fixture.MakePass(part(x, begin, end, kHidden), length, begin));
    fixture.Forward(passes.back());
    add(passes.back().sums(), step.sums);
    const auto ids = passes.back().ids();
    step.ids.insert(step.ids.end(), ids.begin(), ids.end());
    begin = end;
  }
  begin = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    fixture.Backward(passes[i], part(dgates, begin, ends[i], copies), step.sums, tokens, tokens);
    const auto dx = ToDoubles(passes[i].dx);
    step.dx.insert(step.dx.end(), dx.begin(), dx.end());
    std::vector<double> gradients;
    for (const auto& parameter : fixture.parameters()) {
      const auto values = ToDoubles(parameter->gradient());
      gradients.insert(gradients.end(), values.begin(), values.end());
    }
    add(gradients, step.dparameters);
    begin = ends[i];
  }
  for (const LossTerm& term : fixture.router().Losses(step.sums, tokens, step.sums, tokens)) {
    step.loss += term.value;
  }
  return step;
}

TEST_P(EveryRouterTest, AnyCutGivesTheSameStep) {
  constexpr int64_t kLength = 35;  // not a divisor of a tile
  constexpr int64_t kSequences = 5;
  const Step whole = RunStep(Options(), {kSequences * kLength}, kLength);
  constexpr size_t kExact = kExperts + 1;  // integers
  for (int64_t first = 0; first <= kSequences; ++first) {
    SCOPED_TRACE(::testing::Message() << "first part: " << first << " sequences");
    const Step cut = RunStep(Options(), {first * kLength, kSequences * kLength}, kLength);
    EXPECT_EQ(cut.ids, whole.ids);
    EXPECT_TRUE(SameBits(std::span(cut.sums).first(kExact), std::span(whole.sums).first(kExact)));
    EXPECT_TRUE(AllClose(cut.sums, whole.sums, 1e-12 * MaxAbs(whole.sums)));
    EXPECT_TRUE(AllClose(cut.dx, whole.dx, 1e-12 * MaxAbs(whole.dx)));
    EXPECT_TRUE(
        AllClose(cut.dparameters, whole.dparameters, 1e-12 * (1.0 + MaxAbs(whole.dparameters))));
    EXPECT_NEAR(cut.loss, whole.loss, 1e-12 * std::fabs(whole.loss));
  }
}

// Routes x, and checks that what comes out can be worked with.
void CheckRoutes(const RouterOptions& options, const std::vector<double>& x, int64_t length) {
  RouterFixture fixture(options, DType::kF32);
  const RouterPass pass = fixture.MakePass(x, length);
  fixture.Forward(pass);
  const int64_t copies = fixture.router().max_copies_per_token();
  const auto ids = pass.ids();
  const auto gates = pass.gates();
  ASSERT_EQ(static_cast<int64_t>(ids.size()), pass.num_tokens() * copies);
  double live = 0.0;
  for (int64_t t = 0; t < pass.num_tokens(); ++t) {
    std::set<int32_t> seen;
    for (int64_t k = 0; k < copies; ++k) {
      const auto i = static_cast<size_t>(t * copies + k);
      ASSERT_TRUE(ids[i] >= -1 && ids[i] < options.num_experts) << ids[i];
      ASSERT_TRUE(std::isfinite(gates[i]));
      if (ids[i] < 0) {
        EXPECT_EQ(gates[i], 0.0);
        continue;
      }
      live += 1.0;
      EXPECT_TRUE(seen.insert(ids[i]).second) << "expert " << ids[i] << " twice";
    }
  }
  const auto sums = pass.sums();
  double counted = 0.0;
  for (size_t e = 0; e < static_cast<size_t>(options.num_experts); ++e) counted += sums[e];
  EXPECT_EQ(counted, live + sums[static_cast<size_t>(options.num_experts)]);
  fixture.Backward(pass, std::vector<double>(gates.size(), 1.0), sums, pass.num_tokens(),
                   pass.num_tokens());
  for (const double value : ToDoubles(pass.dx)) ASSERT_TRUE(std::isfinite(value));
  for (const auto& parameter : fixture.parameters()) {
    for (const double value : ToDoubles(parameter->gradient())) {
      ASSERT_TRUE(std::isfinite(value));
    }
  }
  for (const LossTerm& term :
       fixture.router().Losses(sums, pass.num_tokens(), sums, pass.num_tokens())) {
    EXPECT_TRUE(std::isfinite(term.value)) << term.name;
  }
}

TEST_P(EveryRouterTest, RoutesEdgeCases) {
  const auto x = Draw(8 * kHidden, 5, "x");
  std::vector<double> alike;
  for (int t = 0; t < 8; ++t) alike.insert(alike.end(), x.begin(), x.begin() + kHidden);
  const std::vector<double> zeros(8 * kHidden, 0.0);
  const bool one_only = GetParam().kind == "switch";
  for (const int top_k : {1, 2, kExperts}) {
    if (top_k > 1 && one_only) continue;
    SCOPED_TRACE(::testing::Message() << "K " << top_k);
    const RouterOptions options = Options(kHidden, kExperts, top_k);
    CheckRoutes(options, x, 4);
    CheckRoutes(options, alike, 4);
    CheckRoutes(options, zeros, 8);  // every expert ties
    CheckRoutes(options, {x.begin(), x.begin() + kHidden}, 1);
    CheckRoutes(options, {}, 4);
  }
  CheckRoutes(Options(kHidden, 1, 1), x, 4);
}

TEST_P(EveryRouterTest, EvaluationRepeatsItself) {
  RouterFixture fixture(Options(), DType::kF32);
  RouterPass pass = fixture.NormalPass(40, 20, 2);
  pass.input.training = false;
  fixture.Forward(pass);
  const auto gates = pass.gates();
  pass.input.step = 9;  // noise would change with the step
  fixture.Forward(pass);
  EXPECT_TRUE(SameBits(pass.gates(), gates));
}

TEST_P(EveryRouterTest, StateSurvivesACheckpoint) {
  RouterFixture fixture(Options(), DType::kF32);
  for (uint64_t step = 1; step <= 3; ++step) {
    const RouterPass pass = fixture.NormalPass(40, 20, step);
    fixture.router().EndStep(fixture.test_context().context(), pass.sums(), 40);
  }
  const auto kept = fixture.router().state();
  const std::vector<double> state(kept.begin(), kept.end());
  RouterFixture resumed(Options(), DType::kF32);
  for (size_t i = 0; i < fixture.parameters().size(); ++i) {
    SetDoubles(resumed.parameters()[i]->value(), ToDoubles(fixture.parameters()[i]->value()));
  }
  ASSERT_TRUE(resumed.router().SetState(state).ok());
  const RouterPass a = fixture.NormalPass(40, 20, 9);
  const RouterPass b = resumed.NormalPass(40, 20, 9);
  EXPECT_EQ(a.ids(), b.ids());
  EXPECT_TRUE(SameBits(a.gates(), b.gates()));
  std::vector<double> wrong = state;
  wrong.push_back(0.0);
  EXPECT_EQ(resumed.router().SetState(wrong).code(), absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(All, EveryRouterTest, ::testing::ValuesIn(RouterCases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace equipoise::routing
