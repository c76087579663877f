#include "core/ops/rms_norm.h"

#include "core/base/check.h"
#include "core/ops/cpu/rms_norm.h"
#include "core/tensor/dtype.h"

namespace equipoise {
namespace {

void CheckRows(ConstTensorView x, ConstTensorView weight, ConstTensorView inverse_rms) {
  EQ_CHECK_EQ(weight.shape().rank(), 1);
  EQ_CHECK_GT(weight.dim(0), 0);
  EQ_CHECK(x.shape().rank() >= 1 && x.dim(x.shape().rank() - 1) == weight.dim(0))
      << "x " << x.shape() << ", weight " << weight.shape();
  EQ_CHECK_EQ(inverse_rms.num_elements(), x.num_elements() / weight.dim(0));
}

}  // namespace

void RmsNormForward(const Context&, ConstTensorView x, ConstTensorView weight, double epsilon,
                    TensorView y, TensorView inverse_rms) {
  CheckRows(x, weight, inverse_rms);
  EQ_CHECK_EQ(y.shape(), x.shape());
  DispatchFloat(x.dtype(),
                [&]<typename T>() { cpu::RmsNormForward<T>(x, weight, epsilon, y, inverse_rms); });
}

void RmsNormBackward(const Context& context, ConstTensorView x, ConstTensorView weight,
                     ConstTensorView inverse_rms, ConstTensorView dy, TensorView dx,
                     bool accumulate_dx, TensorView dweight) {
  CheckRows(x, weight, inverse_rms);
  EQ_CHECK_EQ(dy.shape(), x.shape());
  EQ_CHECK_EQ(dx.shape(), x.shape());
  EQ_CHECK_EQ(dweight.shape(), weight.shape());
  EQ_CHECK(!accumulate_dx || x.num_elements() == 0 || dx.raw() != dy.raw())
      << "adding to dx would overwrite dy";
  DispatchFloat(x.dtype(), [&]<typename T>() {
    cpu::RmsNormBackward<T>(*context.scratch, x, weight, inverse_rms, dy, dx, accumulate_dx,
                            dweight);
  });
}

}  // namespace equipoise
