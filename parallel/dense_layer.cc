#include "parallel/dense_layer.h"

#include "core/nn/declare.h"
#include "core/ops/elementwise.h"
#include "core/ops/rms_norm.h"

namespace equipoise::parallel {

DenseLayer::DenseLayer(const ModelOptions& options, const std::string& prefix,
                       ParameterRegistry& parameters)
    : epsilon_(options.norm_epsilon),
      norm_(DeclareGain(parameters, prefix + "post_attention_layernorm.weight", options.hidden)),
      feed_forward_(options.hidden, options.dense_width, options.init_stddev, prefix + "mlp.",
                    parameters) {}

DenseLayer::Saved DenseLayer::Forward(const Context& context, ConstTensorView h,
                                      TensorView h_out) const {
  Saved saved;
  saved.input = h;
  saved.norm = context.activations->Allocate(h.dtype(), h.shape());
  saved.inverse_rms = context.activations->Allocate(h.dtype(), {h.dim(0)});
  RmsNormForward(context, h, norm_->value(), epsilon_, saved.norm, saved.inverse_rms);
  Copy(context, h, h_out);
  saved.feed_forward = feed_forward_.Forward(context, saved.norm, h_out);
  return saved;
}

void DenseLayer::Backward(const Context& context, const Saved& saved, TensorView dh) const {
  const WorkspaceFrame frame(*context.scratch);
  const TensorView dnorm = context.scratch->Allocate(dh.dtype(), dh.shape());
  feed_forward_.Backward(context, saved.feed_forward, dh, dnorm, /*accumulate_dx=*/false);
  RmsNormBackward(context, saved.input, norm_->value(), saved.inverse_rms, dnorm, dh,
                  /*accumulate_dx=*/true, norm_->gradient());
}

}  // namespace equipoise::parallel
