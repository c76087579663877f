#include "core/ops/cpu/permute.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/base/check.h"
#include "core/ops/cpu/row_kernels.h"

namespace equipoise::cpu {
namespace {

constexpr int64_t kNoCopy = -1;

// out (+)= sum over k of gate(k) * x[slots[k]] for one token, in the order of k.
template <typename T, typename Gate>
void SumCopies(ConstTensorView x, const int64_t* slots, int64_t num_slots, const Gate& gate,
               bool accumulate, T* out) {
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const int64_t num_copies = x.dim(0), width = x.dim(1);
  const T* rows = x.cpu<T>().data();
  bool empty = !accumulate;
  for (int64_t k = 0; k < num_slots; ++k) {
    if (slots[k] == kNoCopy) continue;
    EQ_CHECK(slots[k] >= 0 && slots[k] < num_copies) << "slot " << slots[k] << " of " << num_copies;
    const T* row = rows + slots[k] * width;
    if (empty) {
      kernels.scale(gate(k), row, out, width);
    } else {
      kernels.axpy(gate(k), row, out, width);
    }
    empty = false;
  }
  if (empty) std::fill_n(out, width, T{0});
}

}  // namespace

void GatherRows(ConstTensorView x, ConstTensorView rows, TensorView y) {
  const int64_t num_rows = x.dim(0);
  const size_t row_bytes = static_cast<size_t>(x.dim(1)) * SizeOf(x.dtype());
  const std::byte* in = static_cast<const std::byte*>(x.raw());
  std::byte* out = static_cast<std::byte*>(y.raw());
  for (const int64_t row : rows.cpu<int64_t>()) {
    EQ_CHECK(row >= 0 && row < num_rows) << "row " << row << " of " << num_rows;
    std::memcpy(out, in + static_cast<size_t>(row) * row_bytes, row_bytes);
    out += row_bytes;
  }
}

template <typename T>
void GatherRowsBackward(ConstTensorView dy, ConstTensorView slots, bool accumulate, TensorView dx) {
  const int64_t num_tokens = slots.dim(0), num_slots = slots.dim(1), width = dx.dim(1);
  const int64_t* slot = slots.cpu<int64_t>().data();
  T* out = dx.cpu<T>().data();
  for (int64_t t = 0; t < num_tokens; ++t, slot += num_slots, out += width) {
    SumCopies(
        dy, slot, num_slots, [](int64_t) { return T{1}; }, accumulate, out);
  }
}

template <typename T>
void WeightedCombine(ConstTensorView x, ConstTensorView slots, ConstTensorView gates,
                     bool accumulate, TensorView y) {
  const int64_t num_tokens = slots.dim(0), num_slots = slots.dim(1), width = y.dim(1);
  const int64_t* slot = slots.cpu<int64_t>().data();
  const T* gate = gates.cpu<T>().data();
  T* out = y.cpu<T>().data();
  for (int64_t t = 0; t < num_tokens; ++t) {
    SumCopies(
        x, slot, num_slots, [gate](int64_t k) { return gate[k]; }, accumulate, out);
    slot += num_slots;
    gate += num_slots;
    out += width;
  }
}

template <typename T>
void WeightedCombineBackward(ConstTensorView x, ConstTensorView slots, ConstTensorView gates,
                             ConstTensorView dy, TensorView dx, TensorView dgates) {
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const int64_t num_slots = slots.dim(1), num_copies = x.dim(0), width = x.dim(1);
  const auto slot = slots.cpu<int64_t>();
  const auto gate = gates.cpu<T>();
  const auto dgate = dgates.cpu<T>();
  const T* rows = x.cpu<T>().data();
  const T* gradients = dy.cpu<T>().data();
  T* out = dx.cpu<T>().data();
  for (size_t i = 0; i < slot.size(); ++i) {
    dgate[i] = T{0};
    if (slot[i] == kNoCopy) continue;
    EQ_CHECK(slot[i] >= 0 && slot[i] < num_copies) << "slot " << slot[i] << " of " << num_copies;
    const T* gradient = gradients + static_cast<int64_t>(i) / num_slots * width;
    const int64_t begin = slot[i] * width;
    // The row of x is read before it may be overwritten: dx may be x.
    dgate[i] = static_cast<T>(kernels.dot(gradient, rows + begin, width));
    kernels.scale(gate[i], gradient, out + begin, width);
  }
}

template void GatherRowsBackward<float>(ConstTensorView, ConstTensorView, bool, TensorView);
template void GatherRowsBackward<double>(ConstTensorView, ConstTensorView, bool, TensorView);
template void WeightedCombine<float>(ConstTensorView, ConstTensorView, ConstTensorView, bool,
                                     TensorView);
template void WeightedCombine<double>(ConstTensorView, ConstTensorView, ConstTensorView, bool,
                                      TensorView);
template void WeightedCombineBackward<float>(ConstTensorView, ConstTensorView, ConstTensorView,
                                             ConstTensorView, TensorView, TensorView);
template void WeightedCombineBackward<double>(ConstTensorView, ConstTensorView, ConstTensorView,
                                              ConstTensorView, TensorView, TensorView);

}  // namespace equipoise::cpu
