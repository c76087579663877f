#include "routing/transposed.h"

#include <algorithm>
#include <cstdint>

#include "core/base/check.h"

namespace equipoise::routing {
namespace {

// Elements of a block's side: its rows stay in the cache while its columns are walked over.
constexpr int64_t kBlock = 16;

// Calls body(row, column) for every element, block by block.
template <class Body>
void ForEachElement(int64_t rows, int64_t columns, Body&& body) {
  for (int64_t row = 0; row < rows; row += kBlock) {
    for (int64_t column = 0; column < columns; column += kBlock) {
      for (int64_t i = row; i < std::min(row + kBlock, rows); ++i) {
        for (int64_t j = column; j < std::min(column + kBlock, columns); ++j) body(i, j);
      }
    }
  }
}

}  // namespace

TensorView Transposed(const Context& context, ConstTensorView matrix) {
  const int64_t rows = matrix.dim(0), columns = matrix.dim(1);
  const TensorView result = context.scratch->Allocate(matrix.dtype(), {columns, rows});
  DispatchFloat(matrix.dtype(), [&]<typename T>() {
    const T* from = matrix.cpu<T>().data();
    T* to = result.cpu<T>().data();
    ForEachElement(rows, columns,
                   [=](int64_t i, int64_t j) { to[j * rows + i] = from[i * columns + j]; });
  });
  return result;
}

void AddTransposed(const Context&, ConstTensorView source, TensorView target) {
  const int64_t rows = source.dim(0), columns = source.dim(1);
  EQ_CHECK_EQ(target.shape(), (Shape{columns, rows}));
  DispatchFloat(source.dtype(), [&]<typename T>() {
    const T* from = source.cpu<T>().data();
    T* to = target.cpu<T>().data();
    ForEachElement(columns, rows,
                   [=](int64_t i, int64_t j) { to[i * rows + j] += from[j * columns + i]; });
  });
}

}  // namespace equipoise::routing
