#include "core/optim/adamw.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::AllClose;
using testing_support::Epsilon;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::TestContext;
using testing_support::ToDoubles;

struct State {
  std::vector<double> parameter, first, second;
};

// The paper's Algorithm 2 as it is printed (bias-corrected moments by name), in double.
void PaperStep(const AdamWOptions& o, int64_t step, double rate, double decay,
               const std::vector<double>& gradient, State& s) {
  for (size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i];
    s.first[i] = o.beta1 * s.first[i] + (1.0 - o.beta1) * g;
    s.second[i] = o.beta2 * s.second[i] + (1.0 - o.beta2) * g * g;
    const double m_hat = s.first[i] / (1.0 - std::pow(o.beta1, static_cast<double>(step)));
    const double v_hat = s.second[i] / (1.0 - std::pow(o.beta2, static_cast<double>(step)));
    const double old = s.parameter[i];
    s.parameter[i] = old - rate * (m_hat / (std::sqrt(v_hat) + o.epsilon) + decay * old);
  }
}

class AdamWTest : public ::testing::TestWithParam<DType> {
 protected:
  AdamWSlice MakeSlice(int64_t n) {
    return {.parameter = test_.Normal(GetParam(), {n}, 1),
            .gradient = test_.Normal(GetParam(), {n}, 2),
            .first_moment = test_.Normal(GetParam(), {n}, 3, 0.1),
            .second_moment = test_.Make(GetParam(), {n}, std::vector<double>(Size(n), 0.3)),
            .decay = true};
  }
  static size_t Size(int64_t n) { return static_cast<size_t>(n); }

  TestContext test_;
  const AdamWOptions options_ = {};
};

TEST_P(AdamWTest, FollowsThePaperForManySteps) {
  constexpr int kSteps = 20;
  const double rate = 0.01;
  for (const int64_t n : {0, 1, 15, 17, 64, 101}) {
    for (const bool decay : {false, true}) {
      AdamWSlice slice = MakeSlice(n);
      slice.first_moment = test_.Zeros(GetParam(), {n});
      slice.second_moment = test_.Zeros(GetParam(), {n});
      slice.decay = decay;
      State expected = {ToDoubles(slice.parameter), std::vector<double>(Size(n)),
                        std::vector<double>(Size(n))};
      double largest_gradient = 0.0;
      for (int step = 1; step <= kSteps; ++step) {
        slice.gradient = test_.Normal(GetParam(), {n}, 100 + static_cast<uint64_t>(step));
        largest_gradient = std::max(largest_gradient, MaxAbs(ToDoubles(slice.gradient)));
        AdamWUpdate(test_.context(), options_, step, rate, 1.0, slice);
        PaperStep(options_, step, rate, decay ? options_.weight_decay : 0.0,
                  ToDoubles(slice.gradient), expected);
      }
      // Some ten roundings a step. The quotient of the moments is of order one but its numerator
      // may cancel: its error is that of a moment, relative to the root of the other.
      const double rounding = 10.0 * kSteps * Epsilon(GetParam());
      EXPECT_TRUE(
          AllClose(ToDoubles(slice.first_moment), expected.first, rounding * largest_gradient));
      EXPECT_TRUE(AllClose(ToDoubles(slice.second_moment), expected.second,
                           rounding * largest_gradient * largest_gradient));
      EXPECT_TRUE(AllClose(ToDoubles(slice.parameter), expected.parameter,
                           rounding * (MaxAbs(expected.parameter) + rate)))
          << "n=" << n << " decay=" << decay;
    }
  }
}

// The first step moves every parameter by the learning rate against its gradient's sign.
TEST_P(AdamWTest, FirstStepIsTheLearningRate) {
  const TensorView p = test_.Make(GetParam(), {4}, std::vector<double>{1, 1, 1, 1});
  const TensorView g = test_.Make(GetParam(), {4}, std::vector<double>{2, -3, 0.5, 0});
  const AdamWSlice slice = {p, g, test_.Zeros(GetParam(), {4}), test_.Zeros(GetParam(), {4}),
                            false};
  AdamWUpdate(test_.context(), options_, 1, 0.25, 1.0, slice);
  EXPECT_TRUE(AllClose(ToDoubles(p), std::vector<double>{0.75, 1.25, 0.75, 1.0},
                       8.0 * Epsilon(GetParam()) + 0.25 * options_.epsilon / 0.5));
}

TEST_P(AdamWTest, CuttingASliceChangesNoBit) {
  const int64_t n = 131;
  const AdamWSlice whole = MakeSlice(n), cut = MakeSlice(n);
  AdamWUpdate(test_.context(), options_, 5, 0.1, 0.5, whole);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 3}, {3, 70}, {70, n}}) {
    AdamWUpdate(test_.context(), options_, 5, 0.1, 0.5,
                {cut.parameter.Rows(begin, end), cut.gradient.Rows(begin, end),
                 cut.first_moment.Rows(begin, end), cut.second_moment.Rows(begin, end), true});
  }
  EXPECT_TRUE(SameBits(ToDoubles(cut.parameter), ToDoubles(whole.parameter)));
  EXPECT_TRUE(SameBits(ToDoubles(cut.first_moment), ToDoubles(whole.first_moment)));
  EXPECT_TRUE(SameBits(ToDoubles(cut.second_moment), ToDoubles(whole.second_moment)));
}

TEST_P(AdamWTest, GradientScaleIsAScaledGradient) {
  const AdamWSlice scaled = MakeSlice(37);
  AdamWSlice other = MakeSlice(37);
  auto gradient = ToDoubles(other.gradient);
  for (double& value : gradient) value *= 0.25;
  other.gradient = test_.Make(GetParam(), {37}, gradient);
  AdamWUpdate(test_.context(), options_, 3, 0.1, 0.25, scaled);
  AdamWUpdate(test_.context(), options_, 3, 0.1, 1.0, other);
  EXPECT_TRUE(SameBits(ToDoubles(scaled.parameter), ToDoubles(other.parameter)));
}

TEST_P(AdamWTest, MisuseDies) {
  AdamWSlice slice = MakeSlice(4);
  EXPECT_DEATH(AdamWUpdate(test_.context(), options_, 0, 0.1, 1.0, slice), "0 against 1");
  slice.gradient = slice.gradient.Rows(0, 3);
  EXPECT_DEATH(AdamWUpdate(test_.context(), options_, 1, 0.1, 1.0, slice), "gradient \\[3\\]");
}

INSTANTIATE_TEST_SUITE_P(Types, AdamWTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

}  // namespace
}  // namespace equipoise
