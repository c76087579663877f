#ifndef EQUIPOISE_CORE_OPS_CPU_GEMM_KERNEL_H_
#define EQUIPOISE_CORE_OPS_CPU_GEMM_KERNEL_H_

#include <cstdint>

#include "core/ops/transpose.h"

namespace equipoise::cpu {

// c = alpha * op(a) op(b) + beta * c on host pointers, like `cblas_sgemm` with row-major storage.
// op(a) is [m, k], op(b) [k, n], c [m, n]; `lda`, `ldb`, `ldc` are the elements from one STORED row
// to the next, so a matrix may be a block of a larger one (one attention head, a tile of logits).
// beta = 0 ignores what c held. alpha = 0 or k = 0 reads neither a nor b and gives beta * c; any
// extent may be zero, pointers may then be null. c overlaps neither a nor b.
//
// Runs on the calling thread alone and gives the same bits for the same extents on the same type of
// machine. T is float (oneDNN) or double (blocked loops; for checks, not for speed).
//
// REQUIRES: lda >= the row length of the stored a (k, or m when transposed), ldb and ldc likewise.
template <typename T>
void GemmKernel(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k,
                T alpha, const T* a, int64_t lda, const T* b, int64_t ldb, T beta, T* c,
                int64_t ldc);

extern template void GemmKernel<float>(Transpose, Transpose, int64_t, int64_t, int64_t, float,
                                       const float*, int64_t, const float*, int64_t, float, float*,
                                       int64_t);
extern template void GemmKernel<double>(Transpose, Transpose, int64_t, int64_t, int64_t, double,
                                        const double*, int64_t, const double*, int64_t, double,
                                        double*, int64_t);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_GEMM_KERNEL_H_
