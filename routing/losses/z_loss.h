#ifndef EQUIPOISE_ROUTING_LOSSES_Z_LOSS_H_
#define EQUIPOISE_ROUTING_LOSSES_Z_LOSS_H_

#include <memory>

#include "routing/losses/router_loss.h"

namespace equipoise::routing {

// "z": coefficient * mean over the step's tokens of logsumexp(logits)^2 (ST-MoE, eq. 5): keeps
// logits small, so that rounding them matters little. Sums: [0] of the squares.
// dl_te = coefficient * 2 lse_t softmax(l_t)_e / batch tokens.
std::unique_ptr<RouterLoss> MakeZLoss(const ZLossOptions& options);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_Z_LOSS_H_
