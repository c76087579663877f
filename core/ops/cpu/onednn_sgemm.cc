#include "core/ops/cpu/onednn_sgemm.h"

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#include "core/base/check.h"

// oneDNN spreads its work over OpenMP threads. Declared here because <omp.h> comes with one
// compiler's OpenMP, and the one that counts is the one libdnnl was linked against (libgomp).
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int num_threads);
}

namespace equipoise::cpu {
namespace {

// A rank computes on its own thread: cores belong to ranks. The number of threads that OpenMP
// starts is a property of the calling thread, so this disturbs nobody else, and it is put back for
// whatever else the thread may run. An environment variable would be the user's to forget.
class OneOpenMpThread {
 public:
  OneOpenMpThread() : previous_(omp_get_max_threads()) {
    if (previous_ != 1) omp_set_num_threads(1);
  }
  ~OneOpenMpThread() {
    if (previous_ != 1) omp_set_num_threads(previous_);
  }
  OneOpenMpThread(const OneOpenMpThread&) = delete;
  OneOpenMpThread& operator=(const OneOpenMpThread&) = delete;

 private:
  const int previous_;
};

char Letter(Transpose transpose) { return transpose == Transpose::kYes ? 'T' : 'N'; }

}  // namespace

void OneDnnSgemm(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k,
                 float alpha, const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
                 float* c, int64_t ldc) {
  const OneOpenMpThread one_thread;
  const dnnl_status_t status = dnnl_sgemm(Letter(transpose_a), Letter(transpose_b), m, n, k, alpha,
                                          a, lda, b, ldb, beta, c, ldc);
  EQ_CHECK(status == dnnl_success)
      << "dnnl_sgemm gave " << dnnl_status2str(status) << " for m=" << m << " n=" << n << " k=" << k
      << " lda=" << lda << " ldb=" << ldb << " ldc=" << ldc;
}

}  // namespace equipoise::cpu
