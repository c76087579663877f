// The table of routers. To add one: write routers/<name>.cc with its factory, and add its line
// here; its settings' message goes into the configuration schema. Nothing else names it.

#include <algorithm>
#include <cmath>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "routing/option_problem.h"
#include "routing/router.h"

#define EQ_ROUTERS(ROUTER)                                  \
  ROUTER("top_k", MakeTopKRouter)                           \
  ROUTER("hash", MakeHashRouter)                            \
  ROUTER("switch", MakeSwitchRouter)                        \
  ROUTER("group_limited", MakeGroupLimitedRouter)           \
  ROUTER("aux_free_bias", MakeAuxFreeBiasRouter)            \
  ROUTER("quantile_balancing", MakeQuantileBalancingRouter) \
  ROUTER("expert_choice", MakeExpertChoiceRouter)           \
  ROUTER("sinkhorn", MakeSinkhornRouter)                    \
  ROUTER("entropy_adaptive", MakeEntropyAdaptiveRouter)     \
  ROUTER("token_resonance", MakeTokenResonanceRouter)       \
  ROUTER("two_level_hash", MakeTwoLevelHashRouter)          \
  ROUTER("grap", MakeGrapRouter)                            \
  ROUTER("lpr", MakeLprRouter)

namespace equipoise::routing {

#define EQ_DECLARE(name, factory)                                               \
  absl::StatusOr<std::unique_ptr<Router>> factory(const RouterOptions& options, \
                                                  ParameterRegistry& parameters);
EQ_ROUTERS(EQ_DECLARE)
#undef EQ_DECLARE

namespace {

struct RouterEntry {
  const char* name;
  absl::StatusOr<std::unique_ptr<Router>> (*make)(const RouterOptions&, ParameterRegistry&);
};

#define EQ_ENTRY(name, factory) {name, &factory},
constexpr RouterEntry kRouters[] = {EQ_ROUTERS(EQ_ENTRY)};
#undef EQ_ENTRY

// Insertions, deletions and replacements that make `a` into `b` (Levenshtein).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

absl::Status UnknownRouter(const std::string& kind) {
  const auto nearest = std::min_element(
      std::begin(kRouters), std::end(kRouters), [&](const RouterEntry& a, const RouterEntry& b) {
        return EditDistance(kind, a.name) < EditDistance(kind, b.name);
      });
  const std::string hint = EditDistance(kind, nearest->name) <= 2
                               ? absl::StrCat("; did you mean '", nearest->name, "'?")
                               : "";
  return absl::InvalidArgumentError(absl::StrCat("no router named '", kind, "': known are ",
                                                 absl::StrJoin(RouterKinds(), ", "), hint));
}

absl::Status CheckNotNegative(const char* what, double value) {
  if (std::isfinite(value) && value >= 0.0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is ", value, ", must be finite and not negative"));
}

absl::Status CheckOptions(const RouterOptions& options) {
  if (options.hidden < 1 || options.num_experts < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a router needs experts and a hidden width; got ", options.num_experts,
                     " experts of width ", options.hidden));
  }
  if (options.top_k < 1 || options.top_k > options.num_experts) {
    return absl::InvalidArgumentError(absl::StrCat("top_k is ", options.top_k, ", not in [1, ",
                                                   options.num_experts,
                                                   "], the number of experts"));
  }
  EQ_RETURN_IF_ERROR(
      CheckNotNegative("balance_loss.coefficient", options.balance_loss.coefficient));
  EQ_RETURN_IF_ERROR(CheckNotNegative("z_loss.coefficient", options.z_loss.coefficient));
  EQ_RETURN_IF_ERROR(CheckNotNegative("init_stddev", options.init_stddev));
  EQ_RETURN_IF_ERROR(CheckNotNegative("capacity.factor", options.capacity.factor));
  EQ_RETURN_IF_ERROR(CheckNotNegative("capacity.floor", options.capacity.floor));
  if (options.locality.loss.coefficient > 0.0 && options.balance_loss.coefficient > 0.0 &&
      options.balance_loss.scope == LossScope::kRunning) {
    return OptionError({"moe.balance_loss.scope",
                        {"moe.locality.loss.coefficient"},
                        "RUNNING cannot be combined with moe.locality.loss, which is over the "
                        "whole step: take GLOBAL_BATCH, or coefficient 0"});
  }
  return CheckLocality(options.locality, options.num_experts, options.top_k);
}

absl::Status CheckCapacityFloor(const RouterOptions& options, const Router& router) {
  if (options.capacity.floor == 0.0 || router.has_capacity_floor()) return absl::OkStatus();
  return OptionError(
      {"",
       {"moe.capacity_floor"},
       absl::StrCat("moe.capacity_floor has no effect on router ", options.kind,
                    ": it needs a capacity (moe.capacity_factor, or token_resonance's own "
                    "capacity_factor) and scores that are products of a token and its expert "
                    "(gate weights, feature blocks, or lpr's COSINE)")});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeRouter(const RouterOptions& options,
                                                   ParameterRegistry& parameters) {
  EQ_RETURN_IF_ERROR(CheckOptions(options));
  for (const RouterEntry& entry : kRouters) {
    if (entry.name != options.kind) continue;
    EQ_ASSIGN_OR_RETURN(std::unique_ptr<Router> router, entry.make(options, parameters));
    EQ_RETURN_IF_ERROR(CheckCapacityFloor(options, *router));
    return router;
  }
  return UnknownRouter(options.kind);
}

std::vector<std::string> RouterKinds() {
  std::vector<std::string> kinds;
  for (const RouterEntry& entry : kRouters) kinds.emplace_back(entry.name);
  return kinds;
}

}  // namespace equipoise::routing
