// s_te = exp(-|mu_t - p_e|^2 / 2). From prototypes drawn N(0, 1) every s is near zero in many
// dimensions (|delta|^2 is about D), and so are its gradients: bring D down or prototypes closer.
#include <cmath>

#include "routing/lpr/similarity.h"
#include "routing/lpr/similarity/moments.h"

namespace equipoise::routing {
namespace {

class GaussianSimilarity final : public Similarity {
 public:
  void Forward(const Context& context, const LatentTile& latent) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    SquaredDistances(context, CopyMeans(context, latent), points, latent.similarities);
    DispatchFloat(points.dtype(), [&]<typename T>() {
      for (T& s : latent.similarities.cpu<T>()) s = std::exp(T{-0.5} * s);
    });
  }

  void Backward(const Context& context, const LatentTile& latent, TensorView dsimilarities,
                const LatentTileGradient& gradient, TensorView dpoints) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    const TensorView means = CopyMeans(context, latent);
    const TensorView dmeans = context.scratch->Allocate(means.dtype(), means.shape());
    const TensorView dp = context.scratch->Allocate(points.dtype(), points.shape());
    DispatchFloat(points.dtype(), [&]<typename T>() {
      const auto s = latent.similarities.cpu<T>();
      const auto ds = dsimilarities.cpu<T>();
      for (size_t i = 0; i < s.size(); ++i) ds[i] *= T{-0.5} * s[i];
    });
    SquaredDistancesBackward(context, means, points, dsimilarities, dmeans, dp);
    AddColumns(dmeans, 0, gradient.moments);
    if (!dpoints.absent()) AddColumns(dp, 0, dpoints);
  }
};

}  // namespace

std::unique_ptr<Similarity> MakeGaussianSimilarity() {
  return std::make_unique<GaussianSimilarity>();
}

}  // namespace equipoise::routing
