#ifndef EQUIPOISE_ROUTING_LOSSES_SOFT_LOAD_H_
#define EQUIPOISE_ROUTING_LOSSES_SOFT_LOAD_H_

#include <cstdint>
#include <memory>

#include "routing/losses/router_loss.h"

namespace equipoise::routing {

// "soft_load": coefficient * the divergence of P from uniform, sum_e P_e ln(E P_e), where P is the
// mean over the whole step's tokens of softmax(similarity / temperature). At a low temperature P is
// near the load that a choice by similarity gives, and has a gradient. Sums: [E] of the softmax.
// Scope kGlobalBatch: with the statistics of the step before, value and gradient are those of the
// tangent there, sum_e P_e ln(E P'_e); without, none.
std::unique_ptr<RouterLoss> MakeSoftLoadLoss(double coefficient, double temperature,
                                             int64_t num_experts);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_SOFT_LOAD_H_
