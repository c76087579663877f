// Router "aux_free_bias": balance without a loss. A bias is added to the scores to choose by, and
// moves after each step against the load (Wang et al., 2024, arXiv 2408.15664; DeepSeek-V3). Gates
// are of the scores without it. Parameter: `<prefix>gate.weight` [E, H]; state: the biases [E].
//
// Settings:
//   score, renormalise, scaling_factor   as top_k's; SIGMOID, true is DeepSeek-V3
//   rule (string)    "SIGN": b += rate * sign(mean load - load). "PROPORTIONAL": b += rate *
//                    clamp((mean load - load) / mean load, -1, 1)
//   rate (double)    a step's largest move, in units of the score (1e-3 in DeepSeek-V3)
//   centre (bool)    keep the biases' mean at 0
//   groups, jitter   the shared pieces

#include <memory>
#include <utility>

#include "core/base/status_macros.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Router>> MakeAuxFreeBiasRouter(const RouterOptions& options,
                                                              ParameterRegistry& parameters) {
  EQ_ASSIGN_OR_RETURN(const int proportional, ReadEnum(options, "rule", {"SIGN", "PROPORTIONAL"}));
  ScoreRouterParts parts;
  SelectionBiasOptions& bias = parts.selection.bias;
  bias.rule = proportional == 1 ? BiasRule::kProportional : BiasRule::kSign;
  bias.rate = options.settings.GetDouble("rate");
  bias.centre = options.settings.GetBool("centre");
  EQ_ASSIGN_OR_RETURN(parts, ReadScoreParts(options, std::move(parts)));
  EQ_RETURN_IF_ERROR(AddLinearLogits(options, parameters, parts));
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
