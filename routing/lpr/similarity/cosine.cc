// s_te = <u_t, p_e> / |p_e|, u_t = mu_t / |mu_t|. Bounded, so nothing can overflow.
#include "core/ops/gemm.h"
#include "routing/lpr/directions.h"
#include "routing/lpr/similarity.h"

namespace equipoise::routing {
namespace {

struct UnitPoints {
  TensorView directions;     // [E, D]
  TensorView inverse_norms;  // [E]
};

UnitPoints MakeUnitPoints(const Context& context, ConstTensorView points) {
  UnitPoints unit = {context.scratch->Allocate(points.dtype(), points.shape()),
                     context.scratch->Allocate(points.dtype(), {points.dim(0)})};
  ComputeDirections(context, points, unit.directions, unit.inverse_norms);
  return unit;
}

class CosineSimilarity final : public Similarity {
 public:
  void Forward(const Context& context, const LatentTile& latent,
               ConstTensorView points) const override {
    WorkspaceFrame frame(*context.scratch);
    // Again for each tile: E D operations beside the tile's 2 n E D, and no state between tiles.
    const UnitPoints unit = MakeUnitPoints(context, points);
    LinearForward(context, latent.directions, unit.directions, latent.similarities);
  }

  void Backward(const Context& context, const LatentTile& latent, ConstTensorView points,
                TensorView dsimilarities, const LatentTileGradient& gradient,
                TensorView dpoints) const override {
    WorkspaceFrame frame(*context.scratch);
    const UnitPoints unit = MakeUnitPoints(context, points);
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, dsimilarities, unit.directions, 1.0,
         gradient.directions);
    if (dpoints.absent()) return;
    const TensorView dunit = context.scratch->Allocate(points.dtype(), points.shape());
    Gemm(context, Transpose::kYes, Transpose::kNo, 1.0, dsimilarities, latent.directions, 0.0,
         dunit);
    AddDirectionsGradient(context, unit.directions, unit.inverse_norms, dunit, dpoints);
  }
};

}  // namespace

std::unique_ptr<Similarity> MakeCosineSimilarity() { return std::make_unique<CosineSimilarity>(); }

}  // namespace equipoise::routing
