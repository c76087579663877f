#ifndef EQUIPOISE_ROUTING_LPR_LATENT_NOISE_H_
#define EQUIPOISE_ROUTING_LPR_LATENT_NOISE_H_

#include <cstdint>
#include <memory>
#include <span>

#include "routing/router.h"

namespace equipoise::routing {

// The standard normal draws of a token's sampled latent. An interface, so that a test may fix them.
class LatentNoise {
 public:
  virtual ~LatentNoise() = default;
  // Fills noise [D] of the token with index `token` among all of step `step`.
  virtual void Draw(int64_t step, int64_t token, std::span<double> noise) const = 0;
};

// Functions of (seed, layer, step, token) alone, whatever the layout.
std::unique_ptr<LatentNoise> MakeLatentNoise(const RouterOptions& router);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_LATENT_NOISE_H_
