// s_te = <u_t, p_e> / |p_e|, u_t = mu_t / |mu_t|. Bounded, so nothing can overflow.
#include "core/ops/gemm.h"
#include "routing/lpr/directions.h"
#include "routing/lpr/similarity.h"

namespace equipoise::routing {
namespace {

class CosineSimilarity final : public Similarity {
 public:
  void Prepare(const Context& context, LatentTile& latent) const override {
    const ConstTensorView points = latent.points;
    const TensorView directions = context.scratch->Allocate(points.dtype(), points.shape());
    const TensorView inverse_norms = context.scratch->Allocate(points.dtype(), {points.dim(0)});
    ComputeDirections(context, points, directions, inverse_norms);
    latent.point_directions = directions;
    latent.point_inverse_norms = inverse_norms;
  }

  void Forward(const Context& context, const LatentTile& latent) const override {
    LinearForward(context, latent.directions, latent.point_directions, latent.similarities);
  }

  void Backward(const Context& context, const LatentTile& latent, TensorView dsimilarities,
                const LatentTileGradient& gradient, TensorView dpoints) const override {
    WorkspaceFrame frame(*context.scratch);
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, dsimilarities, latent.point_directions, 1.0,
         gradient.directions);
    if (dpoints.absent()) return;
    const TensorView dunit = context.scratch->Allocate(dpoints.dtype(), dpoints.shape());
    Gemm(context, Transpose::kYes, Transpose::kNo, 1.0, dsimilarities, latent.directions, 0.0,
         dunit);
    AddDirectionsGradient(context, latent.point_directions, latent.point_inverse_norms, dunit,
                          dpoints);
  }
};

}  // namespace

std::unique_ptr<Similarity> MakeCosineSimilarity() { return std::make_unique<CosineSimilarity>(); }

}  // namespace equipoise::routing
