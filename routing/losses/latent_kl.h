#ifndef EQUIPOISE_ROUTING_LOSSES_LATENT_KL_H_
#define EQUIPOISE_ROUTING_LOSSES_LATENT_KL_H_

#include <memory>

#include "routing/losses/router_loss.h"

namespace equipoise::routing {

// "latent_kl": coefficient * mean over the step's tokens of the Kullback-Leibler divergence of
// N(mu, e^lv) from the standard normal, 1/2 sum_d (mu^2 + e^lv - 1 - lv); lv = 0 where a tile has
// no logarithms of variances. Sums: [0]. dmu = mu / tokens, dlv = (e^lv - 1) / (2 tokens).
std::unique_ptr<RouterLoss> MakeLatentKlLoss(double coefficient);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_LATENT_KL_H_
