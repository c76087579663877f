#include "routing/locality.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "routing/option_problem.h"

namespace equipoise::routing {
namespace {

// `field` of moe.locality; `others` of the configuration.
template <typename... Args>
absl::Status Refuse(const char* field, std::vector<std::string> others, const Args&... message) {
  return OptionError(
      {absl::StrCat("moe.locality.", field), std::move(others), absl::StrCat(message...)});
}

bool NotNegative(double value) { return std::isfinite(value) && value >= 0.0; }

absl::Status CheckLoss(const LocalityLossOptions& loss, bool has_groups) {
  const std::pair<const char*, double> weights[] = {{"loss.coefficient", loss.coefficient},
                                                    {"loss.home", loss.home},
                                                    {"loss.near", loss.near},
                                                    {"loss.far", loss.far}};
  for (const auto& [name, value] : weights) {
    if (NotNegative(value)) continue;
    return Refuse(name, {}, "is ", value, ", must be finite and not negative");
  }
  if (loss.home == 0.0) return Refuse("loss.home", {}, "is 0, must be above 0");
  if (loss.near > loss.home) {
    return Refuse("loss.near", {"moe.locality.loss.home"}, "is ", loss.near,
                  ", must be at most home, which is ", loss.home);
  }
  const double most = has_groups ? loss.near : loss.home;
  if (loss.far > most) {
    const std::string other = has_groups ? "near" : "home";
    return Refuse("loss.far", {"moe.locality.loss." + other}, "is ", loss.far, ", must be at most ",
                  other, ", which is ", most);
  }
  if (!(loss.smoothing > 0.0 && loss.smoothing < 1.0)) {
    return Refuse("loss.smoothing", {}, "is ", loss.smoothing, ", must be in (0, 1)");
  }
  return absl::OkStatus();
}

absl::Status CheckBias(const LocalityBiasOptions& bias) {
  if (bias.mode == LocalityBiasMode::kNone) return absl::OkStatus();
  if (!std::isfinite(bias.strength)) {
    return Refuse("bias.strength", {}, "is ", bias.strength, ", must be finite");
  }
  if (bias.mode == LocalityBiasMode::kFixed) return absl::OkStatus();
  if (!(bias.target >= 0.0 && bias.target <= 1.0)) {
    return Refuse("bias.target", {}, "is ", bias.target, ", must be in [0, 1]");
  }
  if (!(std::isfinite(bias.rate) && bias.rate > 0.0)) {
    return Refuse("bias.rate", {}, "is ", bias.rate, ", must be finite and above 0");
  }
  if (!(std::isfinite(bias.limit) && bias.limit >= std::fabs(bias.strength))) {
    return Refuse("bias.limit", {"moe.locality.bias.strength"}, "is ", bias.limit,
                  ", must be finite and at least the strength ", bias.strength);
  }
  if (bias.mode == LocalityBiasMode::kLearned && !(NotNegative(bias.decay) && bias.decay <= 1.0)) {
    return Refuse("bias.decay", {}, "is ", bias.decay, ", must be in [0, 1]");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckLocality(const LocalityOptions& options, int num_experts, int top_k) {
  if (options.num_nodes < 1)
    return Refuse("nodes", {}, "is ", options.num_nodes, ", must be above 0");
  if (options.nodes_per_group < 0) {
    return Refuse("nodes_per_group", {}, "is ", options.nodes_per_group, ", must not be negative");
  }
  absl::Status status = CheckLoss(options.loss, options.nodes_per_group > 0);
  if (status.ok()) status = CheckBias(options.bias);
  if (!status.ok()) return status;
  const double share = options.quota.outgoing_share;
  if (!(share >= 0.0 && share <= 1.0)) {
    return Refuse("quota.outgoing_share", {}, "is ", share, ", must be in [0, 1]");
  }
  const int fewest = num_experts / options.num_nodes;
  if (options.quota.enabled() && options.num_nodes > 1 && fewest < top_k) {
    return Refuse("quota.outgoing_share", {"moe.locality.nodes", "moe.num_experts", "moe.top_k"},
                  "keeps tokens on their node, but of ", options.num_nodes, " nodes some own only ",
                  fewest, " of the ", num_experts, " experts, and every token takes ", top_k);
  }
  return absl::OkStatus();
}

std::vector<int32_t> NodesOfExperts(int num_experts, int num_nodes) {
  EQ_CHECK(num_experts >= 0 && num_nodes >= 1) << num_experts << " on " << num_nodes;
  std::vector<int32_t> nodes;
  for (int node = 0; node < num_nodes; ++node) {
    const int size = num_experts / num_nodes + (node < num_experts % num_nodes ? 1 : 0);
    nodes.insert(nodes.end(), static_cast<size_t>(size), node);
  }
  return nodes;
}

std::vector<int32_t> FirstExperts(int num_experts, int num_nodes) {
  const std::vector<int32_t> nodes = NodesOfExperts(num_experts, num_nodes);
  std::vector<int32_t> first;
  for (int node = 0; node <= num_nodes; ++node) {
    const auto found = std::lower_bound(nodes.begin(), nodes.end(), node);
    first.push_back(static_cast<int32_t>(found - nodes.begin()));
  }
  return first;
}

int NodeOfSequence(int64_t index, int64_t count, int num_nodes) {
  EQ_CHECK(index >= 0 && index < count) << index << " of " << count;
  return static_cast<int>(((index + 1) * num_nodes - 1) / count);
}

std::vector<double> LocalisedTargets(const LocalityOptions& options, int num_experts) {
  const std::vector<int32_t> node_of = NodesOfExperts(num_experts, options.num_nodes);
  const LocalityLossOptions& loss = options.loss;
  const int group = options.nodes_per_group;
  const double experts = num_experts;
  std::vector<double> targets;
  for (int node = 0; node < options.num_nodes; ++node) {
    std::vector<double> weights;
    double total = 0.0;
    double away = 0.0;
    for (const int32_t owner : node_of) {
      const bool near = group > 0 && owner / group == node / group;
      weights.push_back(owner == node ? loss.home : near ? loss.near : loss.far);
      total += weights.back();
      away += owner == node ? 0.0 : 1.0;
    }
    for (size_t e = 0; e < weights.size(); ++e) {
      const double aimed = total > 0.0 ? weights[e] / total : 1.0 / experts;
      const double spread = away == 0.0 ? 1.0 / experts : node_of[e] == node ? 0.0 : 1.0 / away;
      targets.push_back((1.0 - loss.smoothing) * aimed + loss.smoothing * spread);
    }
  }
  return targets;
}

}  // namespace equipoise::routing
