// What router lpr does with a step, whatever its mode: edge cases, cuts, missing statistics,
// memory.

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/lpr/lpr_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 7;

// Every loss, large.
LprOptions Heavy(LprOptions options) {
  options.latent_dim = 3;
  options.weights.kl = 0.3;
  options.weights.token_diversity = 2.0;
  options.weights.mean_direction = 1.5;
  options.weights.soft_load = 0.4;
  if (options.prototypes == PrototypeRule::kFixed) return options;
  options.weights.prototype_diversity = 3.0;
  options.weights.prototype_repulsion = 2.0;
  options.weights.alignment = 0.7;
  return options;
}

std::vector<LprOptions> Modes() {
  LprOptions decoding = GeometricLprOptions(kHidden);
  decoding.decode = true;
  LprOptions unit = GeometricLprOptions(kHidden);
  unit.prototypes = PrototypeRule::kLearnedUnit;
  std::vector<LprOptions> modes = {Heavy(ReferenceLprOptions()), Heavy(LeanLprOptions()),
                                   Heavy(GeometricLprOptions(kHidden)), Heavy(decoding),
                                   Heavy(unit)};
  for (const char* similarity : {"CROSS_ATTENTION", "GAUSSIAN", "MAHALANOBIS", "KL", "WASSERSTEIN",
                                 "BHATTACHARYYA", "HELLINGER"}) {
    modes.push_back(Heavy(ReferenceLprOptions()));
    modes.back().similarity = similarity;
  }
  return modes;
}

LprGradients OnesFor(const LprPass& pass) {
  LprGradients gradients;
  gradients.dgates.assign(pass.gates().size(), 1.0);
  gradients.dexpert_input.assign(static_cast<size_t>(pass.x.num_elements()), 0.5);
  gradients.load = pass.sums();
  gradients.load_tokens = gradients.batch_tokens = pass.num_tokens();
  return gradients;
}

void ExpectFinite(const std::vector<double>& values) {
  for (const double value : values) ASSERT_TRUE(std::isfinite(value));
}

void CheckRoutes(const RouterOptions& router, const LprOptions& options,
                 const std::vector<double>& x) {
  LprFixture fixture(router, options, DType::kF32);
  const LprPass pass = fixture.MakePass(x);
  fixture.Forward(pass);
  const auto ids = pass.ids();
  const auto gates = pass.gates();
  const size_t top_k = static_cast<size_t>(router.top_k);
  for (size_t i = 0; i < ids.size(); i += top_k) {
    const std::set<int32_t> different(ids.begin() + static_cast<ptrdiff_t>(i),
                                      ids.begin() + static_cast<ptrdiff_t>(i + top_k));
    EXPECT_EQ(different.size(), top_k);
    double sum = 0.0;
    for (size_t k = 0; k < top_k; ++k) sum += gates[i + k];
    EXPECT_NEAR(sum, 1.0, 1e-6);
  }
  fixture.Backward(pass, OnesFor(pass));
  ExpectFinite(ToDoubles(pass.dx));
  ExpectFinite(ToDoubles(pass.expert_input));
  for (const auto& parameter : fixture.parameters().parameters()) {
    ExpectFinite(ToDoubles(parameter->gradient()));
  }
  for (const LossTerm& term :
       fixture.router().Losses(pass.sums(), pass.num_tokens(), pass.sums(), pass.num_tokens())) {
    EXPECT_TRUE(std::isfinite(term.value)) << term.name;
  }
}

TEST(LprTest, RoutesEdgeCases) {
  const auto x = DrawNormal(8 * kHidden, 5, "x");
  std::vector<double> alike;
  for (int t = 0; t < 8; ++t) alike.insert(alike.end(), x.begin(), x.begin() + kHidden);
  for (const LprOptions& options : Modes()) {
    SCOPED_TRACE(options.similarity);
    for (const int top_k : {1, 2, 6}) {
      const RouterOptions router = LprRouterOptions(kHidden, 6, top_k);
      CheckRoutes(router, options, x);
      CheckRoutes(router, options, alike);
      CheckRoutes(router, options, std::vector<double>(8 * kHidden, 0.0));
      CheckRoutes(router, options, {x.begin(), x.begin() + kHidden});
      CheckRoutes(router, options, {});
    }
    CheckRoutes(LprRouterOptions(kHidden, 1, 1), options, x);
  }
}

TEST(LprTest, TiesGoToTheLowestId) {
  LprOptions options = LeanLprOptions();
  options.latent_dim = 2;
  LprFixture fixture(LprRouterOptions(kHidden, 5, 3), options, DType::kF64);
  SetDoubles(fixture.parameter("prototypes").value(), std::vector<double>(10, 0.5));
  const LprPass pass = fixture.MakePass(DrawNormal(3 * kHidden, 2, "x"));
  fixture.Forward(pass);
  EXPECT_EQ(pass.ids(), (std::vector<int32_t>{0, 1, 2, 0, 1, 2, 0, 1, 2}));
}

