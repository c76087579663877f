#include "parallel/route_counts.h"

#include <algorithm>
#include <cmath>

#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "routing/locality.h"

namespace equipoise::parallel {
namespace {

int CacheSize(const RouteCountOptions& options) {
  const double wanted = std::ceil(options.cache_ratio * options.top_k);
  return static_cast<int>(std::clamp(wanted, 1.0, std::max(1.0, double(options.num_experts))));
}

size_t NumCounts(const RouteCountOptions& options, const routing::ConsistencyOptions& of,
                 bool wanted) {
  if (options.every_steps == 0 || !wanted) return 0;
  return static_cast<size_t>(routing::NumConsistencyCounts(of));
}

}  // namespace

RouteCounts::RouteCounts(const RouteCountOptions& options)
    : options_(options),
      experts_{options.num_experts, options.segment, CacheSize(options)},
      nodes_{options.num_nodes, options.segment, 1},
      node_of_expert_(routing::NodesOfExperts(options.num_experts, options.num_nodes)),
      num_home_(options.num_nodes > 1
                    ? static_cast<size_t>(options.num_nodes) * node_of_expert_.size()
                    : 0),
      num_experts_counts_(NumCounts(options, experts_, true)),
      num_nodes_counts_(NumCounts(options, nodes_, options.num_nodes > 1)),
      values_(static_cast<size_t>(options.layers) *
              (num_home_ + num_experts_counts_ + num_nodes_counts_)) {}

void RouteCounts::BeginStep(int64_t step) {
  std::fill(values_.begin(), values_.end(), 0.0);
  counts_consistency_ = options_.every_steps > 0 && step % options_.every_steps == 0;
}

std::span<const double> RouteCounts::OfLayer(int index) const {
  const size_t size = num_home_ + num_experts_counts_ + num_nodes_counts_;
  return std::span(values_).subspan(static_cast<size_t>(index) * size, size);
}

void RouteCounts::CountHome(std::span<const int32_t> ids, std::span<const int32_t> nodes,
                            size_t copies, std::span<double> counts) const {
  const size_t experts = node_of_expert_.size();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    const size_t node = nodes.empty() ? 0 : static_cast<size_t>(nodes[i / copies]);
    counts[node * experts + static_cast<size_t>(ids[i])] += 1.0;
  }
}

void RouteCounts::CountSequence(std::span<const int32_t> ids, int copies,
                                std::span<double> counts) const {
  routing::CountConsistency(experts_, ids, copies, counts.first(num_experts_counts_));
  if (num_nodes_counts_ == 0) return;
  std::vector<int32_t> nodes;
  for (const int32_t id : ids) {
    nodes.push_back(id < 0 ? -1 : node_of_expert_[static_cast<size_t>(id)]);
  }
  routing::CountConsistency(nodes_, nodes, copies, counts.subspan(num_experts_counts_));
}

void RouteCounts::Record(const Context& context, int index, ConstTensorView expert_ids,
                         ConstTensorView nodes, int64_t sequence_length) {
  if (num_home_ == 0 && !counts_consistency_) return;
  const std::vector<int32_t> ids = comm::HostMirror<int32_t>(context, expert_ids);
  std::vector<int32_t> homes;
  if (!nodes.absent()) homes = comm::HostMirror<int32_t>(context, nodes);
  const size_t copies = static_cast<size_t>(expert_ids.dim(1));
  const std::span<const double> of_layer = OfLayer(index);
  const auto counts = std::span(values_).subspan(
      static_cast<size_t>(of_layer.data() - values_.data()), of_layer.size());
  if (num_home_ > 0) CountHome(ids, homes, copies, counts.first(num_home_));
  if (!counts_consistency_) return;
  const size_t length = static_cast<size_t>(sequence_length) * copies;
  for (size_t begin = 0; begin < ids.size(); begin += length) {
    CountSequence(std::span(ids).subspan(begin, length), static_cast<int>(copies),
                  counts.subspan(num_home_));
  }
}

LayerRouteCounts RouteCounts::Layer(int index) const {
  const std::span<const double> counts = OfLayer(index);
  const auto part = [&](size_t begin, size_t size) {
    const auto values = counts.subspan(begin, size);
    return std::vector<double>(values.begin(), values.end());
  };
  LayerRouteCounts layer;
  layer.home_copies = part(0, num_home_);
  if (!counts_consistency_) return layer;
  layer.experts = part(num_home_, num_experts_counts_);
  layer.nodes = part(num_home_ + num_experts_counts_, num_nodes_counts_);
  return layer;
}

}  // namespace equipoise::parallel
