#include "routing/locality_bias.h"

#include <algorithm>

#include "core/base/check.h"

namespace equipoise::routing {

LocalityBias::LocalityBias(const LocalityOptions& options, int num_experts)
    : options_(options), node_of_expert_(NodesOfExperts(num_experts, options.num_nodes)) {
  if (options.num_nodes < 2 || options.bias.mode == LocalityBiasMode::kNone) return;
  strengths_.assign(static_cast<size_t>(options.num_nodes), options.bias.strength);
  first_expert_ = FirstExperts(num_experts, options.num_nodes);
}

void LocalityBias::AddTo(const Context& context, ConstTensorView nodes, TensorView ranking) const {
  (void)context;
  if (!enabled()) return;
  const int64_t experts = ranking.dim(1);
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    T* row = ranking.cpu<T>().data();
    for (int64_t t = 0; t < ranking.dim(0); ++t, row += experts) {
      const auto node = nodes.absent()
                            ? size_t{0}
                            : static_cast<size_t>(nodes.cpu<int32_t>()[static_cast<size_t>(t)]);
      const T strength = static_cast<T>(strengths_[node]);
      for (int32_t e = first_expert_[node]; e < first_expert_[node + 1]; ++e) row[e] += strength;
    }
  });
}

void LocalityBias::Count(ConstTensorView nodes, ConstTensorView expert_ids,
                         std::span<double> sums) const {
  if (!controls()) return;
  const size_t top_k = static_cast<size_t>(expert_ids.dim(1));
  const auto ids = expert_ids.cpu<int32_t>();
  const size_t count = strengths_.size();
  EQ_CHECK_EQ(sums.size(), 2 * count);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    const auto node =
        nodes.absent() ? size_t{0} : static_cast<size_t>(nodes.cpu<int32_t>()[i / top_k]);
    sums[node] += 1.0;
    if (static_cast<size_t>(node_of_expert_[static_cast<size_t>(ids[i])]) == node) {
      sums[count + node] += 1.0;
    }
  }
}

std::span<const double> LocalityBias::state() const {
  return controls() ? std::span<const double>(strengths_) : std::span<const double>();
}

void LocalityBias::SetState(std::span<const double> state) {
  EQ_CHECK_EQ(state.size(), this->state().size());
  std::copy(state.begin(), state.end(), strengths_.begin());
}

void LocalityBias::EndStep(std::span<const double> sums) {
  if (!controls()) return;
  const LocalityBiasOptions& bias = options_.bias;
  const size_t count = strengths_.size();
  for (size_t node = 0; node < count; ++node) {
    if (sums[node] == 0.0 || first_expert_[node] == first_expert_[node + 1]) continue;
    const double share = sums[count + node] / sums[node];
    strengths_[node] =
        std::clamp(strengths_[node] + bias.rate * (bias.target - share), -bias.limit, bias.limit);
  }
}

}  // namespace equipoise::routing
