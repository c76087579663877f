// Mode REFERENCE against a vector of values and gradients that were computed from the definitions
// in double precision, element by element, and checked by finite differences.

#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/routing/lpr/lpr_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::EuclideanNorm;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

constexpr int64_t kTokens = 4;
constexpr int64_t kHidden = 8;
constexpr int64_t kDimensions = 4;

std::vector<double> Formula(int64_t count, const std::function<double(double)>& formula) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(formula(static_cast<double>(i)));
  return values;
}

class LprGoldenTest : public ::testing::Test {
 protected:
  LprGoldenTest() : fixture_(LprRouterOptions(kHidden, 6, 2), Options(), DType::kF64) {
    const auto set = [&](const char* name, const std::function<double(double)>& formula) {
      const Parameter& parameter = fixture_.parameter(name);
      SetDoubles(parameter.value(), Formula(parameter.num_elements(), formula));
    };
    set("norm.weight", [](double i) { return 1.0 + 0.1 * std::cos(i); });
    set("norm.bias", [](double i) { return 0.05 * std::sin(2.0 * i); });
    set("encoder.weight", [](double i) { return 0.4 * std::sin(1.3 * i + 0.5); });
    set("encoder.bias", [](double i) { return 0.1 * std::cos(i); });
    set("prototypes", [](double i) { return std::sin(1.7 * i + 0.9); });
    set("decoder.weight", [](double i) { return 0.3 * std::cos(1.1 * i); });
    set("decoder.bias", [](double i) { return 0.02 * i; });
    pass_ = fixture_.MakePass(
        Formula(kTokens * kHidden, [](double i) { return 1.5 * std::sin(0.9 * i + 0.2); }));
    fixture_.Forward(pass_);
    gradients_.dgates = Formula(kTokens * 2, [](double i) { return std::cos(0.8 * i + 0.1); });
    gradients_.dexpert_input =
        Formula(kTokens * kHidden, [](double i) { return std::sin(0.6 * i + 0.4); });
    gradients_.load = pass_.sums();
    gradients_.load_tokens = kTokens;
    gradients_.batch_tokens = kTokens;
  }

  static LprOptions Options() {
    LprOptions options = ReferenceLprOptions();
    options.latent_dim = kDimensions;
    options.weights = {};
    options.weights.kl = 0.3;
    options.weights.token_diversity = 0.9;
    options.weights.prototype_diversity = 0.7;
    options.weights.alignment = 0.4;
    return options;
  }

  std::vector<double> First(ConstTensorView view, size_t count) const {
    auto values = ToDoubles(view);
    values.resize(count);
    return values;
  }

  LprFixture fixture_;
  LprPass pass_;
  LprGradients gradients_;
};

// Printed digits: nine after the point, so half of 1e-9 is lost in print.
constexpr double kPrinted = 1e-9;

TEST_F(LprGoldenTest, Forward) {
  EXPECT_TRUE(AllClose(First(pass_.output.saved, 8),
                       std::vector<double>{0.403983009, 0.420652536, -0.756936377, 0.336946862,
                                           0.160839519, -0.661373526, 0.643679424, 0.150670006},
                       kPrinted));
  EXPECT_EQ(pass_.ids(), (std::vector<int32_t>{1, 0, 2, 1, 2, 3, 3, 4}));
  EXPECT_TRUE(AllClose(pass_.gates(),
                       std::vector<double>{.506869521, .493130479, .507665356, .492334644,
                                           .523156920, .476843080, .523114026, .476885974},
                       kPrinted));
  EXPECT_TRUE(AllClose(First(pass_.expert_input, 8),
                       std::vector<double>{0.470321729, 1.072426912, 1.406429588, 0.701731631,
                                           -1.014133184, -1.574348466, -0.543316824, 0.462834726},
                       kPrinted));
}

TEST_F(LprGoldenTest, AlignmentTargets) {
  // The alignment's segment is the last: the shared part, then each expert's own.
  const auto sums = pass_.sums();
  const size_t begin = sums.size() - 7 * kDimensions;
  std::vector<double> first;
  for (size_t d = 0; d < kDimensions; ++d) {
    first.push_back(sums[begin + d] + sums[begin + kDimensions + d]);
  }
  EXPECT_TRUE(AllClose(
      first, std::vector<double>{0.367931508, 0.028714213, -0.419449754, 0.337677157}, kPrinted));
}

TEST_F(LprGoldenTest, Losses) {
  const auto terms = fixture_.router().Losses(pass_.sums(), kTokens, pass_.sums(), kTokens);
  const std::vector<std::pair<std::string, double>> expected = {
      {"latent_kl", 0.3 * 0.8061086050},
      {"token_diversity", 0.9 * 0.4022727742},
      {"prototype_diversity", 0.7 * 0.3363166048},
      {"alignment", 0.4 * 0.4503437512}};
  ASSERT_EQ(terms.size(), expected.size());
  for (size_t i = 0; i < terms.size(); ++i) {
    EXPECT_EQ(terms[i].name, expected[i].first);
    EXPECT_NEAR(terms[i].value, expected[i].second, 1e-10) << terms[i].name;
  }
  EXPECT_NEAR(fixture_.Loss(pass_, gradients_), 2.5798155899, 1e-10);
}

TEST_F(LprGoldenTest, Gradients) {
  fixture_.Backward(pass_, gradients_);
  struct Expected {
    const char* name;
    double first, last, sum, norm;
  };
  const Expected all[] = {{"x", 0.4590469, 0.1953604, 0.1603111, 4.0051492},
                          {"norm.weight", 0.1250497, -0.0494029, 0.7214585, 0.5292003},
                          {"norm.bias", 0.1600270, -0.0296108, 0.4500953, 0.5670900},
                          {"encoder.weight", 0.1535832, -0.0218147, 1.0653532, 1.1184755},
                          {"encoder.bias", 0.4651827, -0.0336021, 0.5489424, 0.7860698},
                          {"prototypes", 0.0129099, 0.0076896, -0.0546493, 0.1674178},
                          {"decoder.weight", -0.2371479, 0.2640511, 0.0232984, 1.0863463},
                          {"decoder.bias", -0.2498054, 0.1789883, 0.1603111, 0.5625908}};
  for (const Expected& expected : all) {
    const std::string name = expected.name;
    const auto gradient = ToDoubles(name == "x" ? pass_.dx : fixture_.parameter(name).gradient());
    const double sum = std::accumulate(gradient.begin(), gradient.end(), 0.0);
    // Seven digits are printed.
    EXPECT_TRUE(AllClose(
        std::vector<double>{gradient.front(), gradient.back(), sum, EuclideanNorm(gradient)},
        std::vector<double>{expected.first, expected.last, expected.sum, expected.norm}, 5.1e-8))
        << name;
  }
}

}  // namespace
}  // namespace equipoise::routing