// A latent without a direction: no gradient through it, and nothing that is not a number.
TEST(LprTest, SurvivesLatentsOfLengthZero) {
  LprFixture fixture(LprRouterOptions(kHidden, 5, 2), Heavy(LeanLprOptions()), DType::kF32);
  for (const char* name : {"encoder.bias", "norm.bias"}) {
    const TensorView value = fixture.parameter(name).value();
    SetDoubles(value, std::vector<double>(static_cast<size_t>(value.num_elements()), 0.0));
  }
  const LprPass pass = fixture.MakePass(std::vector<double>(3 * kHidden, 2.0));
  fixture.Forward(pass);
  fixture.Backward(pass, OnesFor(pass));
  ExpectFinite(pass.gates());
  ExpectFinite(ToDoubles(pass.dx));
  ExpectFinite(ToDoubles(fixture.parameter("encoder.weight").gradient()));
}

// A step in parts, each told its place in the step.
struct Step {
  std::vector<int32_t> ids;
  std::vector<double> sums, expert_input, dx, dparameters;
  double loss = 0.0;
};

void Append(const std::vector<double>& from, std::vector<double>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

void Add(const std::vector<double>& from, std::vector<double>& to) {
  to.resize(from.size(), 0.0);
  for (size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

Step RunStep(const LprOptions& options, const std::vector<int64_t>& ends) {
  LprFixture fixture(LprRouterOptions(kHidden, 9, 3), options, DType::kF64);
  const int64_t tokens = ends.back();
  const auto part = [&](const char* what, int64_t begin, int64_t end, int64_t width) {
    const auto all = DrawNormal(static_cast<size_t>(tokens * width), 3, what);
    return std::vector<double>(all.begin() + begin * width, all.begin() + end * width);
  };
  Step step;
  std::vector<LprPass> passes;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    passes.push_back(fixture.MakePass(part("x", begin, end, kHidden), begin));
    fixture.Forward(passes.back());
    Add(passes.back().sums(), step.sums);
    Append(ToDoubles(passes.back().expert_input), step.expert_input);
    const auto ids = passes.back().ids();
    step.ids.insert(step.ids.end(), ids.begin(), ids.end());
    begin = end;
  }
  begin = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    LprGradients gradients;
    gradients.dgates = part("dgates", begin, ends[i], 3);
    gradients.dexpert_input = part("dexpert_input", begin, ends[i], kHidden);
    gradients.load = step.sums;
    gradients.load_tokens = gradients.batch_tokens = tokens;
    fixture.Backward(passes[i], gradients);
    Append(ToDoubles(passes[i].dx), step.dx);
    std::vector<double> dparameters;
    for (const auto& parameter : fixture.parameters().parameters()) {
      Append(ToDoubles(parameter->gradient()), dparameters);
    }
    Add(dparameters, step.dparameters);
    begin = ends[i];
  }
  for (const LossTerm& term : fixture.router().Losses(step.sums, tokens, step.sums, tokens)) {
    step.loss += term.value;
  }
  return step;
}

TEST(LprTest, AnyCutGivesTheSameStep) {
  constexpr int64_t kTokens = 150;
  for (const LprOptions& options : Modes()) {
    SCOPED_TRACE(options.similarity);
    const Step whole = RunStep(options, {kTokens});
    for (const int64_t first : {0, 1, 64, 101, 150}) {
      SCOPED_TRACE(first);
      const Step cut = RunStep(options, {first, kTokens});
      EXPECT_EQ(cut.ids, whole.ids);
      EXPECT_TRUE(AllClose(cut.sums, whole.sums, 1e-12 * MaxAbs(whole.sums)));
      EXPECT_TRUE(AllClose(cut.expert_input, whole.expert_input, 1e-13));
      EXPECT_TRUE(AllClose(cut.dx, whole.dx, 1e-12 * MaxAbs(whole.dx)));
      EXPECT_TRUE(AllClose(cut.dparameters, whole.dparameters, 1e-12 * MaxAbs(whole.dparameters)));
      EXPECT_NEAR(cut.loss, whole.loss, 1e-12 * std::fabs(whole.loss));
    }
  }
}

// The first step under accumulation: losses that need the step's statistics are absent, value and
// gradient; the others stay.
TEST(LprTest, WithoutStatisticsOnlyLinearLossesAct) {
  LprOptions linear = ReferenceLprOptions();
  linear.weights = {.kl = 0.3, .prototype_diversity = 0.7};
  LprOptions all = linear;
  all.weights.token_diversity = 1.0;
  all.weights.mean_direction = 1.0;
  all.weights.alignment = 1.0;
  all.weights.soft_load = 1.0;
  const auto x = DrawNormal(20 * kHidden, 5, "x");
  std::vector<std::vector<double>> results;
  for (const LprOptions& options : {linear, all}) {
    LprFixture fixture(LprRouterOptions(kHidden, 6, 2), options, DType::kF64);
    const LprPass pass = fixture.MakePass(x);
    fixture.Forward(pass);
    LprGradients gradients = OnesFor(pass);
    gradients.load.clear();
    gradients.load_tokens = 0;
    fixture.Backward(pass, gradients);
    std::vector<double> result = {fixture.Loss(pass, gradients)};
    Append(ToDoubles(pass.dx), result);
    Append(ToDoubles(fixture.parameter("prototypes").gradient()), result);
    results.push_back(result);
  }
  EXPECT_TRUE(SameBits(results[0], results[1]));
}

TEST(LprTest, RepeatsItselfBitForBit) {
  LprFixture fixture(LprRouterOptions(kHidden, 6, 2), Heavy(ReferenceLprOptions()), DType::kF32);
  const LprPass pass = fixture.MakePass(DrawNormal(100 * kHidden, 5, "x"));
  fixture.Forward(pass);
  const auto gates = pass.gates();
  const auto sums = pass.sums();
  fixture.Backward(pass, OnesFor(pass));
  const auto dx = ToDoubles(pass.dx);
  fixture.Forward(pass);
  fixture.Backward(pass, OnesFor(pass));
  EXPECT_TRUE(SameBits(pass.gates(), gates));
  EXPECT_TRUE(SameBits(pass.sums(), sums));
  EXPECT_TRUE(SameBits(ToDoubles(pass.dx), dx));
}

// At most 2 D + 2 K + 8 numbers a token, whatever the mode and with ids kept for capacity too.
TEST(LprTest, SavesLittle) {
  for (const double capacity : {0.0, 1.0}) {
    for (const int top_k : {1, 6}) {
      RouterOptions router = LprRouterOptions(kHidden, 6, top_k);
      router.capacity.factor = capacity;
      for (const LprOptions& options : Modes()) {
        LprFixture fixture(router, options, DType::kF32);
        EXPECT_LE(fixture.router().saved_per_token(), 2 * options.latent_dim + 2 * top_k + 8)
            << options.similarity;
      }
    }
  }
}

// What is saved and what is in scratch memory, at a size where T x E x D or T x T would show.
TEST(LprTest, TakesLittleMemory) {
  constexpr int64_t kTokens = 4096;
  const RouterOptions router = LprRouterOptions(32, 64, 8);
  LprOptions options = ReferenceLprOptions();
  options.decode = false;
  LprFixture fixture(router, options, DType::kF32);
  EXPECT_EQ(fixture.router().saved_per_token(), 2 * options.latent_dim);
  const LprPass pass = fixture.MakePass(DrawNormal(kTokens * 32, 5, "x"));
  fixture.Forward(pass);
  fixture.Backward(pass, OnesFor(pass));
  const Workspace& scratch = *fixture.test_context().context().scratch;
  EXPECT_LE(scratch.high_water_bytes(), size_t{512} << 10);  // T x E alone would be a mebibyte
  EXPECT_EQ(scratch.mark(), 0u);
}

TEST(LprTest, UnitPrototypesStaySo) {
  LprOptions options = GeometricLprOptions(kHidden);
  options.latent_dim = 3;
  options.prototypes = PrototypeRule::kLearnedUnit;
  LprFixture fixture(LprRouterOptions(kHidden, 6, 2), options, DType::kF64);
  fixture.router().EndStep(
      fixture.test_context().context(),
      std::vector<double>(static_cast<size_t>(fixture.router().num_statistics()), 1.0), 1);
  const auto points = ToDoubles(fixture.parameter("prototypes").value());
  for (size_t e = 0; e < points.size(); e += 3) {
    EXPECT_NEAR(testing_support::EuclideanNorm(std::span(points).subspan(e, 3)), 1.0, 1e-15);
  }
}

TEST(LprTest, NamesWhatCannotBe) {
  const auto error = [](const LprOptions& options) {
    ParameterRegistry parameters;
    const auto router =
        MakeLpr(LprRouterOptions(kHidden, 6, 2), options, MakeSineNoise(), parameters);
    EXPECT_EQ(router.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(router.status().message());
  };
  LprOptions options = LeanLprOptions();
  options.similarity = "DOT";
  EXPECT_NE(error(options).find("similarity is 'DOT', not COSINE or"), std::string::npos);
  options.similarity = "KL";
  EXPECT_EQ(error(options),
            "similarity KL compares distributions: it needs mode REFERENCE, which has variances");
  options = GeometricLprOptions(kHidden);
  options.similarity = "GAUSSIAN";
  EXPECT_EQ(error(options),
            "similarity GAUSSIAN is not of directions alone: it needs prototypes LEARNED");
  options = GeometricLprOptions(kHidden);
  options.weights.alignment = 0.1;
  EXPECT_NE(error(options).find("prototypes are FIXED"), std::string::npos);
  options = LeanLprOptions();
  options.temperature = 0.0;
  EXPECT_EQ(error(options), "router lpr: temperature is 0, must be above 0");
  options = LeanLprOptions();
  options.weights.kl = -0.5;
  EXPECT_NE(error(options).find("losses.kl is -0.5"), std::string::npos);
}

}  // namespace
}  // namespace equipoise::routing
