// Of N(mu, e^lv) and N(p, e^lam), diagonal, S = e^lv + e^lam, delta = mu - p:
//   B = sum_d delta^2 / (4 S) + 1/2 ln(S / 2) - (lv + lam) / 4        (Bhattacharyya)
//   H = sqrt(1 - e^-B)                                               (Hellinger)
// s = -B or -H: the same choice of experts, other gates. The published code's "js" is B. No matrix
// product gives S, so this costs a division and a logarithm for each token, expert and dimension.
// lam = gate.prototype_log_variances [E, D], from zero.
#include <cmath>

#include "routing/lpr/declare.h"
#include "routing/lpr/similarity.h"

namespace equipoise::routing {
namespace {

// Where two distributions are one, H has no derivative: below this, none is taken.
constexpr double kSmallestHellinger = 1e-6;

class OverlapSimilarity final : public Similarity {
 public:
  OverlapSimilarity(const RouterOptions& router, int64_t dimensions, bool hellinger,
                    ParameterRegistry& parameters)
      : hellinger_(hellinger),
        log_variances_(DeclareOfGate(router, parameters, "prototype_log_variances",
                                     {router.num_experts, dimensions},
                                     {Init::kZeros, /*stddev=*/0.0, /*decay=*/false})) {}

  bool needs_log_variances() const override { return true; }

  void Forward(const Context& context, const LatentTile& latent) const override {
    const ConstTensorView points = latent.points;
    (void)context;
    const int64_t width = latent.dimensions();
    DispatchFloat(points.dtype(), [&]<typename T>() {
      T* s = latent.similarities.cpu<T>().data();
      for (int64_t t = 0; t < latent.moments.dim(0); ++t) {
        const T* token = latent.moments.cpu<T>().data() + t * 2 * width;
        for (int64_t e = 0; e < points.dim(0); ++e) {
          const T distance = Distance(token, points.cpu<T>().data() + e * width,
                                      log_variances_->value().cpu<T>().data() + e * width, width);
          *s++ = hellinger_ ? -std::sqrt(-std::expm1(-distance)) : -distance;
        }
      }
    });
  }

  void Backward(const Context& context, const LatentTile& latent, TensorView dsimilarities,
                const LatentTileGradient& gradient, TensorView dpoints) const override {
    const ConstTensorView points = latent.points;
    (void)context;
    const int64_t width = latent.dimensions();
    const int64_t experts = points.dim(0);
    DispatchFloat(points.dtype(), [&]<typename T>() {
      const T* s = latent.similarities.cpu<T>().data();
      const T* ds = dsimilarities.cpu<T>().data();
      for (int64_t t = 0; t < latent.moments.dim(0); ++t) {
        for (int64_t e = 0; e < experts; ++e) {
          const Row<T> row = {latent.moments.cpu<T>().data() + t * 2 * width,
                              points.cpu<T>().data() + e * width,
                              log_variances_->value().cpu<T>().data() + e * width,
                              gradient.moments.cpu<T>().data() + t * 2 * width,
                              dpoints.absent() ? nullptr : dpoints.cpu<T>().data() + e * width,
                              log_variances_->gradient().cpu<T>().data() + e * width};
          AddGradient(row, SlopeByDistance(*s++) * *ds++, width);
        }
      }
    });
  }

 private:
  // One token and one expert, and where their gradients go.
  template <typename T>
  struct Row {
    const T* token;
    const T* point;
    const T* log_variance;
    T* dtoken;
    T* dpoint;  // null: fixed
    T* dlog_variance;
  };

  template <typename T>
  static T Distance(const T* token, const T* point, const T* log_variance, int64_t width) {
    T distance = T{0};
    for (int64_t d = 0; d < width; ++d) {
      const T sum = std::exp(token[width + d]) + std::exp(log_variance[d]);
      const T delta = token[d] - point[d];
      distance += delta * delta / (T{4} * sum) + T{0.5} * std::log(sum / T{2}) -
                  (token[width + d] + log_variance[d]) / T{4};
    }
    // Rounding must not make it negative; not a number stays one.
    return distance < T{0} ? T{0} : distance;
  }

  // ds/dB.
  template <typename T>
  T SlopeByDistance(T s) const {
    if (!hellinger_) return T{-1};
    // e^-B = 1 - s^2, dH = e^-B / (2 H) dB.
    return -s < static_cast<T>(kSmallestHellinger) ? T{0} : (T{1} - s * s) / (T{2} * s);
  }

  template <typename T>
  static void AddGradient(const Row<T>& row, T ddistance, int64_t width) {
    for (int64_t d = 0; d < width; ++d) {
      const T variance = std::exp(row.token[width + d]);
      const T other = std::exp(row.log_variance[d]);
      const T sum = variance + other;
      const T delta = row.token[d] - row.point[d];
      const T by_delta = ddistance * delta / (T{2} * sum);
      const T by_sum = T{1} / (T{2} * sum) - delta * delta / (T{4} * sum * sum);
      row.dtoken[d] += by_delta;
      row.dtoken[width + d] += ddistance * (variance * by_sum - T{0.25});
      row.dlog_variance[d] += ddistance * (other * by_sum - T{0.25});
      if (row.dpoint != nullptr) row.dpoint[d] -= by_delta;
    }
  }

  const bool hellinger_;
  const Parameter* log_variances_;
};

}  // namespace

std::unique_ptr<Similarity> MakeOverlapSimilarity(const RouterOptions& router, int64_t dimensions,
                                                  bool hellinger, ParameterRegistry& parameters) {
  return std::make_unique<OverlapSimilarity>(router, dimensions, hellinger, parameters);
}

}  // namespace equipoise::routing
