#ifndef EQUIPOISE_ROUTING_LOSSES_TOKEN_ISOTROPY_H_
#define EQUIPOISE_ROUTING_LOSSES_TOKEN_ISOTROPY_H_

#include <cstdint>
#include <memory>

#include "routing/losses/router_loss.h"

namespace equipoise::routing {

// Both losses are of the tokens' directions u in a latent space of D dimensions, over the whole
// step, and are squares of means: their statistics must be the step's (scope kGlobalBatch). With
// the statistics of the step before (under accumulation), value and gradient are those of the
// square's tangent there; where both are the same step, the square itself. Without: none.

// "token_diversity": coefficient * (||G||_F^2 - T) / T^2, G = sum_t u_t u_t^T. It is the mean over
// all T^2 pairs of (<u_s, u_t> - [s = t])^2, as LPR's published code takes it from a T x T matrix,
// but from a D x D one. Least, 1/D - 1/T, when directions are isotropic. Sums: G [D, D].
// du_t = coefficient * 4 / T^2 * G u_t.
std::unique_ptr<RouterLoss> MakeTokenDiversityLoss(double coefficient, int64_t dimensions);

// "mean_direction": coefficient * |m|^2, m the mean of u. Zero when directions are centred. Sums:
// sum of u [D]. du_t = coefficient * 2 / T * m.
std::unique_ptr<RouterLoss> MakeMeanDirectionLoss(double coefficient, int64_t dimensions);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_TOKEN_ISOTROPY_H_
