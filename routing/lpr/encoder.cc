#include "routing/lpr/encoder.h"

#include <algorithm>

#include "core/ops/gemm.h"
#include "routing/cpu/norm_silu_rows.h"
#include "routing/cpu/score_rows.h"
#include "routing/lpr/declare.h"

namespace equipoise::routing {
namespace {

constexpr double kEpsilon = 1e-5;

template <typename T>
cpu::NormParameters<T> NormOf(const Parameter& gain, const Parameter& shift) {
  return {gain.value().cpu<T>().data(), shift.value().cpu<T>().data(), gain.num_elements(),
          kEpsilon};
}

}  // namespace

LatentEncoder::LatentEncoder(const RouterOptions& router, const EncoderOptions& options,
                             ParameterRegistry& parameters) {
  const auto declare = [&](const char* name, const Shape& shape, Init init, bool decay) {
    return DeclareOfGate(router, parameters, name, shape,
                         {init, options.init_stddev, decay || options.decay_all});
  };
  gain_ = declare("norm.weight", {router.hidden}, Init::kOnes, false);
  shift_ = declare("norm.bias", {router.hidden}, Init::kZeros, false);
  weight_ = declare("encoder.weight", {options.moments, router.hidden}, Init::kNormal, true);
  bias_ = declare("encoder.bias", {options.moments}, Init::kZeros, false);
}

void LatentEncoder::Forward(const Context& context, ConstTensorView x, TensorView moments) const {
  WorkspaceFrame frame(*context.scratch);
  const TensorView activations = context.scratch->Allocate(x.dtype(), x.shape());
  DispatchFloat(x.dtype(), [&]<typename T>() {
    const auto norm = NormOf<T>(*gain_, *shift_);
    const T* row = x.cpu<T>().data();
    T* out = activations.cpu<T>().data();
    for (int64_t t = 0; t < x.dim(0); ++t, row += norm.n, out += norm.n) {
      cpu::NormSiluRow<T>(norm, row, out, nullptr);
    }
  });
  LinearForward(context, activations, weight_->value(), moments);
  DispatchFloat(x.dtype(), [&]<typename T>() {
    const auto bias = bias_->value().cpu<T>();
    T* row = moments.cpu<T>().data();
    for (int64_t t = 0; t < moments.dim(0); ++t, row += bias.size()) {
      cpu::AddScaledRow(T{1}, bias.data(), static_cast<int64_t>(bias.size()), row);
    }
  });
}

void LatentEncoder::Backward(const Context& context, ConstTensorView x, ConstTensorView dmoments,
                             TensorView dx) const {
  WorkspaceFrame frame(*context.scratch);
  Workspace& scratch = *context.scratch;
  const int64_t rows = x.dim(0);
  const TensorView activations = scratch.Allocate(x.dtype(), x.shape());
  const TensorView slopes = scratch.Allocate(x.dtype(), x.shape());
  const TensorView gradients = scratch.Allocate(x.dtype(), x.shape());
  const TensorView norms = scratch.Allocate(x.dtype(), {rows, 2});
  DispatchFloat(x.dtype(), [&]<typename T>() {
    const auto norm = NormOf<T>(*gain_, *shift_);
    for (int64_t t = 0; t < rows; ++t) {
      const auto [mean, inverse_deviation] = cpu::NormSiluRow<T>(
          norm, x.cpu<T>().data() + t * norm.n, activations.cpu<T>().data() + t * norm.n,
          slopes.cpu<T>().data() + t * norm.n);
      norms.cpu<T>()[static_cast<size_t>(2 * t)] = mean;
      norms.cpu<T>()[static_cast<size_t>(2 * t + 1)] = inverse_deviation;
    }
  });
  LinearBackward(context, activations, weight_->value(), dmoments, gradients,
                 /*accumulate_dx=*/false, weight_->gradient());
  DispatchFloat(x.dtype(), [&]<typename T>() {
    const auto norm = NormOf<T>(*gain_, *shift_);
    // Sums of a tile first: a float's digits last longer.
    const auto sums = scratch.Allocate(x.dtype(), {2, norm.n}).template cpu<T>();
    std::fill(sums.begin(), sums.end(), T{0});
    const auto bias_width = bias_->num_elements();
    const T* dmoment = dmoments.cpu<T>().data();
    for (int64_t t = 0; t < rows; ++t) {
      const cpu::RowNorm<T> row = {norms.cpu<T>()[static_cast<size_t>(2 * t)],
                                   norms.cpu<T>()[static_cast<size_t>(2 * t + 1)]};
      const int64_t offset = t * norm.n;
      cpu::NormSiluBackwardRow<T>(norm, row, x.cpu<T>().data() + offset,
                                  slopes.cpu<T>().data() + offset,
                                  gradients.cpu<T>().data() + offset, dx.cpu<T>().data() + offset,
                                  sums.data(), sums.data() + norm.n);
      cpu::AddScaledRow(T{1}, dmoment + t * bias_width, bias_width,
                        bias_->gradient().cpu<T>().data());
    }
    cpu::AddScaledRow(T{1}, sums.data(), norm.n, gain_->gradient().cpu<T>().data());
    cpu::AddScaledRow(T{1}, sums.data() + norm.n, norm.n, shift_->gradient().cpu<T>().data());
  });
}

}  // namespace equipoise::routing
