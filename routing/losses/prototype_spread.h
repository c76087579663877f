#ifndef EQUIPOISE_ROUTING_LOSSES_PROTOTYPE_SPREAD_H_
#define EQUIPOISE_ROUTING_LOSSES_PROTOTYPE_SPREAD_H_

#include <memory>

#include "routing/losses/router_loss.h"
#include "routing/lpr/prototypes.h"

namespace equipoise::routing {

// Losses of the directions p_e of E learned prototypes alone. They need no sums; each backward pass
// gives the share of the step's gradient that its tokens are of the step's.

// "prototype_diversity": coefficient * mean over all E^2 pairs of (<p_e, p_f> - [e = f])^2
// (LPR; the same as ERNIE 4.5's router orthogonalisation). dp_e = coefficient * 4 / E^2 * G p_e.
std::unique_ptr<RouterLoss> MakePrototypeDiversityLoss(
    double coefficient, std::shared_ptr<const Prototypes> prototypes);

// "prototype_repulsion": coefficient * ln(mean over pairs e != f of exp(beta <p_e, p_f>)) / beta:
// about the largest cosine of a pair, so that it separates neighbours, which diversity does not.
std::unique_ptr<RouterLoss> MakePrototypeRepulsionLoss(
    double coefficient, double beta, std::shared_ptr<const Prototypes> prototypes);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_PROTOTYPE_SPREAD_H_
