#ifndef EQUIPOISE_CORE_OPS_GEMM_H_
#define EQUIPOISE_CORE_OPS_GEMM_H_

#include "core/device/context.h"
#include "core/ops/transpose.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// c = alpha * op(a) op(b) + beta * c, all row-major matrices of one float type; op(a) is [M, K],
// op(b) [K, N], c [M, N]. beta = 0 ignores what c held (NaN included). Any extent may be zero:
// K = 0 gives beta * c. 2*M*N*K flops.
void Gemm(const Context& context, Transpose transpose_a, Transpose transpose_b, double alpha,
          ConstTensorView a, ConstTensorView b, double beta, TensorView c);

// The linear layer y = x W^T, weights stored [out, in] as Hugging Face does.
// x [T, in], weight [out, in], y [T, out].
void LinearForward(const Context& context, ConstTensorView x, ConstTensorView weight, TensorView y);
// dx (+)= dy W; adds when `accumulate_dx`. dweight += dy^T x, always added. Either may be absent.
void LinearBackward(const Context& context, ConstTensorView x, ConstTensorView weight,
                    ConstTensorView dy, TensorView dx, bool accumulate_dx, TensorView dweight);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_GEMM_H_
