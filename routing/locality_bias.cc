#include "routing/locality_bias.h"

#include <algorithm>
#include <numeric>

#include "core/base/check.h"
#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

size_t NodeOf(ConstTensorView nodes, size_t token) {
  return nodes.absent() ? size_t{0} : static_cast<size_t>(nodes.cpu<int32_t>()[token]);
}

// [N, E]: `target` shared evenly by a node's own experts, the rest by the others; everything by all
// experts where it owns none or all.
std::vector<double> HomeTargets(std::span<const int32_t> first_expert, double target) {
  const auto experts = static_cast<double>(first_expert.back());
  std::vector<double> targets;
  for (size_t node = 0; node + 1 < first_expert.size(); ++node) {
    const int32_t begin = first_expert[node];
    const int32_t end = first_expert[node + 1];
    const auto own = static_cast<double>(end - begin);
    const bool mixed = own > 0.0 && own < experts;
    for (int32_t e = 0; e < first_expert.back(); ++e) {
      const bool home = e >= begin && e < end;
      targets.push_back(!mixed ? 1.0 / experts
                               : (home ? target / own : (1.0 - target) / (experts - own)));
    }
  }
  return targets;
}

}  // namespace

LocalityBias::LocalityBias(const LocalityOptions& options, int num_experts)
    : options_(options), node_of_expert_(NodesOfExperts(num_experts, options.num_nodes)) {
  if (options.num_nodes < 2 || options.bias.mode == LocalityBiasMode::kNone) return;
  first_expert_ = FirstExperts(num_experts, options.num_nodes);
  const size_t nodes = static_cast<size_t>(options.num_nodes);
  if (options.bias.mode != LocalityBiasMode::kLearned) {
    bias_.assign(nodes, options.bias.strength);
    return;
  }
  targets_ = HomeTargets(first_expert_, options.bias.target);
  for (size_t i = 0; i < targets_.size(); ++i) {
    const size_t experts = node_of_expert_.size();
    bias_.push_back(at_home(i % experts, i / experts) ? options.bias.strength : 0.0);
  }
}

int64_t LocalityBias::num_statistics() const {
  if (learns()) return static_cast<int64_t>(bias_.size());
  return controls() ? 2 * options_.num_nodes : 0;
}

void LocalityBias::AddTo(const Context& context, ConstTensorView nodes, TensorView ranking) const {
  if (!enabled()) return;
  const int64_t experts = ranking.dim(1);
  WorkspaceFrame frame(*context.scratch);
  const int64_t entries = learns() ? static_cast<int64_t>(bias_.size()) : 0;
  const TensorView rounded = context.scratch->Allocate(ranking.dtype(), {entries});
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    T* row = ranking.cpu<T>().data();
    T* learned = rounded.cpu<T>().data();
    for (int64_t i = 0; i < entries; ++i)
      learned[i] = static_cast<T>(bias_[static_cast<size_t>(i)]);
    for (int64_t t = 0; t < ranking.dim(0); ++t, row += experts) {
      const size_t node = NodeOf(nodes, static_cast<size_t>(t));
      if (entries > 0) {
        cpu::AddScaledRow(T{1}, learned + static_cast<int64_t>(node) * experts, experts, row);
        continue;
      }
      const T strength = static_cast<T>(bias_[node]);
      for (int32_t e = first_expert_[node]; e < first_expert_[node + 1]; ++e) row[e] += strength;
    }
  });
}

void LocalityBias::Count(ConstTensorView nodes, ConstTensorView expert_ids,
                         std::span<double> sums) const {
  if (num_statistics() == 0) return;
  const size_t top_k = static_cast<size_t>(expert_ids.dim(1));
  const auto ids = expert_ids.cpu<int32_t>();
  EQ_CHECK_EQ(static_cast<int64_t>(sums.size()), num_statistics());
  const size_t count = static_cast<size_t>(options_.num_nodes);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    const size_t node = NodeOf(nodes, i / top_k);
    const auto expert = static_cast<size_t>(ids[i]);
    if (learns()) {
      sums[node * node_of_expert_.size() + expert] += 1.0;
      continue;
    }
    sums[node] += 1.0;
    if (at_home(expert, node)) sums[count + node] += 1.0;
  }
}

std::span<const double> LocalityBias::state() const {
  return num_statistics() > 0 ? std::span<const double>(bias_) : std::span<const double>();
}

void LocalityBias::SetState(std::span<const double> state) {
  EQ_CHECK_EQ(state.size(), this->state().size());
  std::copy(state.begin(), state.end(), bias_.begin());
}

void LocalityBias::EndStep(std::span<const double> sums) {
  if (learns()) return Descend(sums);
  if (!controls()) return;
  const LocalityBiasOptions& bias = options_.bias;
  const size_t count = bias_.size();
  for (size_t node = 0; node < count; ++node) {
    if (sums[node] == 0.0 || first_expert_[node] == first_expert_[node + 1]) continue;
    const double share = sums[count + node] / sums[node];
    bias_[node] =
        std::clamp(bias_[node] + bias.rate * (bias.target - share), -bias.limit, bias.limit);
  }
}

void LocalityBias::Descend(std::span<const double> sums) {
  const LocalityBiasOptions& options = options_.bias;
  const size_t experts = node_of_expert_.size();
  for (size_t begin = 0; begin < bias_.size(); begin += experts) {
    const auto copies = sums.subspan(begin, experts);
    const auto b = std::span(bias_).subspan(begin, experts);
    const double all = std::accumulate(copies.begin(), copies.end(), 0.0);
    if (all == 0.0) continue;
    for (size_t e = 0; e < experts; ++e) {
      const double slope = static_cast<double>(experts) * (copies[e] / all - targets_[begin + e]);
      b[e] -= options.rate * (std::clamp(slope, -1.0, 1.0) + options.decay * b[e]);
    }
    // A constant for all experts changes no choice: clipping must not let it grow.
    const double mean = std::accumulate(b.begin(), b.end(), 0.0) / static_cast<double>(experts);
    for (double& value : b) value = std::clamp(value - mean, -options.limit, options.limit);
  }
}

double LocalityBias::MeanLead() const {
  double sum = 0.0;
  double counted = 0.0;
  const size_t experts = node_of_expert_.size();
  for (size_t node = 0; node + 1 < first_expert_.size(); ++node) {
    const auto own = static_cast<double>(first_expert_[node + 1] - first_expert_[node]);
    const double others = static_cast<double>(experts) - own;
    if (own == 0.0 || others == 0.0) continue;
    counted += 1.0;
    if (!learns()) {
      sum += bias_[node];
      continue;
    }
    for (size_t e = 0; e < experts; ++e) {
      const double value = bias_[node * experts + e];
      sum += at_home(e, node) ? value / own : -value / others;
    }
  }
  return counted > 0.0 ? sum / counted : 0.0;
}

}  // namespace equipoise::routing
