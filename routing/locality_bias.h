#ifndef EQUIPOISE_ROUTING_LOCALITY_BIAS_H_
#define EQUIPOISE_ROUTING_LOCALITY_BIAS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/locality.h"

namespace equipoise::routing {

// b[node, expert] = the node's strength if the expert is on it, else 0: added to what experts are
// ranked by for tokens of that node, and to nothing else. Gates and losses take the scores without
// it, so it has no gradient. One router's; belongs to its thread.
class LocalityBias {
 public:
  // REQUIRES: CheckLocality.
  LocalityBias(const LocalityOptions& options, int num_experts);

  bool enabled() const { return !strengths_.empty(); }
  // Doubles of the router's sums: for kController, copies [N] by home node, then those of them that
  // stay there [N].
  int64_t num_statistics() const { return controls() ? 2 * options_.num_nodes : 0; }

  // ranking [n, E] += b; nodes I32 [n], or absent: all of node 0.
  void AddTo(const Context& context, ConstTensorView nodes, TensorView ranking) const;
  // Counts expert_ids I32 [T, K], -1 for no copy, into `sums`, this bias's segment.
  void Count(ConstTensorView nodes, ConstTensorView expert_ids, std::span<double> sums) const;

  // Strengths [N]; none unless kController.
  std::span<const double> state() const;
  // REQUIRES: as long as state().
  void SetState(std::span<const double> state);
  // Moves the strengths by a step's segment (host values). Nodes without tokens, or without
  // experts to prefer, stay as they are.
  void EndStep(std::span<const double> sums);

 private:
  bool controls() const { return enabled() && options_.bias.mode == LocalityBiasMode::kController; }

  const LocalityOptions options_;
  const std::vector<int32_t> node_of_expert_;
  std::vector<int32_t> first_expert_;  // [N + 1], of each node
  std::vector<double> strengths_;      // [N]; empty: no bias
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOCALITY_BIAS_H_
