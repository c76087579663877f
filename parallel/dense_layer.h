#ifndef EQUIPOISE_PARALLEL_DENSE_LAYER_H_
#define EQUIPOISE_PARALLEL_DENSE_LAYER_H_

#include <string>

#include "core/nn/feed_forward.h"
#include "core/nn/parameter.h"
#include "parallel/model_options.h"

namespace equipoise::parallel {

// The dense counterpart of MoeLayer: h_out = h + feed_forward(RmsNorm(h)).
class DenseLayer {
 public:
  DenseLayer(const ModelOptions& options, const std::string& prefix, ParameterRegistry& parameters);

  struct Saved {
    ConstTensorView input;         // [T, H], the caller's
    TensorView norm, inverse_rms;  // [T, H], [T]
    FeedForward::Saved feed_forward;
  };
  // h, h_out [T, H]; h must live until Backward.
  Saved Forward(const Context& context, ConstTensorView h, TensorView h_out) const;
  // dh [T, H] holds the gradient of h_out and receives that of h. Adds to parameters' gradients.
  void Backward(const Context& context, const Saved& saved, TensorView dh) const;

 private:
  double epsilon_;
  Parameter* norm_;
  FeedForward feed_forward_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_DENSE_LAYER_H_
