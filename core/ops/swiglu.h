#ifndef EQUIPOISE_CORE_OPS_SWIGLU_H_
#define EQUIPOISE_CORE_OPS_SWIGLU_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// SwiGLU (Shazeer, "GLU variants improve transformer", 2020): the left half of every row gates the
// right half. gate_up [rows, 2F] = [gate | up], y [rows, F] = silu(gate) * up,
// silu(z) = z / (1 + exp(-z)).
void SwiGluForward(const Context& context, ConstTensorView gate_up, TensorView y);
// d_gate_up [rows, 2F] from dy [rows, F]; d_gate_up may be gate_up itself.
void SwiGluBackward(const Context& context, ConstTensorView gate_up, ConstTensorView dy,
                    TensorView d_gate_up);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_SWIGLU_H_
