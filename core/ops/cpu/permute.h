#ifndef EQUIPOISE_CORE_OPS_CPU_PERMUTE_H_
#define EQUIPOISE_CORE_OPS_CPU_PERMUTE_H_

#include "core/tensor/tensor_view.h"

namespace equipoise::cpu {

// The CPU's functions of core/ops/permute.h.
void GatherRows(ConstTensorView x, ConstTensorView rows, TensorView y);
template <typename T>
void GatherRowsBackward(ConstTensorView dy, ConstTensorView slots, bool accumulate, TensorView dx);
template <typename T>
void WeightedCombine(ConstTensorView x, ConstTensorView slots, ConstTensorView gates,
                     bool accumulate, TensorView y);
template <typename T>
void WeightedCombineBackward(ConstTensorView x, ConstTensorView slots, ConstTensorView gates,
                             ConstTensorView dy, TensorView dx, TensorView dgates);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_PERMUTE_H_
