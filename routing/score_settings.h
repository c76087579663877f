#ifndef EQUIPOISE_ROUTING_SCORE_SETTINGS_H_
#define EQUIPOISE_ROUTING_SCORE_SETTINGS_H_

#include <initializer_list>

#include "absl/status/statusor.h"
#include "routing/router.h"
#include "routing/score_router.h"
#include "routing/selector.h"

namespace equipoise::routing {

// The settings that score-based routers share, read in one place. A router offers a shared piece by
// having its settings' message (configs/schema/router_pieces.proto); what it does not offer keeps
// the value in the argument, so that a router fixes what makes it itself. Errors are
// InvalidArgument and name the router.

// `bias.rule` (NONE, SIGN, PROPORTIONAL, QUANTILE), `bias.rate`, `bias.centre`, `bias.bins`,
// `bias.margin_range`; `groups.num_groups`, `groups.top_groups`, `groups.score` (MAX, TOP_TWO_SUM).
// With either of them in use experts are ranked by scores.
absl::StatusOr<SelectionOptions> ReadSelection(const RouterOptions& options,
                                               SelectionOptions selection = {});

// Besides: `score` (SOFTMAX, SIGMOID), `selection` (SCORE_ALL, SCORE_SELECTED), `renormalise`,
// `scaling_factor`, `jitter`, and `entropy_loss.coefficient`, `entropy_loss.order`. Leaves `logits`
// to the router.
absl::StatusOr<ScoreRouterParts> ReadScoreParts(const RouterOptions& options,
                                                ScoreRouterParts parts = {});

// parts.logits = x W^T (MakeLinearLogits), with the loss on W of `orthogonality_loss.coefficient`
// and `orthogonality_loss.form` (COSINE, GRAM).
absl::Status AddLinearLogits(const RouterOptions& options, ParameterRegistry& parameters,
                             ScoreRouterParts& parts);

// InvalidArgument where locality has a quota: for routers that choose by whole sequences.
absl::Status CheckNoQuota(const RouterOptions& options);
// InvalidArgument where locality prefers anything: for routers that spread every sequence, which
// has one home, evenly over all experts, so that its share there is what it is.
absl::Status CheckNoPreference(const RouterOptions& options);

// The index of a setting's value in `names`.
absl::StatusOr<int> ReadEnum(const RouterOptions& options, const char* setting,
                             std::initializer_list<const char*> names);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SCORE_SETTINGS_H_
