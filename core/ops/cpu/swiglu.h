#ifndef EQUIPOISE_CORE_OPS_CPU_SWIGLU_H_
#define EQUIPOISE_CORE_OPS_CPU_SWIGLU_H_

#include "core/tensor/tensor_view.h"

namespace equipoise::cpu {

// The CPU's SwiGluForward and SwiGluBackward of core/ops/swiglu.h.
template <typename T>
void SwiGluForward(ConstTensorView gate_up, TensorView y);
template <typename T>
void SwiGluBackward(ConstTensorView gate_up, ConstTensorView dy, TensorView d_gate_up);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_SWIGLU_H_
