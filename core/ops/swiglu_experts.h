#ifndef EQUIPOISE_CORE_OPS_SWIGLU_EXPERTS_H_
#define EQUIPOISE_CORE_OPS_SWIGLU_EXPERTS_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// E_r SwiGLU feed-forwards, each applied to its own run of rows: what grouped products and swiglu.h
// give when called one after the other, bit for bit, as one operation. The CPU finishes an expert
// before it starts the next, so that what one product writes is still in the cache when the next
// one reads it: 5 % of an MoE layer's time.

// Weights, or gradients of weights.
template <class View>
struct SwiGluExpertsWeights {
  View gate_up;  // [E_r, 2F, H]
  View down;     // [E_r, H, F]
};

// The rows, and what the forward pass leaves for the backward pass.
template <class View>
struct SwiGluExpertsRows {
  ConstTensorView x;        // [rows, H]
  ConstTensorView offsets;  // I64 [E_r + 1], see above
  View gate_up;             // [rows, 2F], before the activation
};

// Row i of expert e: y = Wdown_e (silu(Wgate_e x) * (Wup_e x)). Fills rows.gate_up and y [rows, H].
void SwiGluExpertsForward(const Context& context, const SwiGluExpertsRows<TensorView>& rows,
                          const SwiGluExpertsWeights<ConstTensorView>& weights, TensorView y);

// dx [rows, H] from dy [rows, H], overwritten; adds to `gradients`, in which experts without rows
// stay as they are.
void SwiGluExpertsBackward(const Context& context, const SwiGluExpertsRows<ConstTensorView>& rows,
                           const SwiGluExpertsWeights<ConstTensorView>& weights, ConstTensorView dy,
                           const SwiGluExpertsWeights<TensorView>& gradients, TensorView dx);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_SWIGLU_EXPERTS_H_
