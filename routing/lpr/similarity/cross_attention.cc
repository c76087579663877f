// s_te = <q_t, k_e> / sqrt(D), q = RmsNorm(mu W_q^T + b_q), k = RmsNorm(p W_k^T + b_k), one head,
// learned gains, epsilon 1e-6. A cosine between learned views of both, times sqrt(D) and the gains:
// a temperature is built in.
#include <cmath>
#include <string>

#include "core/ops/gemm.h"
#include "core/ops/rms_norm.h"
#include "routing/cpu/score_rows.h"
#include "routing/lpr/declare.h"
#include "routing/lpr/similarity.h"
#include "routing/lpr/similarity/moments.h"

namespace equipoise::routing {
namespace {

constexpr double kEpsilon = 1e-6;

// y = RmsNorm(x W^T + b) over rows of D elements.
class NormedLinear {
 public:
  NormedLinear(const RouterOptions& router, const std::string& name, int64_t dimensions,
               ParameterRegistry& parameters) {
    const double stddev = 1.0 / std::sqrt(static_cast<double>(dimensions));
    weight_ = DeclareOfGate(router, parameters, (name + ".weight").c_str(),
                            {dimensions, dimensions}, {Init::kNormal, stddev, /*decay=*/true});
    bias_ = DeclareOfGate(router, parameters, (name + ".bias").c_str(), {dimensions},
                          {Init::kZeros, /*stddev=*/0.0, /*decay=*/false});
    gain_ = DeclareOfGate(router, parameters, (name + "_norm.weight").c_str(), {dimensions},
                          {Init::kOnes, /*stddev=*/0.0, /*decay=*/false});
  }

  struct Output {
    TensorView linear, normed, inverse_rms;
  };

  // In scratch memory.
  Output Forward(const Context& context, ConstTensorView x) const {
    Workspace& scratch = *context.scratch;
    const Output output = {scratch.Allocate(x.dtype(), x.shape()),
                           scratch.Allocate(x.dtype(), x.shape()),
                           scratch.Allocate(x.dtype(), {x.dim(0)})};
    LinearForward(context, x, weight_->value(), output.linear);
    DispatchFloat(x.dtype(), [&]<typename T>() {
      const int64_t width = bias_->num_elements();
      for (int64_t row = 0; row < x.dim(0); ++row) {
        cpu::AddScaledRow(T{1}, bias_->value().cpu<T>().data(), width,
                          output.linear.cpu<T>().data() + row * width);
      }
    });
    RmsNormForward(context, output.linear, gain_->value(), kEpsilon, output.normed,
                   output.inverse_rms);
    return output;
  }

  // Writes dx.
  void Backward(const Context& context, ConstTensorView x, const Output& output, ConstTensorView dy,
                TensorView dx) const {
    WorkspaceFrame frame(*context.scratch);
    const TensorView dlinear = context.scratch->Allocate(x.dtype(), x.shape());
    RmsNormBackward(context, output.linear, gain_->value(), output.inverse_rms, dy, dlinear,
                    /*accumulate_dx=*/false, gain_->gradient());
    LinearBackward(context, x, weight_->value(), dlinear, dx, /*accumulate_dx=*/false,
                   weight_->gradient());
    DispatchFloat(x.dtype(), [&]<typename T>() {
      const int64_t width = bias_->num_elements();
      for (int64_t row = 0; row < x.dim(0); ++row) {
        cpu::AddScaledRow(T{1}, dlinear.cpu<T>().data() + row * width, width,
                          bias_->gradient().cpu<T>().data());
      }
    });
  }

 private:
  const Parameter* weight_;
  const Parameter* bias_;
  const Parameter* gain_;
};

class CrossAttentionSimilarity final : public Similarity {
 public:
  CrossAttentionSimilarity(const RouterOptions& router, int64_t dimensions,
                           ParameterRegistry& parameters)
      : scale_(1.0 / std::sqrt(static_cast<double>(dimensions))),
        queries_(router, "query", dimensions, parameters),
        keys_(router, "key", dimensions, parameters) {}

  void Forward(const Context& context, const LatentTile& latent) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    const auto queries = queries_.Forward(context, CopyMeans(context, latent));
    const auto keys = keys_.Forward(context, points);
    Gemm(context, Transpose::kNo, Transpose::kYes, scale_, queries.normed, keys.normed, 0.0,
         latent.similarities);
  }

  void Backward(const Context& context, const LatentTile& latent, TensorView dsimilarities,
                const LatentTileGradient& gradient, TensorView dpoints) const override {
    const ConstTensorView points = latent.points;
    WorkspaceFrame frame(*context.scratch);
    Workspace& scratch = *context.scratch;
    const TensorView means = CopyMeans(context, latent);
    const auto queries = queries_.Forward(context, means);
    const auto keys = keys_.Forward(context, points);
    const TensorView dqueries = scratch.Allocate(means.dtype(), means.shape());
    const TensorView dkeys = scratch.Allocate(points.dtype(), points.shape());
    Gemm(context, Transpose::kNo, Transpose::kNo, scale_, dsimilarities, keys.normed, 0.0,
         dqueries);
    Gemm(context, Transpose::kYes, Transpose::kNo, scale_, dsimilarities, queries.normed, 0.0,
         dkeys);
    const TensorView dmeans = scratch.Allocate(means.dtype(), means.shape());
    const TensorView dp = scratch.Allocate(points.dtype(), points.shape());
    queries_.Backward(context, means, queries, dqueries, dmeans);
    keys_.Backward(context, points, keys, dkeys, dp);
    AddColumns(dmeans, 0, gradient.moments);
    if (!dpoints.absent()) AddColumns(dp, 0, dpoints);
  }

 private:
  const double scale_;
  const NormedLinear queries_;
  const NormedLinear keys_;
};

}  // namespace

std::unique_ptr<Similarity> MakeCrossAttentionSimilarity(const RouterOptions& router,
                                                         int64_t dimensions,
                                                         ParameterRegistry& parameters) {
  return std::make_unique<CrossAttentionSimilarity>(router, dimensions, parameters);
}

}  // namespace equipoise::routing
