#include "core/ops/reference/gemm.h"

namespace equipoise::reference {

std::vector<double> Gemm(const GemmShape& shape, std::span<const double> a,
                         std::span<const double> b) {
  std::vector<double> c;
  for (int64_t i = 0; i < shape.m; ++i) {
    for (int64_t j = 0; j < shape.n; ++j) {
      double sum = 0.0;
      for (int64_t p = 0; p < shape.k; ++p) {
        const bool a_transposed = shape.transpose_a == Transpose::kYes;
        const bool b_transposed = shape.transpose_b == Transpose::kYes;
        const int64_t a_index = a_transposed ? p * shape.m + i : i * shape.k + p;
        const int64_t b_index = b_transposed ? j * shape.k + p : p * shape.n + j;
        sum += a[static_cast<size_t>(a_index)] * b[static_cast<size_t>(b_index)];
      }
      c.push_back(sum);
    }
  }
  return c;
}

}  // namespace equipoise::reference
