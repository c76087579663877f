#ifndef EQUIPOISE_ROUTING_GATES_H_
#define EQUIPOISE_ROUTING_GATES_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/score_tile.h"

namespace equipoise::routing {

// How the scores of the chosen experts become their weights.
struct GateRule {
  // Divide by the sum over the K chosen, so that gates add up to `scaling_factor`. For softmax this
  // is the same as a softmax over the chosen logits alone.
  bool normalize = true;
  // Multiplies every gate (DeepSeek's routed_scaling_factor).
  double scaling_factor = 1.0;
};

// gates [n, K] of the experts in tile.selected; 0 where there is none (-1).
void ComputeGates(const Context& context, const GateRule& rule, const ScoreTile& tile,
                  TensorView gates);

// Writes gradient.selected_scores from dgates [n, K]. A copy whose expert_ids I32 [n, K] is -1 was
// dropped: its gate is a constant 0, though it still counts in the sum that the others were
// divided by.
void GatesBackward(const Context& context, const GateRule& rule, const ScoreTile& tile,
                   ConstTensorView expert_ids, ConstTensorView dgates,
                   const ScoreTileGradient& gradient);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_GATES_H_
