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

// b[node, expert], added to what experts are ranked by for tokens of that node, and to nothing
// else: gates and losses take the scores without it, so it has no gradient through them. kFixed and
// kController: the node's strength if the expert is on it, else 0.
//
// kLearned: all of b by gradient descent. With s_t what token t ranks experts by and l_n the target
// of node n (bias.target shared evenly by its own experts, the rest by the others), b_n minimises
//   E (mean over its tokens of (sum of the K largest of s_t + b_n) / K - <l_n, b_n>)
//     + decay / 2 |b_n|^2,
// which is convex, and differentiable but where ranks tie. Its gradient is E times the share of the
// node's copies that each expert has, less its target, plus decay b_n: known exactly from integer
// counts, whatever the layout. Where it vanishes without decay the copies are spread as the target
// says, and b are the prices under which the choice with the largest total score is so. Each entry
// of the gradient but for the decay is clipped to [-1, 1], as for the load's PROPORTIONAL bias.
//
// One router's; belongs to its thread.
class LocalityBias {
 public:
  // REQUIRES: CheckLocality.
  LocalityBias(const LocalityOptions& options, int num_experts);

  bool enabled() const { return !bias_.empty(); }
  // Doubles of the router's sums. kController: copies [N] by home node, then those of them that
  // stay there [N]. kLearned: copies [N, E] by home node and expert.
  int64_t num_statistics() const;

  // ranking [n, E] += b; nodes I32 [n], or absent: all of node 0.
  void AddTo(const Context& context, ConstTensorView nodes, TensorView ranking) const;
  // Counts expert_ids I32 [T, K], -1 for no copy, into `sums`, this bias's segment.
  void Count(ConstTensorView nodes, ConstTensorView expert_ids, std::span<double> sums) const;

  // kController: strengths [N]; kLearned: b [N, E]; else none.
  std::span<const double> state() const;
  // REQUIRES: as long as state().
  void SetState(std::span<const double> state);
  // Moves the state by a step's segment (host values). Nodes without tokens stay as they are, and
  // so do the strengths of nodes without experts to prefer.
  void EndStep(std::span<const double> sums);

  // By how much an expert at home is ahead of the others: mean over nodes that own some, but not
  // all, of the difference of b's means. 0 where there are none.
  double MeanLead() const;
  bool learns() const { return enabled() && options_.bias.mode == LocalityBiasMode::kLearned; }

 private:
  bool controls() const { return enabled() && options_.bias.mode == LocalityBiasMode::kController; }
  void Descend(std::span<const double> sums);
  bool at_home(size_t expert, size_t node) const {
    return static_cast<size_t>(node_of_expert_[expert]) == node;
  }

  const LocalityOptions options_;
  const std::vector<int32_t> node_of_expert_;
  std::vector<int32_t> first_expert_;  // [N + 1], of each node
  // Strengths [N], or b [N, E] if it learns; empty: no bias.
  std::vector<double> bias_;
  std::vector<double> targets_;  // [N, E], if it learns
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOCALITY_BIAS_H_
