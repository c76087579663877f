// Router "group_limited": experts lie in groups, and a token chooses among its best groups alone
// (DeepSeek-V2, section 2.1.2; DeepSeek-V3, section 2.1.2). With the groups of one node together, a
// token goes to at most top_groups nodes. Parameter: `<prefix>gate.weight` [E, H].
//
// Settings:
//   rule (string)            "V2": softmax over all experts, a group is worth its best expert,
//   gates
//                            as they are. "V3": sigmoids, a group is worth the sum of its two best,
//                            gates over their sum.
//   num_groups, top_groups   groups of E / num_groups consecutive experts, and how many a token
//   uses scaling_factor (double)  multiplies every gate (16 in DeepSeek-V2, 2.5 in V3) bias, jitter
//   the shared pieces; V3's bias is rule SIGN

#include <memory>
#include <utility>

#include "core/base/status_macros.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Router>> MakeGroupLimitedRouter(const RouterOptions& options,
                                                               ParameterRegistry& parameters) {
  EQ_ASSIGN_OR_RETURN(const int third, ReadEnum(options, "rule", {"V2", "V3"}));
  ScoreRouterParts parts;
  parts.score = third == 1 ? ScoreFunction::kSigmoid : ScoreFunction::kSoftmax;
  parts.gates.normalize = third == 1;
  parts.selection.groups.score = third == 1 ? GroupScore::kTopTwoSum : GroupScore::kMax;
  parts.selection.groups.num_groups = static_cast<int>(options.settings.GetInt("num_groups"));
  parts.selection.groups.top_groups = static_cast<int>(options.settings.GetInt("top_groups"));
  EQ_ASSIGN_OR_RETURN(parts, ReadScoreParts(options, std::move(parts)));
  EQ_RETURN_IF_ERROR(AddLinearLogits(options, parameters, parts));
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
