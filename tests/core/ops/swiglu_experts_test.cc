#include "core/ops/swiglu_experts.h"

#include <limits>
#include <vector>

#include "core/ops/swiglu.h"
#include "gtest/gtest.h"
#include "tests/core/ops/grouped_linear.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::GroupedLinearBackwardData;
using testing_support::GroupedLinearBackwardWeights;
using testing_support::GroupedLinearForward;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 21;
constexpr int64_t kWidth = 18;
constexpr int64_t kExperts = 6;
constexpr int64_t kRows = 73;

// Rows per expert: none at either end, one, a prime, one past a block.
const std::vector<double> kOffsets = {0, 0, 1, 8, 8, 73, 73};

// The definition: grouped products and activations of all experts, one operation after the other.
class SwiGluExpertsTest : public ::testing::TestWithParam<DType> {
 protected:
  TensorView Poisoned(const Shape& shape) {
    return test_.Make(GetParam(), shape,
                      std::vector<double>(static_cast<size_t>(shape.num_elements()),
                                          std::numeric_limits<double>::quiet_NaN()));
  }
  TensorView Twos(const Shape& shape) {
    return test_.Make(GetParam(), shape,
                      std::vector<double>(static_cast<size_t>(shape.num_elements()), 2.0));
  }
  void SeparateForward(TensorView gate_up, TensorView act, TensorView y) {
    GroupedLinearForward(test_.context(), x_, offsets_, weights_.gate_up, gate_up);
    SwiGluForward(test_.context(), gate_up, act);
    GroupedLinearForward(test_.context(), act, offsets_, weights_.down, y);
  }

  TestContext test_;
  const TensorView offsets_ = test_.Make(DType::kI64, {kExperts + 1}, kOffsets);
  const TensorView x_ = test_.Normal(GetParam(), {kRows, kHidden}, 1);
  const TensorView dy_ = test_.Normal(GetParam(), {kRows, kHidden}, 2);
  const SwiGluExpertsWeights<ConstTensorView> weights_ = {
      test_.Normal(GetParam(), {kExperts, 2 * kWidth, kHidden}, 3),
      test_.Normal(GetParam(), {kExperts, kHidden, kWidth}, 4)};
};

TEST_P(SwiGluExpertsTest, ForwardIsThatOfSeparateOperations) {
  const TensorView expected_gate_up = Poisoned({kRows, 2 * kWidth}),
                   act = Poisoned({kRows, kWidth});
  const TensorView expected = Poisoned({kRows, kHidden});
  SeparateForward(expected_gate_up, act, expected);

  const TensorView gate_up = Poisoned({kRows, 2 * kWidth}), y = Poisoned({kRows, kHidden});
  const size_t mark = test_.context().scratch->mark();
  SwiGluExpertsForward(test_.context(), {x_, offsets_, gate_up}, weights_, y);
  EXPECT_TRUE(SameBits(ToDoubles(gate_up), ToDoubles(expected_gate_up)));
  EXPECT_TRUE(SameBits(ToDoubles(y), ToDoubles(expected)));
  EXPECT_EQ(test_.context().scratch->mark(), mark);
}

TEST_P(SwiGluExpertsTest, BackwardIsThatOfSeparateOperations) {
  const Context& context = test_.context();
  const TensorView gate_up = Poisoned({kRows, 2 * kWidth}), act = Poisoned({kRows, kWidth});
  SeparateForward(gate_up, act, Poisoned({kRows, kHidden}));
  const TensorView dact = Poisoned(act.shape()), d_gate_up = Poisoned(gate_up.shape());
  const TensorView expected_dx = Poisoned(x_.shape());
  // Gradients are added to; experts without rows keep their twos.
  const TensorView expected_gate_up = Twos(weights_.gate_up.shape());
  const TensorView expected_down = Twos(weights_.down.shape());
  GroupedLinearBackwardData(context, dy_, offsets_, weights_.down, dact);
  GroupedLinearBackwardWeights(context, act, dy_, offsets_, expected_down);
  SwiGluBackward(context, gate_up, dact, d_gate_up);
  GroupedLinearBackwardData(context, d_gate_up, offsets_, weights_.gate_up, expected_dx);
  GroupedLinearBackwardWeights(context, x_, d_gate_up, offsets_, expected_gate_up);

  const SwiGluExpertsWeights<TensorView> gradients = {Twos(weights_.gate_up.shape()),
                                                      Twos(weights_.down.shape())};
  const TensorView dx = Poisoned(x_.shape());
  SwiGluExpertsBackward(context, {x_, offsets_, gate_up}, weights_, dy_, gradients, dx);
  EXPECT_TRUE(SameBits(ToDoubles(dx), ToDoubles(expected_dx)));
  EXPECT_TRUE(SameBits(ToDoubles(gradients.gate_up), ToDoubles(expected_gate_up)));
  EXPECT_TRUE(SameBits(ToDoubles(gradients.down), ToDoubles(expected_down)));
}

TEST_P(SwiGluExpertsTest, NoRowsAtAll) {
  const TensorView offsets = test_.Zeros(DType::kI64, {kExperts + 1});
  const TensorView x = test_.Zeros(GetParam(), {0, kHidden});
  const TensorView gate_up = test_.Zeros(GetParam(), {0, 2 * kWidth});
  const SwiGluExpertsWeights<TensorView> gradients = {
      test_.Zeros(GetParam(), weights_.gate_up.shape()),
      test_.Zeros(GetParam(), weights_.down.shape())};
  SwiGluExpertsForward(test_.context(), {x, offsets, gate_up}, weights_, x);
  SwiGluExpertsBackward(test_.context(), {x, offsets, gate_up}, weights_, x, gradients, x);
  EXPECT_EQ(MaxAbs(ToDoubles(gradients.gate_up)), 0.0);
  EXPECT_EQ(MaxAbs(ToDoubles(gradients.down)), 0.0);
}

TEST_P(SwiGluExpertsTest, OffsetsThatDoNotCoverTheRowsDie) {
  const std::vector<double> wrong = {0, 0, 1, 8, 8, 73, 72};
  const TensorView offsets = test_.Make(DType::kI64, {kExperts + 1}, wrong);
  const TensorView gate_up = Poisoned({kRows, 2 * kWidth}), y = Poisoned({kRows, kHidden});
  EXPECT_DEATH(SwiGluExpertsForward(test_.context(), {x_, offsets, gate_up}, weights_, y),
               "72 against 73");
}

INSTANTIATE_TEST_SUITE_P(Types, SwiGluExpertsTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

}  // namespace
}  // namespace equipoise
