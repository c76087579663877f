#include "core/ops/cpu/rms_norm.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/ops/cpu/row_kernels.h"

namespace equipoise::cpu {

template <typename T>
void RmsNormForward(ConstTensorView x, ConstTensorView weight, double epsilon, TensorView y,
                    TensorView inverse_rms) {
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const int64_t width = weight.num_elements();
  const T* w = weight.cpu<T>().data();
  const T* x_row = x.cpu<T>().data();
  T* y_row = y.cpu<T>().data();
  for (T& inverse : inverse_rms.cpu<T>()) {
    const double mean_square = kernels.dot(x_row, x_row, width) / static_cast<double>(width);
    inverse = static_cast<T>(1.0 / std::sqrt(mean_square + epsilon));
    kernels.scale_product(inverse, x_row, w, y_row, width);
    x_row += width;
    y_row += width;
  }
}

template <typename T>
void RmsNormBackward(Workspace& scratch, ConstTensorView x, ConstTensorView weight,
                     ConstTensorView inverse_rms, ConstTensorView dy, TensorView dx,
                     bool accumulate_dx, TensorView dweight) {
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const int64_t width = weight.num_elements();
  const WorkspaceFrame frame(scratch);
  const auto dweight_sum = scratch.Allocate(DType::kF64, {width}).cpu<double>();
  std::fill(dweight_sum.begin(), dweight_sum.end(), 0.0);
  RmsNormBackwardRow<T> row = {.x = x.cpu<T>().data(),
                               .weight = weight.cpu<T>().data(),
                               .dy = dy.cpu<T>().data(),
                               .inverse_rms = 0.0,
                               .projection = 0.0,
                               .dx = dx.cpu<T>().data(),
                               .accumulate_dx = accumulate_dx,
                               .dweight = dweight_sum.data()};
  for (const T inverse : inverse_rms.cpu<T>()) {
    const double r = static_cast<double>(inverse);
    const double alignment = kernels.dot3(row.dy, row.weight, row.x, width);
    row.inverse_rms = r;
    row.projection = r * r * r * alignment / static_cast<double>(width);
    kernels.rms_norm_backward(row, width);
    row.x += width;
    row.dy += width;
    row.dx += width;
  }
  const auto dw = dweight.cpu<T>();
  for (size_t j = 0; j < dw.size(); ++j) {
    dw[j] = static_cast<T>(static_cast<double>(dw[j]) + dweight_sum[j]);
  }
}

template void RmsNormForward<float>(ConstTensorView, ConstTensorView, double, TensorView,
                                    TensorView);
template void RmsNormForward<double>(ConstTensorView, ConstTensorView, double, TensorView,
                                     TensorView);
template void RmsNormBackward<float>(Workspace&, ConstTensorView, ConstTensorView, ConstTensorView,
                                     ConstTensorView, TensorView, bool, TensorView);
template void RmsNormBackward<double>(Workspace&, ConstTensorView, ConstTensorView, ConstTensorView,
                                      ConstTensorView, TensorView, bool, TensorView);

}  // namespace equipoise::cpu
