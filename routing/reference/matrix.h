#ifndef EQUIPOISE_ROUTING_REFERENCE_MATRIX_H_
#define EQUIPOISE_ROUTING_REFERENCE_MATRIX_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "core/device/context.h"
#include "core/ops/gemm.h"
#include "core/tensor/dtype.h"
#include "core/tensor/tensor_view.h"

// Whole-matrix operations for composed, unfused references: each reads and writes all of memory.
namespace equipoise::routing::reference {

// A dense matrix on the host, row by row.
template <typename T>
struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<T> values;

  static Matrix Zeros(int64_t rows, int64_t columns) {
    return {rows, columns, std::vector<T>(static_cast<size_t>(rows * columns))};
  }
  T* row(int64_t r) { return values.data() + r * columns; }
  const T* row(int64_t r) const { return values.data() + r * columns; }
};

template <typename T>
ConstTensorView View(const Matrix<T>& m) {
  return {m.values.data(), DTypeOf<T>::value, {m.rows, m.columns}, DeviceKind::kCpu};
}

// op(a) op(b).
template <typename T>
Matrix<T> Product(const Context& context, Transpose transpose_a, Transpose transpose_b,
                  const Matrix<T>& a, const Matrix<T>& b) {
  const bool ta = transpose_a == Transpose::kYes;
  const bool tb = transpose_b == Transpose::kYes;
  auto c = Matrix<T>::Zeros(ta ? a.columns : a.rows, tb ? b.rows : b.columns);
  Gemm(context, transpose_a, transpose_b, 1.0, View(a), View(b), 0.0,
       TensorView(c.values.data(), DTypeOf<T>::value, {c.rows, c.columns}, DeviceKind::kCpu));
  return c;
}

template <typename T>
void AddRow(const Matrix<T>& row, Matrix<T>& m) {
  for (size_t i = 0; i < m.values.size(); ++i) m.values[i] += row.values[i % row.values.size()];
}

template <typename T>
Matrix<T> SumOfRows(const Matrix<T>& m) {
  auto sum = Matrix<T>::Zeros(1, m.columns);
  for (size_t i = 0; i < m.values.size(); ++i) sum.values[i % sum.values.size()] += m.values[i];
  return sum;
}

template <typename T>
Matrix<T> Columns(const Matrix<T>& m, int64_t begin, int64_t width) {
  auto result = Matrix<T>::Zeros(m.rows, width);
  for (int64_t r = 0; r < m.rows; ++r) {
    std::copy(m.row(r) + begin, m.row(r) + begin + width, result.row(r));
  }
  return result;
}

// Rows over their lengths.
template <typename T>
struct Unit {
  Matrix<T> rows;
  std::vector<T> lengths;
};

template <typename T>
Unit<T> UnitRows(const Matrix<T>& m) {
  Unit<T> unit = {m, {}};
  for (int64_t r = 0; r < m.rows; ++r) {
    T* row = unit.rows.row(r);
    const T square = std::inner_product(row, row + m.columns, row, T{0});
    unit.lengths.push_back(std::max(std::sqrt(square), static_cast<T>(1e-8)));
    for (int64_t d = 0; d < m.columns; ++d) row[d] /= unit.lengths.back();
  }
  return unit;
}

template <typename T>
void AddUnitRowsGradient(const Unit<T>& unit, const Matrix<T>& dunit, Matrix<T>& dm) {
  for (int64_t r = 0; r < dunit.rows; ++r) {
    const T* u = unit.rows.row(r);
    const T* du = dunit.row(r);
    const T radial = std::inner_product(u, u + dunit.columns, du, T{0});
    const T length = unit.lengths[static_cast<size_t>(r)];
    for (int64_t d = 0; d < dunit.columns; ++d) dm.row(r)[d] += (du[d] - radial * u[d]) / length;
  }
}

template <typename T>
Matrix<T> SoftmaxRows(const Matrix<T>& m, double scale) {
  Matrix<T> p = m;
  for (int64_t r = 0; r < m.rows; ++r) {
    const T largest = *std::max_element(m.row(r), m.row(r) + m.columns);
    T sum = T{0};
    for (int64_t e = 0; e < m.columns; ++e) {
      p.row(r)[e] = std::exp(static_cast<T>(scale) * (m.row(r)[e] - largest));
      sum += p.row(r)[e];
    }
    for (int64_t e = 0; e < m.columns; ++e) p.row(r)[e] /= sum;
  }
  return p;
}

// d by what the softmax was taken of, given d by the softmax.
template <typename T>
Matrix<T> SoftmaxRowsBackward(const Matrix<T>& p, const Matrix<T>& dp, double scale) {
  Matrix<T> d = p;
  for (int64_t r = 0; r < p.rows; ++r) {
    const T mean = std::inner_product(p.row(r), p.row(r) + p.columns, dp.row(r), T{0});
    for (int64_t e = 0; e < p.columns; ++e) {
      d.row(r)[e] = static_cast<T>(scale) * p.row(r)[e] * (dp.row(r)[e] - mean);
    }
  }
  return d;
}

}  // namespace equipoise::routing::reference

#endif  // EQUIPOISE_ROUTING_REFERENCE_MATRIX_H_
