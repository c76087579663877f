#include "routing/selection.h"

#include "core/base/check.h"
#include "routing/cpu/top_k_rows.h"

namespace equipoise::routing {

void SelectTopK(const Context& context, ConstTensorView ranking, TensorView ids) {
  (void)context;
  const int64_t num_rows = ranking.dim(0);
  const int64_t num_experts = ranking.dim(1);
  const int64_t top_k = ids.dim(1);
  EQ_CHECK_EQ(ids.dim(0), num_rows);
  EQ_CHECK(top_k >= 1 && top_k <= num_experts) << "K=" << top_k << " E=" << num_experts;
  int32_t* chosen = ids.cpu<int32_t>().data();
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    cpu::TopKRows<T>(ranking.cpu<T>().data(), num_rows, num_experts, top_k, chosen);
  });
}

}  // namespace equipoise::routing
