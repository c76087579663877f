#include "core/ops/gemm.h"

#include "core/base/check.h"
#include "core/ops/cpu/gemm_kernel.h"
#include "core/tensor/dtype.h"

namespace equipoise {
namespace {

bool IsTransposed(Transpose transpose) { return transpose == Transpose::kYes; }

}  // namespace

void Gemm(const Context&, Transpose transpose_a, Transpose transpose_b, double alpha,
          ConstTensorView a, ConstTensorView b, double beta, TensorView c) {
  EQ_CHECK(a.shape().rank() == 2 && b.shape().rank() == 2 && c.shape().rank() == 2)
      << "a " << a.shape() << ", b " << b.shape() << ", c " << c.shape();
  const int64_t m = a.dim(IsTransposed(transpose_a) ? 1 : 0);
  const int64_t k = a.dim(IsTransposed(transpose_a) ? 0 : 1);
  const int64_t n = b.dim(IsTransposed(transpose_b) ? 0 : 1);
  EQ_CHECK(b.dim(IsTransposed(transpose_b) ? 1 : 0) == k && c.dim(0) == m && c.dim(1) == n)
      << "op(a) [" << m << ", " << k << "], b " << b.shape() << ", c " << c.shape();
  DispatchFloat(c.dtype(), [&]<typename T>() {
    cpu::GemmKernel<T>(transpose_a, transpose_b, m, n, k, static_cast<T>(alpha), a.cpu<T>().data(),
                       a.dim(1), b.cpu<T>().data(), b.dim(1), static_cast<T>(beta),
                       c.cpu<T>().data(), n);
  });
}

void LinearForward(const Context& context, ConstTensorView x, ConstTensorView weight,
                   TensorView y) {
  Gemm(context, Transpose::kNo, Transpose::kYes, 1.0, x, weight, 0.0, y);
}

void LinearBackward(const Context& context, ConstTensorView x, ConstTensorView weight,
                    ConstTensorView dy, TensorView dx, bool accumulate_dx, TensorView dweight) {
  if (!dx.absent()) {
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, dy, weight, accumulate_dx ? 1.0 : 0.0, dx);
  }
  if (!dweight.absent()) {
    Gemm(context, Transpose::kYes, Transpose::kNo, 1.0, dy, x, 1.0, dweight);
  }
}

}  // namespace equipoise
