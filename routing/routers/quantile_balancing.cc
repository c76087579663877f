// Router "quantile_balancing": a selection bias that moves by the quantile of the margins by which
// tokens choose an expert, instead of by a fixed step (Su, 2026): after a step, e's bias is lowered
// by what would have left it exactly K T / E tokens. Gates are of the scores without it. Parameter:
// `<prefix>gate.weight` [E, H]; state: the biases [E]; sums: a histogram [E, bins] of the margins.
//
// Settings:
//   score, renormalise, scaling_factor   as top_k's
//   rate (double)    share of the quantile that a step takes, in (0, 1]
//   bins (int), margin_range (double)   of the histogram, see SelectionBiasOptions
//   groups, jitter   the shared pieces

#include <memory>
#include <utility>

#include "core/base/status_macros.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Router>> MakeQuantileBalancingRouter(const RouterOptions& options,
                                                                    ParameterRegistry& parameters) {
  ScoreRouterParts parts;
  SelectionBiasOptions& bias = parts.selection.bias;
  bias.rule = BiasRule::kQuantile;
  bias.rate = options.settings.GetDouble("rate");
  bias.bins = static_cast<int>(options.settings.GetInt("bins"));
  bias.range = options.settings.GetDouble("margin_range");
  bias.centre = true;
  EQ_ASSIGN_OR_RETURN(parts, ReadScoreParts(options, std::move(parts)));
  EQ_RETURN_IF_ERROR(AddLinearLogits(options, parameters, parts));
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
