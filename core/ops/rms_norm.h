#ifndef EQUIPOISE_CORE_OPS_RMS_NORM_H_
#define EQUIPOISE_CORE_OPS_RMS_NORM_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// y = x / sqrt(mean(x^2) + epsilon) * weight over the last axis (Zhang and Sennrich, 2019).
// x, y [..., H] (any leading axes; for q/k norms H is the head width), weight [H]. y may be x.
// inverse_rms [rows] of the same type is saved for the backward. Sums run in double.
void RmsNormForward(const Context& context, ConstTensorView x, ConstTensorView weight,
                    double epsilon, TensorView y, TensorView inverse_rms);
// dx = gradient, or dx += gradient when `accumulate_dx`; dweight += its gradient. dx may be dy when
// not accumulating. x is the forward's input.
void RmsNormBackward(const Context& context, ConstTensorView x, ConstTensorView weight,
                     ConstTensorView inverse_rms, ConstTensorView dy, TensorView dx,
                     bool accumulate_dx, TensorView dweight);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_RMS_NORM_H_
