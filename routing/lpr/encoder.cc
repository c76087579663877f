#include "routing/lpr/encoder.h"

#include <algorithm>

#include "core/ops/gemm.h"
#include "routing/cpu/norm_silu_rows.h"
#include "routing/cpu/score_rows.h"
#include "routing/lpr/declare.h"
#include "routing/transposed.h"

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

TensorView LatentEncoder::Prepare(const Context& context) const {
  return Transposed(context, weight_->value());
}

void LatentEncoder::Forward(const Context& context, ConstTensorView x, ConstTensorView prepared,
                            TensorView moments) const {
  WorkspaceFrame frame(*context.scratch);
  const TensorView memory = context.scratch->Allocate(x.dtype(), {kForwardRows, x.dim(1)});
  for (int64_t row = 0; row < x.dim(0); row += kForwardRows) {
    const int64_t end = std::min(row + kForwardRows, x.dim(0));
    const TensorView activations = memory.Rows(0, end - row);
    DispatchFloat(x.dtype(), [&]<typename T>() {
      cpu::NormSiluRows<T>(NormOf<T>(*gain_, *shift_), x.Rows(row, end).cpu<T>().data(), end - row,
                           activations.cpu<T>().data());
    });
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, activations, prepared, 0.0,
         moments.Rows(row, end));
  }
  DispatchFloat(x.dtype(), [&]<typename T>() {
    const auto bias = bias_->value().cpu<T>();
    T* row = moments.cpu<T>().data();
    for (int64_t t = 0; t < moments.dim(0); ++t, row += bias.size()) {
      for (size_t m = 0; m < bias.size(); ++m) row[m] += bias[m];
    }
  });
}

void LatentEncoder::Backward(const Context& context, ConstTensorView x, ConstTensorView dmoments,
                             TensorView dx) const {
  DispatchFloat(x.dtype(), [&]<typename T>() {
    WorkspaceFrame frame(*context.scratch);
    Workspace& scratch = *context.scratch;
    const auto norm = NormOf<T>(*gain_, *shift_);
    const Shape shape = {kBackwardRows, norm.n};
    const TensorView activations = scratch.Allocate(x.dtype(), shape);
    const TensorView slopes = scratch.Allocate(x.dtype(), shape);
    const TensorView gradients = scratch.Allocate(x.dtype(), shape);
    // Sums of a tile first: a float's digits last longer.
    const auto sums = scratch.Allocate(x.dtype(), {2, norm.n}).template cpu<T>();
    std::fill(sums.begin(), sums.end(), T{0});
    cpu::RowNorm<T> norms[kBackwardRows];
    for (int64_t row = 0; row < x.dim(0); row += kBackwardRows) {
      const int64_t end = std::min(row + kBackwardRows, x.dim(0));
      const int64_t rows = end - row;
      const T* x_rows = x.Rows(row, end).cpu<T>().data();
      cpu::NormSiluSlopesRows<T>(norm, x_rows, rows, activations.cpu<T>().data(),
                                 slopes.cpu<T>().data(), norms);
      LinearBackward(context, activations.Rows(0, rows), weight_->value(), dmoments.Rows(row, end),
                     gradients.Rows(0, rows), /*accumulate_dx=*/false, weight_->gradient());
      cpu::NormSiluBackwardRows<T>(
          norm,
          {norms, x_rows, slopes.cpu<T>().data(), gradients.cpu<T>().data(),
           dx.Rows(row, end).cpu<T>().data(), sums.data(), sums.data() + norm.n},
          rows);
    }
    const T* dmoment = dmoments.cpu<T>().data();
    const auto dbias = bias_->gradient().cpu<T>();
    for (int64_t t = 0; t < x.dim(0); ++t, dmoment += dbias.size()) {
      for (size_t m = 0; m < dbias.size(); ++m) dbias[m] += dmoment[m];
    }
    cpu::AddScaledRow(T{1}, sums.data(), norm.n, gain_->gradient().cpu<T>().data());
    cpu::AddScaledRow(T{1}, sums.data() + norm.n, norm.n, shift_->gradient().cpu<T>().data());
  });
}

}  // namespace equipoise::routing
