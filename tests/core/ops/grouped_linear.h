#ifndef EQUIPOISE_TESTS_CORE_OPS_GROUPED_LINEAR_H_
#define EQUIPOISE_TESTS_CORE_OPS_GROUPED_LINEAR_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::testing_support {

// The parts that swiglu_experts.h fuses, one at a time: what its tests compare it with.
//
// E_r linear layers, each applied to its own run of rows. Rows [offsets[e], offsets[e+1]) of x
// belong to expert e; a run may be empty (its weight gradient then stays as it is).
//
// x [rows, in], offsets I64 [E_r + 1] (ascending, offsets[0] = 0, offsets[E_r] = rows),
// weights [E_r, out, in], y [rows, out].
void GroupedLinearForward(const Context& context, ConstTensorView x, ConstTensorView offsets,
                          ConstTensorView weights, TensorView y);
// dx = dy W_e, overwritten; may be absent.
void GroupedLinearBackwardData(const Context& context, ConstTensorView dy, ConstTensorView offsets,
                               ConstTensorView weights, TensorView dx);
// dweights[e] += dy_e^T x_e.
void GroupedLinearBackwardWeights(const Context& context, ConstTensorView x, ConstTensorView dy,
                                  ConstTensorView offsets, TensorView dweights);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_CORE_OPS_GROUPED_LINEAR_H_
