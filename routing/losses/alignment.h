#ifndef EQUIPOISE_ROUTING_LOSSES_ALIGNMENT_H_
#define EQUIPOISE_ROUTING_LOSSES_ALIGNMENT_H_

#include <memory>

#include "routing/losses/router_loss.h"
#include "routing/lpr/latent_noise.h"
#include "routing/lpr/prototypes.h"

namespace equipoise::routing {

// "alignment": coefficient * mean over e and d of |p_ed - A_ed|, the pull of LPR's published code
// on its prototypes. A = R^T z is a constant to the gradient; R_t = softmax over all E of the
// similarities of the chosen and 0 (not minus infinity) of the others; z = mu + noise * e^(lv / 2),
// or mu where there is no lv. A is a SUM over the step's tokens, not a mean, as published.
//
// With Z_t = sum of e^s over the chosen + E - K, without R:
//   A_e = sum_t z_t / Z_t + sum over tokens that chose e of (e^s_te - 1) / Z_t z_t.
// Sums: the first [D], which all experts share, then the second [E, D]. Scope kGlobalBatch: without
// the step's statistics no gradient. dp_ed = coefficient / (E D) * sign(p_ed - A_ed).
std::unique_ptr<RouterLoss> MakeAlignmentLoss(double coefficient,
                                              std::shared_ptr<const Prototypes> prototypes,
                                              std::unique_ptr<LatentNoise> noise);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_ALIGNMENT_H_
