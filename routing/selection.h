#ifndef EQUIPOISE_ROUTING_SELECTION_H_
#define EQUIPOISE_ROUTING_SELECTION_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::routing {

// The K experts of each token that rank highest, in descending order, ties to the lowest id.
// ranking [n, E] in any float type: logits (every score function here grows with them, and they
// tell apart what rounding makes equal in the scores), or whatever a router selects by instead.
// ids I32 [n, K], 1 <= K <= E.
void SelectTopK(const Context& context, ConstTensorView ranking, TensorView ids);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SELECTION_H_
