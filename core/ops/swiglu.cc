#include "core/ops/swiglu.h"

#include "core/base/check.h"
#include "core/ops/cpu/swiglu.h"
#include "core/tensor/dtype.h"

namespace equipoise {
namespace {

void CheckHalves(ConstTensorView gate_up, ConstTensorView y) {
  EQ_CHECK(gate_up.shape().rank() == 2 && y.shape().rank() == 2 && gate_up.dim(0) == y.dim(0) &&
           gate_up.dim(1) == 2 * y.dim(1))
      << "gate_up " << gate_up.shape() << ", y " << y.shape();
}

}  // namespace

void SwiGluForward(const Context&, ConstTensorView gate_up, TensorView y) {
  CheckHalves(gate_up, y);
  DispatchFloat(y.dtype(), [&]<typename T>() { cpu::SwiGluForward<T>(gate_up, y); });
}

void SwiGluBackward(const Context&, ConstTensorView gate_up, ConstTensorView dy,
                    TensorView d_gate_up) {
  CheckHalves(gate_up, dy);
  EQ_CHECK_EQ(d_gate_up.shape(), gate_up.shape());
  DispatchFloat(dy.dtype(), [&]<typename T>() { cpu::SwiGluBackward<T>(gate_up, dy, d_gate_up); });
}

}  // namespace equipoise
