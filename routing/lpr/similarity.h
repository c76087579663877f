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

  // Fills latent.similarities [n, E] from the rest of `latent`; points [E, D].
  virtual void Forward(const Context& context, const LatentTile& latent,
                       ConstTensorView points) const = 0;
  // dsimilarities [n, E], spent. Adds to gradient.moments or gradient.directions, to dpoints [E, D]
  // unless that is absent, and to its own parameters' gradients.
  virtual void Backward(const Context& context, const LatentTile& latent, ConstTensorView points,
                        TensorView dsimilarities, const LatentTileGradient& gradient,
                        TensorView dpoints) const = 0;
};

// <mu, p> / (|mu| |p|).
std::unique_ptr<Similarity> MakeCosineSimilarity();

// By its name in the settings: "COSINE". Declares what it learns. InvalidArgument lists the names.
absl::StatusOr<std::unique_ptr<Similarity>> MakeSimilarity(const RouterOptions& router,
                                                           const std::string& name,
                                                           int64_t dimensions,
                                                           ParameterRegistry& parameters);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_SIMILARITY_H_
