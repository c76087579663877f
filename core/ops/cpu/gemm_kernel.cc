#include "core/ops/cpu/gemm_kernel.h"

#include <algorithm>
#include <type_traits>

#include "core/base/check.h"
#include "core/ops/cpu/onednn_sgemm.h"

namespace equipoise::cpu {
namespace {

// The double-precision product: tiles of op(a) and op(b) are copied to small row-major arrays that
// stay in the first-level cache, and strips of kStripRows x kTile results are summed in registers.
constexpr int64_t kTile = 64;
constexpr int64_t kStripRows = 4;
constexpr int64_t kStripColumns = 16;

struct Tile {
  alignas(64) double values[kTile * kTile];
};

// Rows [row, row + rows) and columns [column, column + columns) of op(source), zero-padded.
void PackTile(Transpose transpose, const double* source, int64_t stride, int64_t row, int64_t rows,
              int64_t column, int64_t columns, Tile& tile) {
  std::fill(std::begin(tile.values), std::end(tile.values), 0.0);
  const bool transposed = transpose == Transpose::kYes;
  const int64_t row_step = transposed ? 1 : stride;
  const int64_t column_step = transposed ? stride : 1;
  for (int64_t i = 0; i < rows; ++i) {
    const double* from = source + (row + i) * row_step + column * column_step;
    for (int64_t j = 0; j < columns; ++j) tile.values[i * kTile + j] = from[j * column_step];
  }
}

// sum[i, j] += a[i, 0:depth] b[0:depth, j] for a strip of the tile.
void MultiplyStrip(const double* a, const double* b, int64_t depth, double* sum) {
  double strip[kStripRows][kStripColumns];
  for (int64_t i = 0; i < kStripRows; ++i) {
    for (int64_t j = 0; j < kStripColumns; ++j) strip[i][j] = sum[i * kTile + j];
  }
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t i = 0; i < kStripRows; ++i) {
      const double factor = a[i * kTile + p];
      for (int64_t j = 0; j < kStripColumns; ++j) strip[i][j] += factor * b[p * kTile + j];
    }
  }
  for (int64_t i = 0; i < kStripRows; ++i) {
    for (int64_t j = 0; j < kStripColumns; ++j) sum[i * kTile + j] = strip[i][j];
  }
}

void MultiplyTile(const Tile& a, const Tile& b, int64_t rows, int64_t columns, int64_t depth,
                  Tile& sum) {
  for (int64_t i = 0; i < rows; i += kStripRows) {
    for (int64_t j = 0; j < columns; j += kStripColumns) {
      MultiplyStrip(a.values + i * kTile, b.values + j, depth, sum.values + i * kTile + j);
    }
  }
}

template <typename T>
void ScaleMatrix(int64_t m, int64_t n, T beta, T* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = beta == T{0} ? T{0} : beta * c[i * ldc + j];
  }
}

void Dgemm(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k,
           double alpha, const double* a, int64_t lda, const double* b, int64_t ldb, double beta,
           double* c, int64_t ldc) {
  Tile a_tile, b_tile, sum;
  for (int64_t j0 = 0; j0 < n; j0 += kTile) {
    const int64_t columns = std::min(kTile, n - j0);
    for (int64_t i0 = 0; i0 < m; i0 += kTile) {
      const int64_t rows = std::min(kTile, m - i0);
      std::fill(std::begin(sum.values), std::end(sum.values), 0.0);
      for (int64_t p0 = 0; p0 < k; p0 += kTile) {
        const int64_t depth = std::min(kTile, k - p0);
        PackTile(transpose_a, a, lda, i0, rows, p0, depth, a_tile);
        PackTile(transpose_b, b, ldb, p0, depth, j0, columns, b_tile);
        MultiplyTile(a_tile, b_tile, rows, columns, depth, sum);
      }
      for (int64_t i = 0; i < rows; ++i) {
        double* out = c + (i0 + i) * ldc + j0;
        for (int64_t j = 0; j < columns; ++j) {
          const double product = alpha * sum.values[i * kTile + j];
          out[j] = beta == 0.0 ? product : product + beta * out[j];
        }
      }
    }
  }
}

}  // namespace

template <typename T>
void GemmKernel(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k,
                T alpha, const T* a, int64_t lda, const T* b, int64_t ldb, T beta, T* c,
                int64_t ldc) {
  EQ_CHECK(m >= 0 && n >= 0 && k >= 0) << "m=" << m << " n=" << n << " k=" << k;
  EQ_CHECK_GE(lda, transpose_a == Transpose::kYes ? m : k);
  EQ_CHECK_GE(ldb, transpose_b == Transpose::kYes ? k : n);
  EQ_CHECK_GE(ldc, n);
  if (m == 0 || n == 0) return;
  if (k == 0 || alpha == T{0}) return ScaleMatrix(m, n, beta, c, ldc);
  if constexpr (std::is_same_v<T, float>) {
    OneDnnSgemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  } else {
    Dgemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  }
}

template void GemmKernel<float>(Transpose, Transpose, int64_t, int64_t, int64_t, float,
                                const float*, int64_t, const float*, int64_t, float, float*,
                                int64_t);
template void GemmKernel<double>(Transpose, Transpose, int64_t, int64_t, int64_t, double,
                                 const double*, int64_t, const double*, int64_t, double, double*,
                                 int64_t);

}  // namespace equipoise::cpu
