// Router "switch": every token goes to its one best expert, its gate the softmax over all experts
// (Fedus et al., "Switch Transformers", 2021, section 2). Parameter: `<prefix>gate.weight` [E, H].
// The capacity is moe.capacity_factor, the balance loss moe.balance_loss, as for any router.
//
// Settings: jitter (double), noise on the router's input while training; bias, groups.

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/option_problem.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Router>> MakeSwitchRouter(const RouterOptions& options,
                                                         ParameterRegistry& parameters) {
  if (options.top_k != 1) {
    return OptionError(
        {"",
         {"moe.top_k"},
         absl::StrCat("router switch gives every token one expert, but top_k is ", options.top_k)});
  }
  ScoreRouterParts parts;
  parts.gates.normalize = false;
  EQ_ASSIGN_OR_RETURN(parts, ReadScoreParts(options, std::move(parts)));
  EQ_RETURN_IF_ERROR(AddLinearLogits(options, parameters, parts));
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
