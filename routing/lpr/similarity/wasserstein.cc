// s_te = -sqrt(W^2 + 1e-6), W the 2-Wasserstein distance of N(mu, e^lv) from N(p, e^lam), diagonal:
// W^2 = |mu - p|^2 + |e^(lv/2) - e^(lam/2)|^2, a squared distance in 2 D dimensions.
// lam = gate.prototype_log_variances [E, D], from zero.
#include <cmath>

#include "routing/lpr/declare.h"
#include "routing/lpr/similarity.h"
#include "routing/lpr/similarity/moments.h"

namespace equipoise::routing {
namespace {

constexpr double kSmallestSquare = 1e-6;

class WassersteinSimilarity final : public Similarity {
 public:
  WassersteinSimilarity(const RouterOptions& router, int64_t dimensions,
                        ParameterRegistry& parameters)
      : log_variances_(DeclareOfGate(router, parameters, "prototype_log_variances",
                                     {router.num_experts, dimensions},
                                     {Init::kZeros, /*stddev=*/0.0, /*decay=*/false})) {}

  bool needs_log_variances() const override { return true; }

  void Forward(const Context& context, const LatentTile& latent) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    SquaredDistances(
        context, Features(context, CopyMeans(context, latent), CopyLogVariances(context, latent)),
        Features(context, points, log_variances_->value()), latent.similarities);
    DispatchFloat(points.dtype(), [&]<typename T>() {
      for (T& s : latent.similarities.cpu<T>()) {
        s = -std::sqrt(s + static_cast<T>(kSmallestSquare));
      }
    });
  }

  void Backward(const Context& context, const LatentTile& latent, TensorView dsimilarities,
                const LatentTileGradient& gradient, TensorView dpoints) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    const TensorView a =
        Features(context, CopyMeans(context, latent), CopyLogVariances(context, latent));
    const TensorView b = Features(context, points, log_variances_->value());
    const TensorView da = context.scratch->Allocate(a.dtype(), a.shape());
    const TensorView db = context.scratch->Allocate(b.dtype(), b.shape());
    DispatchFloat(points.dtype(), [&]<typename T>() {
      const auto s = latent.similarities.cpu<T>();
      const auto ds = dsimilarities.cpu<T>();
      for (size_t i = 0; i < s.size(); ++i) ds[i] /= T{2} * s[i];
    });
    SquaredDistancesBackward(context, a, b, dsimilarities, da, db);
    ToLogVariances(a, da);
    ToLogVariances(b, db);
    AddColumns(da, 0, gradient.moments);
    const int64_t dimensions = points.dim(1);
    AddColumns(CopyColumns(context, db, dimensions, dimensions), 0, log_variances_->gradient());
    if (!dpoints.absent()) AddColumns(CopyColumns(context, db, 0, dimensions), 0, dpoints);
  }

 private:
  // [mean | standard deviation], [n, 2 D].
  static TensorView Features(const Context& context, ConstTensorView means,
                             ConstTensorView log_variances) {
    const int64_t width = means.dim(1);
    const TensorView features = context.scratch->Allocate(means.dtype(), {means.dim(0), 2 * width});
    DispatchFloat(means.dtype(), [&]<typename T>() {
      const T* mean = means.cpu<T>().data();
      const T* log_variance = log_variances.cpu<T>().data();
      T* out = features.cpu<T>().data();
      for (int64_t row = 0; row < means.dim(0); ++row, out += 2 * width) {
        for (int64_t d = 0; d < width; ++d) {
          out[d] = *mean++;
          out[width + d] = std::exp(*log_variance++ / T{2});
        }
      }
    });
    return features;
  }

  // The second half of dfeatures becomes the gradient by logarithms of variances.
  static void ToLogVariances(ConstTensorView features, TensorView dfeatures) {
    const size_t width = static_cast<size_t>(features.dim(1));
    DispatchFloat(features.dtype(), [&]<typename T>() {
      const auto values = features.cpu<T>();
      const auto gradients = dfeatures.cpu<T>();
      for (size_t i = 0; i < values.size(); ++i) {
        if (i % width >= width / 2) gradients[i] *= values[i] / T{2};
      }
    });
  }

  const Parameter* log_variances_;
};

}  // namespace

std::unique_ptr<Similarity> MakeWassersteinSimilarity(const RouterOptions& router,
                                                      int64_t dimensions,
                                                      ParameterRegistry& parameters) {
  return std::make_unique<WassersteinSimilarity>(router, dimensions, parameters);
}

}  // namespace equipoise::routing
