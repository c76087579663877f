#include "parallel/route_counts.h"

#include <algorithm>
#include <cmath>

#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/tensor/dtype.h"
#include "routing/gate_histogram.h"
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

template <typename T>
std::span<const T> Mirror(const Context& context, ConstTensorView values, std::vector<T>& host) {
  host.resize(static_cast<size_t>(values.num_elements()));
  comm::MirrorToHost<T>(context, values, host);
  return host;
}

}  // namespace

RouteCounts::RouteCounts(const RouteCountOptions& options)
    : options_(options),
      experts_{options.num_experts, options.segment, CacheSize(options)},
      nodes_{options.num_nodes, options.segment, 1},
      node_of_expert_(routing::NodesOfExperts(options.num_experts, options.num_nodes)),
      parts_(MakeParts()),
      values_(static_cast<size_t>(options.layers) * parts_.end) {}

RouteCounts::Parts RouteCounts::MakeParts() const {
  const bool many_nodes = options_.num_nodes > 1;
  const size_t nodes = many_nodes ? static_cast<size_t>(options_.num_nodes) : 0;
  Parts parts;
  parts.experts = parts.home + nodes * node_of_expert_.size();
  parts.nodes = parts.experts + NumCounts(options_, experts_, true);
  parts.gate_bins = parts.nodes + NumCounts(options_, nodes_, many_nodes);
  parts.token_copies = parts.gate_bins + routing::kNumGateBins;
  parts.end = parts.token_copies + static_cast<size_t>(options_.max_copies) + 1;
  return parts;
}

void RouteCounts::BeginStep(int64_t step) {
  std::fill(values_.begin(), values_.end(), 0.0);
  counts_consistency_ = options_.every_steps > 0 && step % options_.every_steps == 0;
}

void RouteCounts::CountHome(std::span<double> counts) const {
  const size_t experts = node_of_expert_.size();
  const auto copies = static_cast<size_t>(options_.max_copies);
  for (size_t i = 0; i < host_ids_.size(); ++i) {
    if (host_ids_[i] < 0) continue;
    const size_t node = host_homes_.empty() ? 0 : static_cast<size_t>(host_homes_[i / copies]);
    counts[node * experts + static_cast<size_t>(host_ids_[i])] += 1.0;
  }
}

void RouteCounts::CountGates(const Context& context, ConstTensorView gates,
                             std::span<double> counts) {
  const auto bins = counts.subspan(parts_.gate_bins, routing::kNumGateBins);
  const auto copies = counts.subspan(parts_.token_copies);
  if (gates.dtype() == DType::kF64) {
    routing::CountGates(host_ids_, Mirror(context, gates, host_double_gates_), options_.max_copies,
                        bins, copies);
  } else {
    routing::CountGates(host_ids_, Mirror(context, gates, host_gates_), options_.max_copies, bins,
                        copies);
  }
}

void RouteCounts::CountSequence(std::span<const int32_t> ids, std::span<double> counts) const {
  const int copies = options_.max_copies;
  routing::CountConsistency(experts_, ids, copies,
                            counts.subspan(parts_.experts, parts_.nodes - parts_.experts));
  if (parts_.gate_bins == parts_.nodes) return;
  std::vector<int32_t> nodes;
  for (const int32_t id : ids) {
    nodes.push_back(id < 0 ? -1 : node_of_expert_[static_cast<size_t>(id)]);
  }
  routing::CountConsistency(nodes_, nodes, copies,
                            counts.subspan(parts_.nodes, parts_.gate_bins - parts_.nodes));
}

void RouteCounts::Record(const Context& context, int index, ConstTensorView expert_ids,
                         ConstTensorView gates, ConstTensorView nodes, int64_t sequence_length) {
  EQ_CHECK_EQ(expert_ids.dim(1), options_.max_copies);
  const std::span<const int32_t> ids = Mirror(context, expert_ids, host_ids_);
  host_homes_.clear();
  if (!nodes.absent()) Mirror(context, nodes, host_homes_);
  const std::span<double> counts = OfLayer(index);
  CountGates(context, gates, counts);
  if (options_.num_nodes > 1) CountHome(counts);
  if (!counts_consistency_) return;
  const size_t length = static_cast<size_t>(sequence_length * options_.max_copies);
  for (size_t begin = 0; begin < ids.size(); begin += length) {
    CountSequence(ids.subspan(begin, length), counts);
  }
}

LayerRouteCounts RouteCounts::Layer(int index) const {
  const auto begin = values_.begin() + static_cast<std::ptrdiff_t>(index * parts_.end);
  const auto part = [&](size_t first, size_t end) {
    return std::vector<double>(begin + static_cast<std::ptrdiff_t>(first),
                               begin + static_cast<std::ptrdiff_t>(end));
  };
  LayerRouteCounts layer;
  layer.home_copies = part(parts_.home, parts_.experts);
  layer.gate_bins = part(parts_.gate_bins, parts_.token_copies);
  layer.token_copies = part(parts_.token_copies, parts_.end);
  if (!counts_consistency_) return layer;
  layer.experts = part(parts_.experts, parts_.nodes);
  layer.nodes = part(parts_.nodes, parts_.gate_bins);
  return layer;
}

}  // namespace equipoise::parallel
