// The rival computes what the router does: against the oracle in double.

#include "tests/bench/unfused_lpr.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "routing/reference/lpr.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise::bench {
namespace {

using routing::reference::LprParameters;
using routing::reference::LprStep;
using routing::reference::Matrix;
using testing_support::AllClose;
using testing_support::Epsilon;
using testing_support::MaxAbs;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr int64_t kTokens = 37, kHidden = 19, kExperts = 9, kTopK = 3, kDimensions = 5;

Matrix<double> ToMatrix(ConstTensorView view) {
  const int64_t columns = view.dim(view.shape().rank() - 1);
  return {view.num_elements() / columns, columns, ToDoubles(view)};
}

class UnfusedLprTest : public ::testing::TestWithParam<std::tuple<bool, UnfusedLpr::Form>> {
 protected:
  static routing::LprOptions Options() {
    routing::LprOptions options =
        std::get<0>(GetParam()) ? routing::ReferenceLprOptions() : routing::LeanLprOptions();
    options.latent_dim = kDimensions;
    options.weights = {
        .kl = 0.3, .token_diversity = 2.0, .prototype_diversity = 3.0, .alignment = 0.7};
    return options;
  }

  static UnfusedLprParameters Draw(TestContext& context, const routing::LprOptions& options) {
    const auto draw = [&](const Shape& shape, uint64_t key, double stddev) {
      return context.Normal(DType::kF32, shape, key, stddev);
    };
    const int64_t moments = (options.log_variances ? 2 : 1) * kDimensions;
    UnfusedLprParameters parameters;
    parameters.gain = draw({kHidden}, 1, 1.0);
    parameters.shift = draw({kHidden}, 2, 0.3);
    parameters.weight = draw({moments, kHidden}, 3, 0.3);
    parameters.bias = draw({moments}, 4, 0.3);
    parameters.prototypes = draw({kExperts, kDimensions}, 5, 1.0);
    if (!options.decode) return parameters;
    parameters.decoder = draw({kHidden, kDimensions}, 6, 0.5);
    parameters.decoder_bias = draw({kHidden}, 7, 0.5);
    return parameters;
  }

  static LprParameters<double> ToReference(const UnfusedLprParameters& from) {
    LprParameters<double> parameters;
    parameters.gain = ToMatrix(from.gain);
    parameters.shift = ToMatrix(from.shift);
    parameters.weight = ToMatrix(from.weight);
    parameters.bias = ToMatrix(from.bias);
    parameters.prototypes = ToMatrix(from.prototypes);
    if (from.decoder.absent()) return parameters;
    parameters.decoder = ToMatrix(from.decoder);
    parameters.decoder_bias = ToMatrix(from.decoder_bias);
    return parameters;
  }
};

TEST_P(UnfusedLprTest, AgreesWithTheOracle) {
  TestContext context;
  const routing::LprOptions options = Options();
  const UnfusedLprParameters parameters = Draw(context, options);
  const auto noise = routing::MakeLatentNoise(routing::RouterOptions());
  auto router =
      UnfusedLpr::Create(context.device(), {kTokens, kHidden, kExperts, kTopK, kDimensions},
                         std::get<1>(GetParam()), options, parameters, *noise);
  ASSERT_TRUE(router.ok()) << router.status();
  UnfusedLpr::Input input;
  input.x = context.Normal(DType::kF32, {kTokens, kHidden}, 8);
  input.dgates = context.Normal(DType::kF32, {kTokens, kTopK}, 9);
  input.dexpert_input = options.decode ? context.Normal(DType::kF32, {kTokens, kHidden}, 10)
                                       : context.Zeros(DType::kF32, {kTokens, kHidden});
  (*router)->Run(context.context(), input);
  (*router)->Run(context.context(), input);  // nothing is left from a step

  LprStep<double> step;
  step.x = ToMatrix(input.x);
  step.dgates = ToMatrix(input.dgates);
  step.dexpert_input = ToMatrix(input.dexpert_input);
  step.noise = Matrix<double>::Zeros(kTokens, kDimensions);
  for (int64_t t = 0; t < kTokens; ++t) {
    noise->Draw(0, t, {step.noise.row(t), static_cast<size_t>(kDimensions)});
  }
  routing::reference::RunLpr(context.context(), options, kTopK, ToReference(parameters), step);

  const double tolerance = 30.0 * Epsilon(DType::kF32) * static_cast<double>(kHidden + kExperts);
  const auto close = [&](ConstTensorView actual, const Matrix<double>& expected, double scale) {
    return AllClose(ToDoubles(actual), expected.values,
                    scale * tolerance * (1.0 + MaxAbs(expected.values)));
  };
  const auto ids = (*router)->ids().cpu<int32_t>();
  EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.end()), step.ids);
  EXPECT_TRUE(close((*router)->gates(), step.gates, 1.0));
  EXPECT_TRUE(close((*router)->dx(), step.dx, 4.0));
  if (options.decode) {
    EXPECT_TRUE(close((*router)->expert_input(), step.expert_input, 1.0));
  }
  // Sums over tokens.
  const double sum = std::sqrt(static_cast<double>(kTokens));
  const UnfusedLprParameters& gradients = (*router)->gradients();
  EXPECT_TRUE(close(gradients.gain, step.gradients.gain, sum));
  EXPECT_TRUE(close(gradients.shift, step.gradients.shift, sum));
  EXPECT_TRUE(close(gradients.weight, step.gradients.weight, sum));
  EXPECT_TRUE(close(gradients.bias, step.gradients.bias, sum));
  EXPECT_TRUE(close(gradients.prototypes, step.gradients.prototypes, sum));
  if (options.decode) {
    EXPECT_TRUE(close(gradients.decoder, step.gradients.decoder, sum));
    EXPECT_TRUE(close(gradients.decoder_bias, step.gradients.decoder_bias, sum));
  }
  const routing::LprLossWeights& losses = (*router)->losses();
  const double relative = 100.0 * tolerance;
  EXPECT_NEAR(losses.kl, step.losses.kl, relative);
  EXPECT_NEAR(losses.token_diversity, step.losses.token_diversity, relative);
  EXPECT_NEAR(losses.prototype_diversity, step.losses.prototype_diversity, relative);
  EXPECT_NEAR(losses.alignment, step.losses.alignment, relative);
}

INSTANTIATE_TEST_SUITE_P(All, UnfusedLprTest,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(UnfusedLpr::Form::kPublished,
                                                              UnfusedLpr::Form::kFrugal)));

}  // namespace
}  // namespace equipoise::bench
