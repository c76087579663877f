#include "core/ops/permute.h"

#include "core/base/check.h"
#include "core/ops/cpu/permute.h"
#include "core/tensor/dtype.h"

namespace equipoise {
namespace {

// copies [C, H], slots [T, K], tokens [T, H].
void CheckSlots(ConstTensorView copies, ConstTensorView slots, ConstTensorView tokens) {
  EQ_CHECK(copies.shape().rank() == 2 && slots.shape().rank() == 2 && tokens.shape().rank() == 2 &&
           slots.dim(0) == tokens.dim(0) && copies.dim(1) == tokens.dim(1))
      << "copies " << copies.shape() << ", slots " << slots.shape() << ", tokens "
      << tokens.shape();
}

}  // namespace

void GatherRows(const Context&, ConstTensorView x, ConstTensorView rows, TensorView y) {
  EQ_CHECK_EQ(x.shape().rank(), 2);
  EQ_CHECK_EQ(rows.shape().rank(), 1);
  EQ_CHECK_EQ(y.shape(), (Shape{rows.dim(0), x.dim(1)}));
  EQ_CHECK(x.dtype() == y.dtype());
  cpu::GatherRows(x, rows, y);
}

void GatherRowsBackward(const Context&, ConstTensorView dy, ConstTensorView slots, bool accumulate,
                        TensorView dx) {
  CheckSlots(dy, slots, dx);
  DispatchFloat(dx.dtype(),
                [&]<typename T>() { cpu::GatherRowsBackward<T>(dy, slots, accumulate, dx); });
}

void WeightedCombine(const Context&, ConstTensorView x, ConstTensorView slots,
                     ConstTensorView gates, bool accumulate, TensorView y) {
  CheckSlots(x, slots, y);
  EQ_CHECK_EQ(gates.shape(), slots.shape());
  DispatchFloat(y.dtype(),
                [&]<typename T>() { cpu::WeightedCombine<T>(x, slots, gates, accumulate, y); });
}

void WeightedCombineBackward(const Context&, ConstTensorView x, ConstTensorView slots,
                             ConstTensorView gates, ConstTensorView dy, TensorView dx,
                             TensorView dgates) {
  CheckSlots(x, slots, dy);
  EQ_CHECK_EQ(gates.shape(), slots.shape());
  EQ_CHECK_EQ(dgates.shape(), slots.shape());
  EQ_CHECK_EQ(dx.shape(), x.shape());
  DispatchFloat(dy.dtype(), [&]<typename T>() {
    cpu::WeightedCombineBackward<T>(x, slots, gates, dy, dx, dgates);
  });
}

}  // namespace equipoise
