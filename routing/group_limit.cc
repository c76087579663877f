#include "routing/group_limit.h"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/cpu/top_k_rows.h"
#include "routing/option_problem.h"

namespace equipoise::routing {
namespace {

template <typename T>
T ScoreOfGroup(GroupScore rule, std::span<const T> group) {
  T best = -std::numeric_limits<T>::infinity();
  T second = best;
  for (const T score : group) {
    second = std::max(second, std::min(best, score));
    best = std::max(best, score);
  }
  return rule == GroupScore::kMax || group.size() == 1 ? best : best + second;
}

}  // namespace

absl::Status CheckGroupLimit(const GroupLimitOptions& options, int num_experts, int top_k) {
  std::vector<absl::Status> errors;
  if (options.num_groups < 1 || num_experts % options.num_groups != 0) {
    errors.push_back(
        OptionError({"num_groups",
                     {"moe.num_experts"},
                     absl::StrCat("is ", options.num_groups, ", which does not divide the ",
                                  num_experts, " experts")}));
  }
  if (options.top_groups < 1 || options.top_groups > options.num_groups) {
    errors.push_back(OptionError({"top_groups",
                                  {"num_groups"},
                                  absl::StrCat("is ", options.top_groups, ", not in [1, ",
                                               options.num_groups, "], the number of groups")}));
  }
  if (!errors.empty()) return JoinErrors("", errors);
  const int allowed = num_experts / options.num_groups * options.top_groups;
  if (allowed >= top_k) return absl::OkStatus();
  return OptionError({"top_groups",
                      {"num_groups", "moe.top_k"},
                      absl::StrCat(options.top_groups, " of ", options.num_groups, " groups hold ",
                                   allowed, " experts, fewer than top_k ", top_k)});
}

void LimitGroups(const Context& context, const GroupLimitOptions& options, TensorView ranking) {
  if (!options.enabled()) return;
  const size_t experts = static_cast<size_t>(ranking.dim(1));
  const size_t groups = static_cast<size_t>(options.num_groups);
  const size_t size = experts / groups;
  WorkspaceFrame frame(*context.scratch);
  const TensorView scratch = context.scratch->Allocate(ranking.dtype(), {options.num_groups});
  const auto best = context.scratch->Allocate(DType::kI32, {options.top_groups}).cpu<int32_t>();
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    const auto all = ranking.cpu<T>();
    const auto scores = scratch.cpu<T>();
    for (size_t begin = 0; begin < all.size(); begin += experts) {
      const auto row = all.subspan(begin, experts);
      for (size_t g = 0; g < groups; ++g) {
        scores[g] = ScoreOfGroup<T>(options.score, row.subspan(g * size, size));
      }
      cpu::TopKRow<T>(scores.data(), options.num_groups, options.top_groups, best.data());
      for (size_t g = 0; g < groups; ++g) {
        if (std::find(best.begin(), best.end(), static_cast<int32_t>(g)) != best.end()) continue;
        const auto group = row.subspan(g * size, size);
        std::fill(group.begin(), group.end(), -std::numeric_limits<T>::infinity());
      }
    }
  });
}

}  // namespace equipoise::routing
