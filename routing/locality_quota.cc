#include "routing/locality_quota.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/check.h"
#include "routing/cpu/coarse_score.h"
#include "routing/cpu/top_k_rows.h"

namespace equipoise::routing {

LocalityQuota::LocalityQuota(const LocalityOptions& options, int num_experts)
    : outgoing_share_(options.quota.outgoing_share) {
  if (options.num_nodes < 2 || !options.quota.enabled()) return;
  first_expert_ = FirstExperts(num_experts, options.num_nodes);
}

void LocalityQuota::FindHome(ConstTensorView ranking, ConstTensorView nodes, ConstTensorView ids,
                             const HomeChoice& home) const {
  const int64_t experts = ranking.dim(1);
  const int64_t top_k = ids.dim(1);
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    const T* row = ranking.cpu<T>().data();
    const int32_t* chosen = ids.cpu<int32_t>().data();
    int32_t* at_home = home.ids.cpu<int32_t>().data();
    for (T& key : home.keys.cpu<T>()) {
      const auto t = static_cast<size_t>(&key - home.keys.cpu<T>().data());
      const size_t node = nodes.absent() ? 0 : static_cast<size_t>(nodes.cpu<int32_t>()[t]);
      const int32_t first = first_expert_[node];
      const int32_t end = first_expert_[node + 1];
      key = -std::numeric_limits<T>::infinity();
      for (int64_t k = 0; k < top_k; ++k) {
        if (chosen[k] < first || chosen[k] >= end) key = std::max(key, row[chosen[k]]);
      }
      cpu::TopKRow<T>(row + first, end - first, top_k, at_home);
      for (int64_t k = 0; k < top_k; ++k) at_home[k] += first;
      row += experts;
      chosen += top_k;
      at_home += top_k;
    }
  });
}

void LocalityQuota::Apply(const Context& context, const HomeChoice& home, TensorView ids) const {
  const int64_t length = ids.dim(0);
  const size_t top_k = static_cast<size_t>(ids.dim(1));
  const auto allowed =
      static_cast<int64_t>(std::floor(outgoing_share_ * static_cast<double>(length)));
  WorkspaceFrame frame(*context.scratch);
  const auto order = context.scratch->Allocate(DType::kI32, {length}).cpu<int32_t>();
  for (size_t t = 0; t < order.size(); ++t) order[t] = static_cast<int32_t>(t);
  DispatchFloat(home.keys.dtype(), [&]<typename T>() {
    const auto keys = home.keys.cpu<T>();
    // What rounding alone tells apart is a tie: no layout may decide it.
    const auto score = [&](int32_t t) { return cpu::CoarseScore(keys[static_cast<size_t>(t)]); };
    std::nth_element(
        order.begin(), order.begin() + allowed, order.end(),
        [&](int32_t a, int32_t b) { return score(a) != score(b) ? score(a) > score(b) : a < b; });
    const auto chosen = ids.cpu<int32_t>();
    const auto at_home = home.ids.cpu<int32_t>();
    for (const int32_t token : order.subspan(static_cast<size_t>(allowed))) {
      if (keys[static_cast<size_t>(token)] == -std::numeric_limits<T>::infinity()) continue;
      const size_t begin = static_cast<size_t>(token) * top_k;
      std::copy_n(at_home.begin() + static_cast<int64_t>(begin), top_k,
                  chosen.begin() + static_cast<int64_t>(begin));
    }
  });
}

}  // namespace equipoise::routing
