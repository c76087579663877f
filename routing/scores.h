#ifndef EQUIPOISE_ROUTING_SCORES_H_
#define EQUIPOISE_ROUTING_SCORES_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/score_tile.h"

namespace equipoise::routing {

// A tile for up to `max_rows` tokens, and gradients to go with it, allocated from `workspace`.
// `with_softmax`: also room for the softmax of the logits where the scores are something else.
ScoreTile AllocateScoreTile(Workspace& workspace, DType dtype, ScoreFunction function,
                            int64_t max_rows, int64_t num_experts, bool with_softmax);
ScoreTileGradient AllocateScoreTileGradient(Workspace& workspace, DType dtype, int64_t max_rows,
                                            int64_t num_experts, int64_t top_k);
// The same memory for the first `rows` tokens.
ScoreTile FirstRows(const ScoreTile& tile, int64_t rows);
ScoreTileGradient FirstRows(const ScoreTileGradient& gradient, int64_t rows);

// Fills everything but `selected` from tile.logits.
void ComputeScores(const Context& context, const ScoreTile& tile);

// Sum over the tile's tokens of the entropy of their probabilities, in nats. Host value.
double SumOfEntropies(const Context& context, const ScoreTile& tile);

// gradient.logits += the gradient by the logits of what gradient.probabilities and
// gradient.selected_scores hold; those two are spent.
//   softmax: dl_e = p_e (d_e - <p, d>), d = dp + the chosen ones' ds
//   sigmoid: dl_e = s_e (1 - s_e) ((dp_e - <p, dp>) / sum s + the chosen ones' ds)
void ScoresBackward(const Context& context, const ScoreTile& tile,
                    const ScoreTileGradient& gradient);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SCORES_H_
