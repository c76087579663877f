#ifndef EQUIPOISE_ROUTING_LOGITS_H_
#define EQUIPOISE_ROUTING_LOGITS_H_

#include <cstdint>
#include <memory>

#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"
#include "routing/router.h"

namespace equipoise::routing {

// Where the logits of a score-based router come from: how well each expert suits each token, each
// token by itself. Called for one tile of tokens after another. Belongs to one router.
class LogitSource {
 public:
  virtual ~LogitSource() = default;

  // logits [n, E] of x [n, H].
  virtual void Forward(const Context& context, ConstTensorView x, TensorView logits) const = 0;

  // For sources that can make something of their weights once for all tiles of a pass: that, in
  // context.scratch, and Forward with it.
  virtual TensorView Prepare(const Context& context) const {
    (void)context;
    return {};
  }
  virtual void ForwardPrepared(const Context& context, ConstTensorView x, ConstTensorView prepared,
                               TensorView logits) const {
    (void)prepared;
    Forward(context, x, logits);
  }

  // Adds to dx [n, H] and to the gradients of its parameters.
  virtual void Backward(const Context& context, ConstTensorView x, ConstTensorView dlogits,
                        TensorView dx) const = 0;
};

// logits = x W^T, the router of Mixtral, Qwen3-MoE and DeepSeek. Declares W as
// `<name_prefix>gate.weight` [E, H], replicated, with weight decay, normal of
// options.init_stddev. The registry outlives it.
std::unique_ptr<LogitSource> MakeLinearLogits(const RouterOptions& options,
                                              ParameterRegistry& parameters);
std::unique_ptr<LogitSource> MakeLinearLogits(const Parameter* weight);
// W alone, as declared by the first.
Parameter* DeclareGate(const RouterOptions& options, ParameterRegistry& parameters);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOGITS_H_
