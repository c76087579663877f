#include "core/ops/cpu/embedding.h"

#include <algorithm>
#include <cstdint>

#include "core/base/check.h"
#include "core/ops/cpu/row_kernels.h"

namespace equipoise::cpu {

template <typename T>
void EmbeddingForward(ConstTensorView ids, ConstTensorView table, TensorView y) {
  const int64_t vocabulary = table.dim(0), width = table.dim(1);
  const T* rows = table.cpu<T>().data();
  T* out = y.cpu<T>().data();
  for (const int32_t id : ids.cpu<int32_t>()) {
    EQ_CHECK(id >= 0 && id < vocabulary) << "token id " << id << " of " << vocabulary;
    std::copy_n(rows + id * width, width, out);
    out += width;
  }
}

template <typename T>
void EmbeddingBackward(ConstTensorView ids, ConstTensorView dy, TensorView dtable) {
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const int64_t vocabulary = dtable.dim(0), width = dtable.dim(1);
  const T* in = dy.cpu<T>().data();
  T* rows = dtable.cpu<T>().data();
  for (const int32_t id : ids.cpu<int32_t>()) {
    EQ_CHECK(id >= 0 && id < vocabulary) << "token id " << id << " of " << vocabulary;
    kernels.axpy(T{1}, in, rows + id * width, width);
    in += width;
  }
}

template void EmbeddingForward<float>(ConstTensorView, ConstTensorView, TensorView);
template void EmbeddingForward<double>(ConstTensorView, ConstTensorView, TensorView);
template void EmbeddingBackward<float>(ConstTensorView, ConstTensorView, TensorView);
template void EmbeddingBackward<double>(ConstTensorView, ConstTensorView, TensorView);

}  // namespace equipoise::cpu
