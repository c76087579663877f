// Router "top_k": logits = x W^T, every token takes its K best experts (Shazeer et al., 2017;
// Mixtral; Qwen3-MoE; DeepSeek-V3 without bias and groups). Parameter: `<prefix>gate.weight` [E,
// H].
//
// Settings:
//   score (string)           "SOFTMAX": over all experts. "SIGMOID": of each expert by itself.
//   selection (string)       "SCORE_ALL": scores of all experts, then the K best of them.
//                            "SCORE_SELECTED": the K best first, then scores among them alone; a
//                            softmax then sums to one whatever `renormalise` says, a sigmoid is the
//                            same either way.
//   renormalise (bool)       divide the gates by their sum over the K chosen
//   scaling_factor (double)  multiplies every gate; finite, > 0
//   bias, groups, jitter, entropy_loss, orthogonality_loss   shared pieces, see score_settings.h
// Mixtral and Qwen3-MoE with norm_topk_prob: SOFTMAX, SCORE_ALL, true, 1.
// DeepSeek-V3: SIGMOID, SCORE_ALL, true, 2.5.
//
// The probabilities that losses and the entropy are taken of: the softmax, or s / sum s.

#include <memory>
#include <utility>

#include "core/base/status_macros.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Router>> MakeTopKRouter(const RouterOptions& options,
                                                       ParameterRegistry& parameters) {
  EQ_ASSIGN_OR_RETURN(ScoreRouterParts parts, ReadScoreParts(options));
  EQ_RETURN_IF_ERROR(AddLinearLogits(options, parameters, parts));
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
