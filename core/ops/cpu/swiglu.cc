#include "core/ops/cpu/swiglu.h"

#include <cstdint>

#include "core/ops/cpu/row_kernels.h"

namespace equipoise::cpu {

template <typename T>
void SwiGluForward(ConstTensorView gate_up, TensorView y) {
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const int64_t rows = y.dim(0), width = y.dim(1);
  const T* in = gate_up.cpu<T>().data();
  T* out = y.cpu<T>().data();
  for (int64_t row = 0; row < rows; ++row, in += 2 * width, out += width) {
    kernels.silu_product(in, in + width, out, width);
  }
}

template <typename T>
void SwiGluBackward(ConstTensorView gate_up, ConstTensorView dy, TensorView d_gate_up) {
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const int64_t rows = dy.dim(0), width = dy.dim(1);
  const T* in = gate_up.cpu<T>().data();
  const T* gradient = dy.cpu<T>().data();
  T* out = d_gate_up.cpu<T>().data();
  for (int64_t row = 0; row < rows; ++row) {
    kernels.silu_product_backward(in, in + width, gradient, out, out + width, width);
    in += 2 * width;
    gradient += width;
    out += 2 * width;
  }
}

template void SwiGluForward<float>(ConstTensorView, TensorView);
template void SwiGluForward<double>(ConstTensorView, TensorView);
template void SwiGluBackward<float>(ConstTensorView, ConstTensorView, TensorView);
template void SwiGluBackward<double>(ConstTensorView, ConstTensorView, TensorView);

}  // namespace equipoise::cpu
