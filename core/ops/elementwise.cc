#include "core/ops/elementwise.h"

#include <algorithm>
#include <cstring>

#include "core/base/check.h"
#include "core/ops/cpu/row_kernels.h"
#include "core/tensor/dtype.h"

namespace equipoise {

using cpu::RowKernels;

void Copy(const Context&, ConstTensorView x, TensorView y) {
  EQ_CHECK_EQ(x.shape(), y.shape());
  EQ_CHECK_EQ(x.dtype(), y.dtype());
  EQ_CHECK(x.device() == DeviceKind::kCpu && y.device() == DeviceKind::kCpu);
  if (x.num_bytes() > 0 && x.raw() != y.raw()) std::memcpy(y.raw(), x.raw(), x.num_bytes());
}

void Fill(const Context&, double value, TensorView x) {
  DispatchFloat(x.dtype(), [&]<typename T>() {
    const auto elements = x.cpu<T>();
    std::fill(elements.begin(), elements.end(), static_cast<T>(value));
  });
}

void Axpy(const Context&, double alpha, ConstTensorView x, TensorView y) {
  EQ_CHECK_EQ(x.shape(), y.shape());
  DispatchFloat(y.dtype(), [&]<typename T>() {
    RowKernels<T>::Get().axpy(static_cast<T>(alpha), x.cpu<T>().data(), y.cpu<T>().data(),
                              y.num_elements());
  });
}

void Scale(const Context&, double alpha, TensorView x) {
  DispatchFloat(x.dtype(), [&]<typename T>() {
    T* elements = x.cpu<T>().data();
    RowKernels<T>::Get().scale(static_cast<T>(alpha), elements, elements, x.num_elements());
  });
}

double SumOfSquares(const Context&, ConstTensorView x) {
  return DispatchFloat(x.dtype(), [&]<typename T>() {
    const T* elements = x.cpu<T>().data();
    return RowKernels<T>::Get().dot(elements, elements, x.num_elements());
  });
}

bool AllFinite(const Context&, ConstTensorView x) {
  return DispatchFloat(x.dtype(), [&]<typename T>() {
    return RowKernels<T>::Get().all_finite(x.cpu<T>().data(), x.num_elements());
  });
}

}  // namespace equipoise
