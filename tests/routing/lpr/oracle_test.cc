// The fused router against the composed one, which forms every array in full.

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "routing/reference/lpr.h"
#include "tests/routing/lpr/lpr_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using reference::LprParameters;
using reference::LprStep;
using reference::Matrix;
using testing_support::AllClose;
using testing_support::Epsilon;
using testing_support::MaxAbs;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 11;

Matrix<double> ToMatrix(ConstTensorView view) {
  const int64_t columns = view.dim(view.shape().rank() - 1);
  return {view.num_elements() / columns, columns, ToDoubles(view)};
}

LprParameters<double> ParametersOf(const LprFixture& fixture, const LprOptions& options) {
  LprParameters<double> parameters;
  const auto value = [&](const char* name) { return ToMatrix(fixture.parameter(name).value()); };
  parameters.gain = value("norm.weight");
  parameters.shift = value("norm.bias");
  parameters.weight = value("encoder.weight");
  parameters.bias = value("encoder.bias");
  parameters.prototypes = value("prototypes");
  if (options.decode) {
    parameters.decoder = value("decoder.weight");
    parameters.decoder_bias = value("decoder.bias");
  }
  if (options.learn_temperature) {
    parameters.log_temperature = value("log_temperature").values[0];
  }
  return parameters;
}

// Mode, E, K, T.
using Case = std::tuple<std::string, int, int, int64_t>;

class LprOracleTest : public ::testing::TestWithParam<std::tuple<Case, DType>> {
 protected:
  static LprOptions Options(const std::string& mode) {
    LprOptions options = mode == "REFERENCE" ? ReferenceLprOptions()
                         : mode == "LEAN"    ? LeanLprOptions()
                                             : GeometricLprOptions(kHidden);
    options.prototypes = PrototypeRule::kLearned;
    options.latent_dim = 5;
    options.weights = {.kl = 0.3,
                       .token_diversity = 2.0,
                       .mean_direction = 1.5,
                       .prototype_diversity = 3.0,
                       .alignment = 0.7,
                       .soft_load = 0.4};
    return options;
  }

  static LprStep<double> Expected(LprFixture& fixture, const LprOptions& options,
                                  const LprPass& pass, const LprGradients& gradients) {
    LprStep<double> step;
    const int64_t tokens = pass.num_tokens();
    const int top_k = fixture.options().top_k;
    step.x = ToMatrix(pass.x);
    step.noise = Matrix<double>::Zeros(tokens, options.latent_dim);
    const auto noise = MakeSineNoise();
    for (int64_t t = 0; t < tokens; ++t) {
      noise->Draw(0, t, {step.noise.row(t), static_cast<size_t>(options.latent_dim)});
    }
    step.dgates = {tokens, top_k, gradients.dgates};
    step.dexpert_input = {tokens, kHidden, gradients.dexpert_input};
    reference::RunLpr(fixture.test_context().context(), options, top_k,
                      ParametersOf(fixture, options), step);
    return step;
  }
};

TEST_P(LprOracleTest, FusedIsTheSame) {
  const auto& [test_case, dtype] = GetParam();
  const auto& [mode, experts, top_k, tokens] = test_case;
  const LprOptions options = Options(mode);
  LprFixture fixture(LprRouterOptions(kHidden, experts, top_k), options, dtype, 3);
  const LprPass pass = fixture.MakePass(DrawNormal(static_cast<size_t>(tokens * kHidden), 8, "x"));
  fixture.Forward(pass);
  LprGradients gradients;
  gradients.dgates = DrawNormal(pass.gates().size(), 7, "dgates");
  gradients.dexpert_input =
      DrawNormal(static_cast<size_t>(pass.x.num_elements()), 7, "dexpert_input");
  gradients.load = pass.sums();
  gradients.load_tokens = gradients.batch_tokens = tokens;
  fixture.Backward(pass, gradients);
  const LprStep<double> expected = Expected(fixture, options, pass, gradients);

  // Cosines carry the rounding of H and D products; sharp softmaxes multiply it by ten.
  const double tolerance = 20.0 * Epsilon(dtype) * static_cast<double>(kHidden + experts);
  const auto close = [&](const std::vector<double>& actual, const std::vector<double>& oracle,
                         double scale) {
    return AllClose(actual, oracle, scale * tolerance * (1.0 + MaxAbs(oracle)));
  };
  ASSERT_EQ(pass.ids(), expected.ids);
  EXPECT_TRUE(close(pass.gates(), expected.gates.values, 1.0));
  if (options.decode) {
    EXPECT_TRUE(close(ToDoubles(pass.expert_input), expected.expert_input.values, 1.0));
  }
  const std::vector<std::pair<std::string, double>> losses = {
      {"latent_kl", expected.losses.kl},
      {"token_diversity", expected.losses.token_diversity},
      {"mean_direction", expected.losses.mean_direction},
      {"prototype_diversity", expected.losses.prototype_diversity},
      {"alignment", expected.losses.alignment},
      {"soft_load", expected.losses.soft_load}};
  const auto terms = fixture.router().Losses(pass.sums(), tokens, pass.sums(), tokens);
  ASSERT_EQ(terms.size(), losses.size());
  for (size_t i = 0; i < terms.size(); ++i) {
    EXPECT_EQ(terms[i].name, losses[i].first);
    EXPECT_TRUE(close({terms[i].value}, {losses[i].second}, 1.0)) << terms[i].name;
  }

  // Sums over tokens.
  const double sum = std::sqrt(static_cast<double>(tokens));
  EXPECT_TRUE(close(ToDoubles(pass.dx), expected.dx.values, 4.0));
  const auto gradient = [&](const char* name) {
    return ToDoubles(fixture.parameter(name).gradient());
  };
  EXPECT_TRUE(close(gradient("norm.weight"), expected.gradients.gain.values, sum));
  EXPECT_TRUE(close(gradient("norm.bias"), expected.gradients.shift.values, sum));
  EXPECT_TRUE(close(gradient("encoder.weight"), expected.gradients.weight.values, sum));
  EXPECT_TRUE(close(gradient("encoder.bias"), expected.gradients.bias.values, sum));
  EXPECT_TRUE(close(gradient("prototypes"), expected.gradients.prototypes.values, sum));
  if (options.decode) {
    EXPECT_TRUE(close(gradient("decoder.weight"), expected.gradients.decoder.values, sum));
    EXPECT_TRUE(close(gradient("decoder.bias"), expected.gradients.decoder_bias.values, sum));
  }
  if (options.learn_temperature) {
    EXPECT_TRUE(close(gradient("log_temperature"), {expected.gradients.log_temperature}, sum));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, LprOracleTest,
    ::testing::Combine(::testing::Combine(::testing::Values("REFERENCE", "LEAN", "GEOMETRIC"),
                                          ::testing::Values(2, 8), ::testing::Values(1, 2),
                                          ::testing::Values(int64_t{1}, int64_t{2}, int64_t{8},
                                                            int64_t{70})),
                       ::testing::Values(DType::kF32, DType::kF64)));

}  // namespace
}  // namespace equipoise::routing
