#ifndef EQUIPOISE_ROUTING_LOCALITY_QUOTA_H_
#define EQUIPOISE_ROUTING_LOCALITY_QUOTA_H_

#include <cstdint>
#include <vector>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/locality.h"

namespace equipoise::routing {

// What tokens would have if they stayed at home.
struct HomeChoice {
  TensorView ids;   // I32 [n, K]: the K best experts of the token's home node
  TensorView keys;  // [n]: the best rank of an expert away from home in the free choice, else -inf

  HomeChoice Rows(int64_t begin, int64_t end) const {
    return {ids.Rows(begin, end), keys.Rows(begin, end)};
  }
};

// At most a share of each sequence's tokens may have experts away from home: those whose best such
// expert ranks highest (ties: the earlier token) keep their free choice, the others have the K best
// experts at home. FasterMoE's topology gate (He et al., PPoPP 2022), for any K; there a token that
// may go out sends one of its two copies. By sequence, so that the choice does not depend on the
// layout; it looks ahead within it. Immutable.
class LocalityQuota {
 public:
  // REQUIRES: CheckLocality.
  LocalityQuota(const LocalityOptions& options, int num_experts);

  bool enabled() const { return !first_expert_.empty(); }

  // Fills `home` for the free choice ids I32 [n, K] from ranking [n, E]; nodes I32 [n], or absent:
  // all of node 0.
  void FindHome(ConstTensorView ranking, ConstTensorView nodes, ConstTensorView ids,
                const HomeChoice& home) const;
  // Replaces in ids I32 [S, K], a sequence's free choice, what is beyond the quota.
  void Apply(const Context& context, const HomeChoice& home, TensorView ids) const;

 private:
  const double outgoing_share_;
  std::vector<int32_t> first_expert_;  // [N + 1], of each node; empty: no quota
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOCALITY_QUOTA_H_
