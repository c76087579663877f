// s_te = 1 / (1 + sum_d exp(-l_d) (mu_td - p_ed)^2), l = gate.log_scales [D] learned, from zero,
// the same for all experts. A squared distance of points scaled by exp(-l / 2).
#include <cmath>

#include "routing/lpr/declare.h"
#include "routing/lpr/similarity.h"
#include "routing/lpr/similarity/moments.h"

namespace equipoise::routing {
namespace {

class MahalanobisSimilarity final : public Similarity {
 public:
  MahalanobisSimilarity(const RouterOptions& router, int64_t dimensions,
                        ParameterRegistry& parameters)
      : log_scales_(DeclareOfGate(router, parameters, "log_scales", {dimensions},
                                  {Init::kZeros, /*stddev=*/0.0, /*decay=*/false})) {}

  void Forward(const Context& context, const LatentTile& latent) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    const TensorView a = CopyMeans(context, latent);
    const TensorView b = CopyColumns(context, points, 0, points.dim(1));
    Scale(a);
    Scale(b);
    SquaredDistances(context, a, b, latent.similarities);
    DispatchFloat(points.dtype(), [&]<typename T>() {
      for (T& s : latent.similarities.cpu<T>()) s = T{1} / (T{1} + s);
    });
  }

  void Backward(const Context& context, const LatentTile& latent, TensorView dsimilarities,
                const LatentTileGradient& gradient, TensorView dpoints) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    const TensorView a = CopyMeans(context, latent);
    const TensorView b = CopyColumns(context, points, 0, points.dim(1));
    Scale(a);
    Scale(b);
    const TensorView da = context.scratch->Allocate(a.dtype(), a.shape());
    const TensorView db = context.scratch->Allocate(b.dtype(), b.shape());
    DispatchFloat(points.dtype(), [&]<typename T>() {
      const auto s = latent.similarities.cpu<T>();
      const auto ds = dsimilarities.cpu<T>();
      for (size_t i = 0; i < s.size(); ++i) ds[i] *= -s[i] * s[i];
    });
    SquaredDistancesBackward(context, a, b, dsimilarities, da, db);
    AddScalesGradient(a, da);
    AddScalesGradient(b, db);
    Scale(da);
    Scale(db);
    AddColumns(da, 0, gradient.moments);
    if (!dpoints.absent()) AddColumns(db, 0, dpoints);
  }

 private:
  // Every row times exp(-l / 2).
  void Scale(TensorView rows) const {
    DispatchFloat(rows.dtype(), [&]<typename T>() {
      const auto logs = log_scales_->value().cpu<T>();
      const auto values = rows.cpu<T>();
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] *= std::exp(T{-0.5} * logs[i % logs.size()]);
      }
    });
  }

  // A scaled coordinate's derivative by l is -1/2 of it.
  void AddScalesGradient(ConstTensorView rows, ConstTensorView drows) const {
    DispatchFloat(rows.dtype(), [&]<typename T>() {
      const auto out = log_scales_->gradient().cpu<T>();
      const auto values = rows.cpu<T>();
      const auto dvalues = drows.cpu<T>();
      for (size_t i = 0; i < values.size(); ++i) {
        out[i % out.size()] -= T{0.5} * values[i] * dvalues[i];
      }
    });
  }

  const Parameter* log_scales_;
};

}  // namespace

std::unique_ptr<Similarity> MakeMahalanobisSimilarity(const RouterOptions& router,
                                                      int64_t dimensions,
                                                      ParameterRegistry& parameters) {
  return std::make_unique<MahalanobisSimilarity>(router, dimensions, parameters);
}

}  // namespace equipoise::routing
