// Router "grap": no parameters (Li et al., LocMoE, 2024, arXiv 2401.13920, section 3). Expert e is
// worth max(0, mean of the e-th block of H / E features) to a token; gates are the softmax over all
// experts. The paper takes one expert; K are taken here. A token that is negative in every block is
// worth the same to all: its experts are then the first ones at or after a hash of its vocabulary
// id, since the lowest ids would carry all such tokens.
//
// Settings: renormalise (false in the paper), scaling_factor; bias, groups, jitter.

#include <memory>
#include <utility>

#include "core/base/status_macros.h"
#include "routing/angles.h"
#include "routing/block_logits.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Router>> MakeGrapRouter(const RouterOptions& options,
                                                       ParameterRegistry& parameters) {
  (void)parameters;
  ScoreRouterParts parts;
  parts.selection.ties = TieRule::kTokenHash;
  EQ_ASSIGN_OR_RETURN(parts, ReadScoreParts(options, std::move(parts)));
  EQ_ASSIGN_OR_RETURN(parts.logits, MakeBlockLogits(options, BlockLogit::kReluMean));
  parts.angles = {options.hidden, MakeBlockAngles(options.hidden, options.num_experts)};
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
