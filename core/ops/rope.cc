#include "core/ops/rope.h"

#include "core/base/check.h"
#include "core/ops/cpu/rope.h"

namespace equipoise {
namespace {

void CheckArguments(double theta, int64_t sequence_length, ConstTensorView x) {
  EQ_CHECK_EQ(x.shape().rank(), 3) << x.shape();
  EQ_CHECK_EQ(x.dim(2) % 2, 0) << "features turn in pairs";
  EQ_CHECK_GE(sequence_length, 1);
  EQ_CHECK_EQ(x.dim(0) % sequence_length, 0) << "rows are not whole sequences";
  EQ_CHECK_GT(theta, 0.0);
}

}  // namespace

void RopeForward(const Context& context, double theta, int64_t sequence_length, TensorView x) {
  CheckArguments(theta, sequence_length, x);
  cpu::Rotate(context, theta, sequence_length, cpu::RotationDirection::kForward, x);
}

void RopeBackward(const Context& context, double theta, int64_t sequence_length, TensorView dx) {
  CheckArguments(theta, sequence_length, dx);
  cpu::Rotate(context, theta, sequence_length, cpu::RotationDirection::kBack, dx);
}

}  // namespace equipoise
