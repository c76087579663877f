#ifndef EQUIPOISE_ROUTING_LPR_ENCODER_H_
#define EQUIPOISE_ROUTING_LPR_ENCODER_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"
#include "routing/router.h"

namespace equipoise::routing {

struct EncoderOptions {
  int64_t moments = 0;       // M
  double init_stddev = 0.0;  // of W
  bool decay_all = false;    // weight decay of gain and biases too, as the published code does
};

// Places tokens in the latent space: moments = silu(LayerNorm(x)) W^T + c (LPR, Yang, 2025). The
// activation comes before the linear map. Declares gate.norm.weight and gate.norm.bias [H],
// gate.encoder.weight [M, H] and gate.encoder.bias [M]. Belongs to one router; the registry
// outlives it.
class LatentEncoder {
 public:
  LatentEncoder(const RouterOptions& router, const EncoderOptions& options,
                ParameterRegistry& parameters);

  // What Forward takes as `prepared`, in context.scratch, for any number of calls.
  TensorView Prepare(const Context& context) const;
  // moments [n, M] of x [n, H].
  void Forward(const Context& context, ConstTensorView x, ConstTensorView prepared,
               TensorView moments) const;
  // Adds to dx [n, H] and to the parameters' gradients. Normalises x again.
  void Backward(const Context& context, ConstTensorView x, ConstTensorView dmoments,
                TensorView dx) const;

 private:
  // Tokens at a time: what is made of them stays in the second-level cache.
  static constexpr int64_t kForwardRows = 32;
  static constexpr int64_t kBackwardRows = 16;

  const Parameter* gain_;
  const Parameter* shift_;
  const Parameter* weight_;
  const Parameter* bias_;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_ENCODER_H_
