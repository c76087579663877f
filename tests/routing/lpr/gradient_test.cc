// Every parameter's and input's gradient against central differences, with every loss on.

#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/lpr/lpr_fixture.h"
#include "tests/support/gradient_check.h"

namespace equipoise::routing {
namespace {

using testing_support::CheckGradient;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 7;
constexpr int64_t kTokens = 6;
constexpr int kExperts = 6;

struct Case {
  const char* name;
  LprOptions options;
};

std::ostream& operator<<(std::ostream& out, const Case& test_case) { return out << test_case.name; }

// Losses as heavy as the gates, so that a wrong one shows.
LprOptions Reference() {
  LprOptions options = ReferenceLprOptions();
  options.weights = {.kl = 0.3,
                     .token_diversity = 2.0,
                     .mean_direction = 1.5,
                     .prototype_diversity = 3.0,
                     .prototype_repulsion = 2.0,
                     .alignment = 0.7,
                     .soft_load = 0.4};
  options.soft_load_temperature = 0.5;
  return options;
}

LprOptions Lean() {
  LprOptions options = Reference();
  options.log_variances = false;
  return options;
}

LprOptions Geometric() {
  LprOptions options = GeometricLprOptions(kHidden);
  options.weights = {.token_diversity = 2.0, .mean_direction = 1.5, .soft_load = 0.4};
  options.soft_load_temperature = 0.3;
  return options;
}

LprOptions GeometricWithDecode() {
  LprOptions options = Geometric();
  options.decode = true;
  return options;
}

LprOptions GeometricLearned() {
  LprOptions options = Geometric();
  options.prototypes = PrototypeRule::kLearnedUnit;
  options.weights.prototype_repulsion = 1.0;
  return options;
}

LprOptions WithSimilarity(LprOptions options, const char* similarity) {
  options.similarity = similarity;
  options.temperature = 1.3;
  return options;
}

class LprGradientTest : public ::testing::TestWithParam<std::tuple<Case, int>> {};

TEST_P(LprGradientTest, MatchesCentralDifferences) {
  const auto& [test_case, top_k] = GetParam();
  LprOptions options = test_case.options;
  options.latent_dim = 3;
  RouterOptions router = LprRouterOptions(kHidden, kExperts, top_k);
  router.balance_loss = {0.5, LossScope::kGlobalBatch};
  router.z_loss = {0.2};
  LprFixture fixture(router, options, DType::kF64, 5);
  const auto x = DrawNormal(kTokens * kHidden, 9, "x");
  const LprPass pass = fixture.MakePass(x, 3);
  const LprPass before = fixture.MakePass(DrawNormal(2 * kTokens * kHidden, 4, "before"));
  fixture.Forward(pass);
  fixture.Forward(before);
  const auto ids = pass.ids();

  LprGradients gradients;
  gradients.dgates = DrawNormal(pass.gates().size(), 7, "dgates");
  gradients.dexpert_input = DrawNormal(x.size(), 7, "dexpert_input");
  // Another step's sums, as under accumulation; and more tokens than these in the step, whose
  // losses of prototypes this micro-batch gives a share of.
  gradients.load = before.sums();
  gradients.load_tokens = 2 * kTokens;
  gradients.batch_tokens = kTokens;
  fixture.Backward(pass, gradients);

  const auto check = [&](TensorView variable, const std::vector<double>& gradient) {
    const auto point = ToDoubles(variable);
    EXPECT_TRUE(CheckGradient(
        [&](std::span<const double> values) {
          SetDoubles(variable, values);
          const double loss = fixture.Loss(pass, gradients);
          EXPECT_EQ(pass.ids(), ids) << "too near a change of choice: take another seed";
          return loss;
        },
        gradient, point, {.step = 2e-4}));
    SetDoubles(variable, point);
  };
  {
    SCOPED_TRACE("x");
    check(pass.x, ToDoubles(pass.dx));
  }
  for (const auto& parameter : fixture.parameters().parameters()) {
    SCOPED_TRACE(parameter->spec().parts[0].name);
    check(parameter->value(), ToDoubles(parameter->gradient()));
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, LprGradientTest,
                         ::testing::Combine(::testing::Values(Case{"REFERENCE", Reference()},
                                                              Case{"LEAN", Lean()},
                                                              Case{"GEOMETRIC", Geometric()},
                                                              Case{"DECODE", GeometricWithDecode()},
                                                              Case{"LEARNED", GeometricLearned()}),
                                            ::testing::Values(1, 2, kExperts)));

INSTANTIATE_TEST_SUITE_P(
    Similarities, LprGradientTest,
    ::testing::Combine(
        ::testing::Values(Case{"GAUSSIAN", WithSimilarity(Lean(), "GAUSSIAN")},
                          Case{"MAHALANOBIS", WithSimilarity(Lean(), "MAHALANOBIS")},
                          Case{"CROSS_ATTENTION", WithSimilarity(Lean(), "CROSS_ATTENTION")},
                          Case{"GAUSSIAN_WITH_VARIANCES", WithSimilarity(Reference(), "GAUSSIAN")},
                          Case{"KL", WithSimilarity(Reference(), "KL")},
                          Case{"WASSERSTEIN", WithSimilarity(Reference(), "WASSERSTEIN")},
                          Case{"BHATTACHARYYA", WithSimilarity(Reference(), "BHATTACHARYYA")},
                          Case{"HELLINGER", WithSimilarity(Reference(), "HELLINGER")}),
        ::testing::Values(1, 2, kExperts)));

}  // namespace
}  // namespace equipoise::routing
