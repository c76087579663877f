#ifndef EQUIPOISE_CORE_OPS_REFERENCE_GEMM_H_
#define EQUIPOISE_CORE_OPS_REFERENCE_GEMM_H_

#include <cstdint>
#include <span>
#include <vector>

#include "core/ops/transpose.h"

// What core/ops/gemm.h must compute, as the definition says it, in double. For tests.
namespace equipoise::reference {

struct GemmShape {
  Transpose transpose_a = Transpose::kNo;
  Transpose transpose_b = Transpose::kNo;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
};

// op(a) op(b) as [m, n], for dense row-major a and b.
std::vector<double> Gemm(const GemmShape& shape, std::span<const double> a,
                         std::span<const double> b);

}  // namespace equipoise::reference

#endif  // EQUIPOISE_CORE_OPS_REFERENCE_GEMM_H_
