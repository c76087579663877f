#ifndef EQUIPOISE_CORE_OPS_CPU_RMS_NORM_H_
#define EQUIPOISE_CORE_OPS_CPU_RMS_NORM_H_

#include "core/device/workspace.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::cpu {

// The CPU's RmsNormForward and RmsNormBackward of core/ops/rms_norm.h, on x as [rows, H].
template <typename T>
void RmsNormForward(ConstTensorView x, ConstTensorView weight, double epsilon, TensorView y,
                    TensorView inverse_rms);
// `scratch` holds the weight's gradient in double while rows are added to it.
template <typename T>
void RmsNormBackward(Workspace& scratch, ConstTensorView x, ConstTensorView weight,
                     ConstTensorView inverse_rms, ConstTensorView dy, TensorView dx,
                     bool accumulate_dx, TensorView dweight);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_RMS_NORM_H_
