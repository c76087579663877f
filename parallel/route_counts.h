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
  int max_copies = 0;   // K', the most copies of a token
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
  // routing/gate_histogram.h: copies by gate, and tokens by their number of copies [K' + 1].
  std::vector<double> gate_bins;
  std::vector<double> token_copies;
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
  // [T, K'], -1 for no copy; their gates [T, K']; nodes I32 [T], home nodes, absent for node 0.
  void Record(const Context& context, int index, ConstTensorView expert_ids, ConstTensorView gates,
              ConstTensorView nodes, int64_t sequence_length);

  // All counts, to be summed over ranks in place.
  std::span<double> values() { return values_; }
  LayerRouteCounts Layer(int index) const;

 private:
  // Where each part of a layer's counts begins.
  struct Parts {
    size_t home = 0;
    size_t experts = 0;
    size_t nodes = 0;
    size_t gate_bins = 0;
    size_t token_copies = 0;
    size_t end = 0;
  };
  Parts MakeParts() const;
  std::span<double> OfLayer(int index) {
    return std::span(values_).subspan(static_cast<size_t>(index) * parts_.end, parts_.end);
  }
  void CountHome(std::span<double> counts) const;
  void CountGates(const Context& context, ConstTensorView gates, std::span<double> counts);
  // Of one sequence.
  void CountSequence(std::span<const int32_t> ids, std::span<double> counts) const;

  const RouteCountOptions options_;
  const routing::ConsistencyOptions experts_;
  const routing::ConsistencyOptions nodes_;
  const std::vector<int32_t> node_of_expert_;
  const Parts parts_;
  bool counts_consistency_ = false;  // in this step
  std::vector<double> values_;       // layer after layer
  // A micro-batch on the host; kept for their memory.
  std::vector<int32_t> host_ids_;    // [T, K']
  std::vector<int32_t> host_homes_;  // [T]
  std::vector<float> host_gates_;    // [T, K'], one of the two
  std::vector<double> host_double_gates_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_ROUTE_COUNTS_H_
