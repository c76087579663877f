#include "routing/hash_router.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "routing/capacity.h"
#include "routing/option_problem.h"

namespace equipoise::routing {

HashRouter::HashRouter(const RouterOptions& options, int num_groups, std::unique_ptr<HashKeys> keys)
    : options_(options),
      group_size_(options.num_experts / num_groups),
      layout_{options.num_experts},
      draws_(StreamKey(options.seed, absl::StrCat("router.hash.", options.layer))),
      keys_(std::move(keys)) {}

void HashRouter::Forward(const Context& context, const RouterInput& input,
                         const RouterOutput& output) const {
  const int64_t num_tokens = input.token_ids.num_elements();
  const auto experts = output.expert_ids.cpu<int32_t>();
  const size_t top_k = static_cast<size_t>(options_.top_k);
  EQ_CHECK_EQ(experts.size(), static_cast<size_t>(num_tokens) * top_k);
  for (int64_t t = 0; t < num_tokens; ++t) {
    DrawExperts(keys_->Of(input, t), experts.subspan(static_cast<size_t>(t) * top_k, top_k));
  }
  DispatchFloat(output.gates.dtype(), [&]<typename T>() {
    const auto gates = output.gates.cpu<T>();
    std::fill(gates.begin(), gates.end(), T{1} / static_cast<T>(options_.top_k));
  });
  FillStatistics(context, input, output);
}

void HashRouter::Backward(const Context&, const RouterInput&, const RouterOutput&,
                          const RouterBackwardInput&, TensorView) const {}

std::vector<LossTerm> HashRouter::Losses(std::span<const double>, int64_t, std::span<const double>,
                                         int64_t) const {
  return {};
}

// Floyd's sampling (Bentley and Floyd, CACM 30(9), 1987): each K-subset of the group is equally
// likely, with K draws.
void HashRouter::DrawExperts(const HashKey& key, std::span<int32_t> chosen) const {
  const int64_t first = group_size_ - options_.top_k;
  const auto base = static_cast<int32_t>(key.group * group_size_);
  for (size_t k = 0; k < chosen.size(); ++k) {
    const int64_t last = first + static_cast<int64_t>(k);
    const auto drawn =
        base + static_cast<int32_t>(draws_.Below(static_cast<uint64_t>(last) + 1, key.token, k));
    const auto earlier = chosen.first(k);
    const bool taken = std::find(earlier.begin(), earlier.end(), drawn) != earlier.end();
    chosen[k] = taken ? base + static_cast<int32_t>(last) : drawn;
  }
  std::sort(chosen.begin(), chosen.end());
}

void HashRouter::FillStatistics(const Context& context, const RouterInput& input,
                                const RouterOutput& output) const {
  const auto sums = output.partials.cpu<double>();
  EQ_CHECK_EQ(sums.size(), static_cast<size_t>(layout_.size()));
  std::fill(sums.begin(), sums.end(), 0.0);
  CountCopies(output.expert_ids.cpu<int32_t>(), layout_.Counts(sums));
  sums[static_cast<size_t>(layout_.dropped())] =
      static_cast<double>(ApplyCapacity(context, options_.capacity, input.sequence_length,
                                        options_.num_experts, output.expert_ids, output.gates));
}

absl::Status CheckHashOptions(const RouterOptions& options, int64_t num_groups) {
  std::vector<absl::Status> errors;
  std::vector<std::string> losses;
  if (options.balance_loss.coefficient > 0.0) losses.push_back("moe.balance_loss.coefficient");
  if (options.z_loss.coefficient > 0.0) losses.push_back("moe.z_loss.coefficient");
  if (!losses.empty()) {
    errors.push_back(OptionError(
        {"", losses,
         absl::StrCat("router ", options.kind,
                      " has no scores, so no auxiliary loss can change it: set the coefficients of "
                      "balance_loss and z_loss to 0")}));
  }
  const LocalityOptions& locality = options.locality;
  std::vector<std::string> preferences;
  if (locality.bias.mode != LocalityBiasMode::kNone) {
    preferences.push_back("moe.locality.bias.mode");
  }
  if (locality.loss.coefficient > 0.0) preferences.push_back("moe.locality.loss.coefficient");
  if (locality.quota.enabled()) preferences.push_back("moe.locality.quota.outgoing_share");
  if (!preferences.empty()) {
    errors.push_back(OptionError(
        {"", preferences,
         absl::StrCat("router ", options.kind,
                      " has no scores, so no preference can change it: set "
                      "moe.locality.bias.mode to NONE, moe.locality.loss.coefficient to 0 and "
                      "moe.locality.quota.outgoing_share to 1")}));
  }
  if (num_groups < 1 || options.num_experts % num_groups != 0 ||
      options.num_experts / num_groups < options.top_k) {
    errors.push_back(OptionError(
        {"num_groups",
         {"moe.num_experts", "moe.top_k"},
         absl::StrCat("is ", num_groups, ", which must divide the ", options.num_experts,
                      " experts into groups of at least top_k ", options.top_k)}));
  }
  return JoinErrors("", errors);
}

}  // namespace equipoise::routing
