#ifndef EQUIPOISE_PARALLEL_ROUTE_COUNTS_H_
#define EQUIPOISE_PARALLEL_ROUTE_COUNTS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/local_consistency.h"

namespace equipoise::parallel {

// What of a step's routing is counted for telemetry.
struct RouteCountOptions {
  int layers = 0;       // MoE layers
  int num_nodes = 1;    // N, logical; 1: no copies by home node are counted
  int num_experts = 0;  // E
  int top_k = 0;        // K
  // Local routing consistency: every so many steps, 0 never; the rest as in ConsistencyOptions.
  int64_t every_steps = 0;
  int segment = 16;
  double cache_ratio = 2.0;  // experts that the cache holds, in units of K
};

// Of one layer and step, over all ranks.
struct LayerRouteCounts {
  std::vector<double> home_copies;  // [N, E] copies as sent, by home node; empty for one node
  // As CountConsistency: of experts, and of nodes with a cache of one node. Empty: not counted.
  std::vector<double> experts;
  std::vector<double> nodes;
};

// Integers about a step's routing that no router needs, in doubles: they add up over micro-batches
// here, and over ranks with the losses, in one message that is sent anyway. One per rank; belongs
// to one thread.
class RouteCounts {
 public:
  explicit RouteCounts(const RouteCountOptions& options);

  // Sets all counts to zero and decides what this step counts.
  void BeginStep(int64_t step);
  // Counts a micro-batch of MoE layer `index` (its position among the MoE layers): expert_ids I32
  // [T, K'], -1 for no copy; nodes I32 [T], home nodes, absent for node 0.
  void Record(const Context& context, int index, ConstTensorView expert_ids, ConstTensorView nodes,
              int64_t sequence_length);

  // All counts, to be summed over ranks in place.
  std::span<double> values() { return values_; }
  LayerRouteCounts Layer(int index) const;

 private:
  std::span<const double> OfLayer(int index) const;
  void CountHome(std::span<const int32_t> ids, std::span<const int32_t> nodes, size_t copies,
                 std::span<double> counts) const;
  // Of one sequence.
  void CountSequence(std::span<const int32_t> ids, int copies, std::span<double> counts) const;

  const RouteCountOptions options_;
  const routing::ConsistencyOptions experts_;
  const routing::ConsistencyOptions nodes_;
  const std::vector<int32_t> node_of_expert_;
  const size_t num_home_;
  const size_t num_experts_counts_;
  const size_t num_nodes_counts_;
  bool counts_consistency_ = false;  // in this step
  std::vector<double> values_;       // layer after layer: home copies, experts, nodes
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_ROUTE_COUNTS_H_
