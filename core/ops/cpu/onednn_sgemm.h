#ifndef EQUIPOISE_CORE_OPS_CPU_ONEDNN_SGEMM_H_
#define EQUIPOISE_CORE_OPS_CPU_ONEDNN_SGEMM_H_

#include <cstdint>

#include "core/ops/transpose.h"

namespace equipoise::cpu {

// `dnnl_sgemm` on the calling thread alone. Arguments as GemmKernel<float>.
// REQUIRES: m, n, k > 0.
void OneDnnSgemm(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k,
                 float alpha, const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
                 float* c, int64_t ldc);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_ONEDNN_SGEMM_H_
