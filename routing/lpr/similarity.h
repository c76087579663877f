#ifndef EQUIPOISE_ROUTING_LPR_SIMILARITY_H_
#define EQUIPOISE_ROUTING_LPR_SIMILARITY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"
#include "routing/router.h"
#include "routing/score_tile.h"

namespace equipoise::routing {

// How near a token is to each prototype. Belongs to one router; what it learns besides the
// prototypes it declares itself. One file each in similarity/, by matrix products where the formula
// allows; nothing of n x E x D exists.
class Similarity {
 public:
  virtual ~Similarity() = default;
  // Whether it compares distributions: tokens must bring logarithms of variances (M = 2 D).
  virtual bool needs_log_variances() const { return false; }

  // Sets what a pass makes of latent.points [E, D] once, in context.scratch.
  virtual void Prepare(const Context& context, LatentTile& latent) const {
    (void)context, (void)latent;
  }
  // Fills latent.similarities [n, E] from the rest of `latent`.
  virtual void Forward(const Context& context, const LatentTile& latent) const = 0;
  // dsimilarities [n, E], spent. Adds to gradient.moments or gradient.directions, to dpoints [E, D]
  // unless that is absent, and to its own parameters' gradients.
  virtual void Backward(const Context& context, const LatentTile& latent, TensorView dsimilarities,
                        const LatentTileGradient& gradient, TensorView dpoints) const = 0;
};

// <mu, p> / (|mu| |p|).
std::unique_ptr<Similarity> MakeCosineSimilarity();
// exp(-|mu - p|^2 / 2).
std::unique_ptr<Similarity> MakeGaussianSimilarity();
// 1 / (1 + sum_d exp(-l_d) (mu - p)_d^2), l learned.
std::unique_ptr<Similarity> MakeMahalanobisSimilarity(const RouterOptions& router,
                                                      int64_t dimensions,
                                                      ParameterRegistry& parameters);
// <RmsNorm(W_q mu + b_q), RmsNorm(W_k p + b_k)> / sqrt(D).
std::unique_ptr<Similarity> MakeCrossAttentionSimilarity(const RouterOptions& router,
                                                         int64_t dimensions,
                                                         ParameterRegistry& parameters);
// Of diagonal normal distributions, minus a distance: KL(token || prototype), 2-Wasserstein,
// Bhattacharyya or Hellinger.
std::unique_ptr<Similarity> MakeKlSimilarity(const RouterOptions& router, int64_t dimensions,
                                             ParameterRegistry& parameters);
std::unique_ptr<Similarity> MakeWassersteinSimilarity(const RouterOptions& router,
                                                      int64_t dimensions,
                                                      ParameterRegistry& parameters);
std::unique_ptr<Similarity> MakeOverlapSimilarity(const RouterOptions& router, int64_t dimensions,
                                                  bool hellinger, ParameterRegistry& parameters);

// By its name in the settings: COSINE, CROSS_ATTENTION, GAUSSIAN, MAHALANOBIS, KL, WASSERSTEIN,
// BHATTACHARYYA or HELLINGER. Declares what it learns. InvalidArgument lists the names.
absl::StatusOr<std::unique_ptr<Similarity>> MakeSimilarity(const RouterOptions& router,
                                                           const std::string& name,
                                                           int64_t dimensions,
                                                           ParameterRegistry& parameters);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_SIMILARITY_H_
