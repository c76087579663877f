// s_te = -KL(N(mu, e^lv) || N(p, e^lam)), diagonal, lam = gate.prototype_log_variances [E, D], from
// zero. With f_t = [e^lv + mu^2 | mu] and h_e = [e^-lam | -2 p e^-lam],
//   2 KL = <f_t, h_e> + sum_d (p^2 e^-lam + lam)_e - sum_d lv_t - D: one matrix product.
#include <algorithm>
#include <cmath>

#include "core/ops/gemm.h"
#include "routing/lpr/declare.h"
#include "routing/lpr/similarity.h"
#include "routing/lpr/similarity/moments.h"

namespace equipoise::routing {
namespace {

// Features [n, 2 D] of each row, and the sum that is its alone [n].
struct Side {
  TensorView features, sums;
};

class KlSimilarity final : public Similarity {
 public:
  KlSimilarity(const RouterOptions& router, int64_t dimensions, ParameterRegistry& parameters)
      : log_variances_(DeclareOfGate(router, parameters, "prototype_log_variances",
                                     {router.num_experts, dimensions},
                                     {Init::kZeros, /*stddev=*/0.0, /*decay=*/false})) {}

  bool needs_log_variances() const override { return true; }

  void Forward(const Context& context, const LatentTile& latent) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    const Side tokens = OfTokens(context, latent);
    const Side experts = OfExperts(context, points);
    Gemm(context, Transpose::kNo, Transpose::kYes, -0.5, tokens.features, experts.features, 0.0,
         latent.similarities);
    DispatchFloat(points.dtype(), [&]<typename T>() {
      T* s = latent.similarities.cpu<T>().data();
      for (const T token : tokens.sums.cpu<T>()) {
        for (const T expert : experts.sums.cpu<T>()) *s++ -= (token + expert) / T{2};
      }
    });
  }

  void Backward(const Context& context, const LatentTile& latent, TensorView dsimilarities,
                const LatentTileGradient& gradient, TensorView dpoints) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    Workspace& scratch = *context.scratch;
    const Side tokens = OfTokens(context, latent);
    const Side experts = OfExperts(context, points);
    const TensorView dtokens = scratch.Allocate(points.dtype(), tokens.features.shape());
    const TensorView dexperts = scratch.Allocate(points.dtype(), experts.features.shape());
    Gemm(context, Transpose::kNo, Transpose::kNo, -0.5, dsimilarities, experts.features, 0.0,
         dtokens);
    Gemm(context, Transpose::kYes, Transpose::kNo, -0.5, dsimilarities, tokens.features, 0.0,
         dexperts);
    DispatchFloat(points.dtype(), [&]<typename T>() {
      AddTokensGradient<T>(latent, dsimilarities, dtokens, gradient.moments);
      AddExpertsGradient<T>(points, dsimilarities, dexperts, dpoints);
    });
  }

 private:
  static Side Allocate(const Context& context, DType dtype, int64_t rows, int64_t dimensions) {
    return {context.scratch->Allocate(dtype, {rows, 2 * dimensions}),
            context.scratch->Allocate(dtype, {rows})};
  }

  static Side OfTokens(const Context& context, const LatentTile& latent) {
    const int64_t width = latent.dimensions();
    const Side side = Allocate(context, latent.moments.dtype(), latent.moments.dim(0), width);
    DispatchFloat(latent.moments.dtype(), [&]<typename T>() {
      const T* mean = latent.moments.cpu<T>().data();
      T* out = side.features.cpu<T>().data();
      for (T& sum : side.sums.cpu<T>()) {
        sum = static_cast<T>(-width);
        for (int64_t d = 0; d < width; ++d) {
          const T log_variance = mean[width + d];
          out[d] = std::exp(log_variance) + mean[d] * mean[d];
          out[width + d] = mean[d];
          sum -= log_variance;
        }
        mean += 2 * width;
        out += 2 * width;
      }
    });
    return side;
  }

  Side OfExperts(const Context& context, ConstTensorView points) const {
    const int64_t width = points.dim(1);
    const Side side = Allocate(context, points.dtype(), points.dim(0), width);
    DispatchFloat(points.dtype(), [&]<typename T>() {
      const T* point = points.cpu<T>().data();
      const T* log_variance = log_variances_->value().cpu<T>().data();
      T* out = side.features.cpu<T>().data();
      for (T& sum : side.sums.cpu<T>()) {
        sum = T{0};
        for (int64_t d = 0; d < width; ++d) {
          const T precision = std::exp(-log_variance[d]);
          out[d] = precision;
          out[width + d] = T{-2} * point[d] * precision;
          sum += point[d] * point[d] * precision + log_variance[d];
        }
        point += width;
        log_variance += width;
        out += 2 * width;
      }
    });
    return side;
  }

  template <typename T>
  static void AddTokensGradient(const LatentTile& latent, ConstTensorView dsimilarities,
                                ConstTensorView dfeatures, TensorView dmoments) {
    const int64_t width = latent.dimensions();
    const int64_t experts = dsimilarities.dim(1);
    const T* ds = dsimilarities.cpu<T>().data();
    for (int64_t row = 0; row < latent.moments.dim(0); ++row, ds += experts) {
      const T* mean = latent.moments.cpu<T>().data() + row * 2 * width;
      const T* df = dfeatures.cpu<T>().data() + row * 2 * width;
      T* out = dmoments.cpu<T>().data() + row * 2 * width;
      T dsum = T{0};
      for (int64_t e = 0; e < experts; ++e) dsum -= ds[e] / T{2};
      for (int64_t d = 0; d < width; ++d) {
        out[d] += T{2} * mean[d] * df[d] + df[width + d];
        out[width + d] += std::exp(mean[width + d]) * df[d] - dsum;
      }
    }
  }

  template <typename T>
  void AddExpertsGradient(ConstTensorView points, ConstTensorView dsimilarities,
                          ConstTensorView dfeatures, TensorView dpoints) const {
    const int64_t width = points.dim(1);
    const int64_t experts = points.dim(0);
    for (int64_t e = 0; e < experts; ++e) {
      T dsum = T{0};
      for (int64_t t = 0; t < dsimilarities.dim(0); ++t) {
        dsum -= dsimilarities.cpu<T>().data()[t * experts + e] / T{2};
      }
      const T* df = dfeatures.cpu<T>().data() + e * 2 * width;
      for (int64_t d = 0; d < width; ++d) {
        const size_t i = static_cast<size_t>(e * width + d);
        const T point = points.cpu<T>()[i];
        const T precision = std::exp(-log_variances_->value().cpu<T>()[i]);
        log_variances_->gradient().cpu<T>()[i] +=
            precision * (T{2} * point * df[width + d] - df[d]) +
            dsum * (T{1} - point * point * precision);
        if (dpoints.absent()) continue;
        dpoints.cpu<T>()[i] += T{2} * precision * (dsum * point - df[width + d]);
      }
    }
  }

  const Parameter* log_variances_;
};

}  // namespace

std::unique_ptr<Similarity> MakeKlSimilarity(const RouterOptions& router, int64_t dimensions,
                                             ParameterRegistry& parameters) {
  return std::make_unique<KlSimilarity>(router, dimensions, parameters);
}

}  // namespace equipoise::routing
