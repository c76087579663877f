#ifndef EQUIPOISE_CORE_OPS_PERMUTE_H_
#define EQUIPOISE_CORE_OPS_PERMUTE_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// y[i] = x[rows[i]]. x [T, H] of any element type, rows I64 [C] in [0, T), y [C, H].
void GatherRows(const Context& context, ConstTensorView x, ConstTensorView rows, TensorView y);

// The transpose of gathering every token into its copies:
// dx[t] (+)= sum over k of dy[slots[t,k]], slots of -1 (no copy) skipped, k ascending.
// dy [C, H], slots I64 [T, K], dx [T, H]; adds when `accumulate`.
void GatherRowsBackward(const Context& context, ConstTensorView dy, ConstTensorView slots,
                        bool accumulate, TensorView dx);

// y[t] (+)= sum over k of gates[t,k] * x[slots[t,k]], slots of -1 skipped, k ascending.
// x [C, H], slots I64 [T, K], gates [T, K], y [T, H]; adds when `accumulate`.
void WeightedCombine(const Context& context, ConstTensorView x, ConstTensorView slots,
                     ConstTensorView gates, bool accumulate, TensorView y);
// dx[slots[t,k]] = gates[t,k] * dy[t] and dgates[t,k] = <dy[t], x[slots[t,k]]> (0 where slots is
// -1). Every row of dx is written, since every copy belongs to one (t, k). dx may be x.
void WeightedCombineBackward(const Context& context, ConstTensorView x, ConstTensorView slots,
                             ConstTensorView gates, ConstTensorView dy, TensorView dx,
                             TensorView dgates);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_PERMUTE_H_
