#ifndef EQUIPOISE_ROUTING_LOSSES_LOCALITY_H_
#define EQUIPOISE_ROUTING_LOSSES_LOCALITY_H_

#include <memory>

#include "routing/locality.h"
#include "routing/losses/router_loss.h"

namespace equipoise::routing {

// "locality": coefficient * sum_r (T_r / T) sum_e P^r_e ln(P^r_e / l^r_e) over home nodes r, where
// P^r is the mean over the T_r of the step's T tokens that live there of their probabilities, and
// l^r the localised target (LocalisedTargets). With equal nodes T_r / T is 1 / N; a node without
// tokens counts nothing. LocMoE (arXiv 2401.13920, section 3) gives the divergence of assignments
// from a localised distribution, without a discrete form or a target's smoothing; probabilities
// stand for assignments so that there is a gradient: dp_te = coefficient ln(P^r_e / l^r_e) / T.
// Sums: T_r [N], then of probabilities [N, E].
//
// Scope kGlobalBatch: with the statistics of the step before, value and gradient are those of the
// tangent there; without, none.
std::unique_ptr<RouterLoss> MakeLocalityLoss(const LocalityOptions& options, int num_experts);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_LOCALITY_H_
