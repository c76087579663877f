#include "routing/lpr/similarity/moments.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/ops/gemm.h"
#include "routing/cpu/score_rows.h"

namespace equipoise::routing {

TensorView CopyColumns(const Context& context, ConstTensorView from, int64_t begin, int64_t width) {
  const int64_t rows = from.dim(0);
  const int64_t stride = from.dim(1);
  EQ_CHECK(begin + width <= stride) << "columns to " << begin + width << " of " << stride;
  const TensorView columns = context.scratch->Allocate(from.dtype(), {rows, width});
  DispatchFloat(from.dtype(), [&]<typename T>() {
    const T* in = from.cpu<T>().data() + begin;
    T* out = columns.cpu<T>().data();
    for (int64_t row = 0; row < rows; ++row, in += stride, out += width) {
      std::copy(in, in + width, out);
    }
  });
  return columns;
}

void AddColumns(ConstTensorView columns, int64_t begin, TensorView to) {
  const int64_t width = columns.dim(1);
  const int64_t stride = to.dim(1);
  EQ_CHECK(columns.dim(0) == to.dim(0) && begin + width <= stride);
  DispatchFloat(to.dtype(), [&]<typename T>() {
    const T* in = columns.cpu<T>().data();
    T* out = to.cpu<T>().data() + begin;
    for (int64_t row = 0; row < to.dim(0); ++row, in += width, out += stride) {
      cpu::AddScaledRow(T{1}, in, width, out);
    }
  });
}

void SquaredDistances(const Context& context, ConstTensorView a, ConstTensorView b,
                      TensorView out) {
  Gemm(context, Transpose::kNo, Transpose::kYes, -2.0, a, b, 0.0, out);
  const int64_t width = a.dim(1);
  const int64_t columns = b.dim(0);
  WorkspaceFrame frame(*context.scratch);
  const TensorView squares = context.scratch->Allocate(b.dtype(), {columns});
  DispatchFloat(out.dtype(), [&]<typename T>() {
    const T* b_row = b.cpu<T>().data();
    for (T& square : squares.cpu<T>()) {
      square = cpu::DotRow(b_row, b_row, width);
      b_row += width;
    }
    const T* a_row = a.cpu<T>().data();
    T* row = out.cpu<T>().data();
    for (int64_t t = 0; t < a.dim(0); ++t, a_row += width, row += columns) {
      const T square = cpu::DotRow(a_row, a_row, width);
      for (int64_t e = 0; e < columns; ++e) {
        // Rounding must not make a distance negative; not a number stays one.
        const T sum = row[e] + square + squares.cpu<T>()[static_cast<size_t>(e)];
        row[e] = sum < T{0} ? T{0} : sum;
      }
    }
  });
}

void SquaredDistancesBackward(const Context& context, ConstTensorView a, ConstTensorView b,
                              ConstTensorView d, TensorView da, TensorView db) {
  Gemm(context, Transpose::kNo, Transpose::kNo, -2.0, d, b, 0.0, da);
  Gemm(context, Transpose::kYes, Transpose::kNo, -2.0, d, a, 0.0, db);
  const int64_t width = a.dim(1);
  const int64_t columns = b.dim(0);
  DispatchFloat(d.dtype(), [&]<typename T>() {
    const T* d_row = d.cpu<T>().data();
    for (int64_t t = 0; t < a.dim(0); ++t, d_row += columns) {
      T sum = T{0};
      for (int64_t e = 0; e < columns; ++e) {
        sum += d_row[e];
        cpu::AddScaledRow(T{2} * d_row[e], b.cpu<T>().data() + e * width, width,
                          db.cpu<T>().data() + e * width);
      }
      cpu::AddScaledRow(T{2} * sum, a.cpu<T>().data() + t * width, width,
                        da.cpu<T>().data() + t * width);
    }
  });
}

}  // namespace equipoise::routing
